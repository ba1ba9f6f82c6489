"""Refuses a key that stands twice in one object: parsers keep the last value and lose the first."""

from __future__ import annotations

from typing import Any, Final

import yaml

from lgs_runtime.graphs.bounded_yaml import BoundedLoader

MERGE: Final = "tag:yaml.org,2002:merge"


class UniqueKeyLoader(BoundedLoader):
    """Like `BoundedLoader`; also raises `yaml.MarkedYAMLError` for a key that stands twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        marks: dict[tuple[str, Any], yaml.Mark] = {}
        for key in (key for key, _ in node.value if key.tag != MERGE):
            if isinstance(key, yaml.ScalarNode):
                first = marks.setdefault((key.tag, key.value), key.start_mark)
                if first is not key.start_mark:
                    lines = f"{first.line + 1} and {key.start_mark.line + 1}"
                    what = f"{key.value} stands twice, in lines {lines}"
                    raise yaml.MarkedYAMLError(problem=what, problem_mark=key.start_mark)
        return node
