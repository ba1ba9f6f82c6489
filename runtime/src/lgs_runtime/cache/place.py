"""Where a value is: its namespace and its key, and how keys are named."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from lgs_runtime.cache.keys import digest

SHORT: Final = 8
"""Hexadecimal digits of what namespaces have in common: two that share them by chance are cleared
together."""


class Place(NamedTuple):
    """The namespace that counts a value, and its key in memory and in Redis."""

    namespace: str
    key: str


class KeyNames:
    """The names of a service's keys."""

    def __init__(self, service: str) -> None:
        self._prefix = f"lgs:{service}:cache:"

    def place(self, namespace: str, *parts: str | bytes) -> Place:
        """Where the value is that these parts distinguish from others of the namespace."""
        # Keys that a script uses together have the same hash tag.
        return Place(namespace, f"{self.prefix(namespace)}{{{digest(*parts)}}}")

    def prefix(self, namespace: str | None) -> str:
        """How the keys of a namespace begin; None: all keys of the service."""
        return self._prefix if namespace is None else f"{self._prefix}{_of_namespace(namespace)}"

    def prefix_within(self, name: str) -> str:
        """How the keys of all namespaces `name/…` begin, such as those of the nodes of a graph."""
        return f"{self._prefix}{_of_parents(f'{name}/')}"


@lru_cache(maxsize=4096)
def _of_namespace(namespace: str) -> str:
    return f"{_of_parents(namespace)}{digest(namespace)}:"


def _of_parents(namespace: str) -> str:
    """Of `a/b/c`: what it has in common with all `a/…`, then with all `a/b/…`."""
    ends = [at + 1 for at, letter in enumerate(namespace) if letter == "/"]
    return "".join(f"{digest(namespace[:end])[:SHORT]}:" for end in ends)
