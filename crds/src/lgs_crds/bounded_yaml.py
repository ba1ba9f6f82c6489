"""Loads YAML with a bound on what its aliases expand to. With nested aliases a few lines stand for billions
of values, which could be neither checked nor printed. The values are counted before anything is expanded,
including what `<<` merges and long texts that are repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

MOST_VALUES: Final = 1_000_000
"""Most values of a file; a cluster accepts no object of more than 1.5 MB."""
_CHARACTERS: Final = 100
"""How many characters of a text count as another value."""


class BoundedLoader(yaml.SafeLoader):
    """Reads YAML like `yaml.safe_load`. Raises `yaml.MarkedYAMLError` for a file that expands to more than
    `MOST_VALUES` values, and for a value that contains itself."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._values = 0

    def construct_document(self, node: yaml.Node) -> Any:
        self._values += _values_in(node, {})
        if self._values > MOST_VALUES:
            rule = f"must stand for at most {MOST_VALUES} values, with all that its aliases repeat"
            raise yaml.MarkedYAMLError(problem=rule, problem_mark=node.start_mark)
        return super().construct_document(node)


def _values_in(node: yaml.Node, known: dict[yaml.Node, int | None]) -> int:
    """How many values a node holds. A node that aliases repeat counts each time."""
    if isinstance(node, yaml.ScalarNode):
        return 1 + len(node.value) // _CHARACTERS
    if node not in known:
        known[node] = None
        known[node] = 1 + sum(_values_in(each, known) for each in _held(node))
    found = known[node]
    if found is None:
        raise yaml.MarkedYAMLError(problem="an alias stands in what it repeats", problem_mark=node.start_mark)
    return found


def _held(node: yaml.Node) -> Iterator[yaml.Node]:
    for each in node.value:
        yield from each if isinstance(node, yaml.MappingNode) else (each,)
