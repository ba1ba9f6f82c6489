"""Refuses a key that occurs twice in one object of YAML or JSON: parsers keep the last one, and the value of
the first is lost silently. The error names the lines of both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

from lgs_crds.bounded_yaml import BoundedLoader

MERGE: Final = "tag:yaml.org,2002:merge"
_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|\n')


class UniqueKeyLoader(BoundedLoader):
    """Reads YAML like `BoundedLoader`, and also raises `yaml.MarkedYAMLError` for a repeated key. Keys that
    `<<` merges may be overridden."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[Hashable, yaml.Mark] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                first = seen.setdefault((key.tag, key.value), key.start_mark)
                if first is not key.start_mark:
                    lines = first.line + 1, key.start_mark.line + 1
                    raise yaml.MarkedYAMLError(problem=_rule(key.value, *lines), problem_mark=key.start_mark)
        return node


def repeated_in_json(text: str) -> tuple[str, int] | None:
    """The error and its line if an object has a key twice; None if none has. `text` must be valid JSON."""
    line, last = 1, ""
    objects: list[dict[str, int] | None] = []
    for token in _TOKEN.findall(text):
        if token == "\n":
            line += 1
            continue
        if token in "{[":
            objects.append({} if token == "{" else None)
        elif token in "}]":
            objects.pop()
        elif token == ":" and objects and (keys := objects[-1]) is not None:
            name = json.loads(last)
            if name in keys:
                return _rule(name, keys[name], line), line
            keys[name] = line
        last = token
    return None


def _rule(name: str, first: int, second: int) -> str:
    return f"{name} stands twice, in lines {first} and {second}: one of them would have no effect"
