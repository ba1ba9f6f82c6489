"""The place of a value: its namespace and its key, and how keys are named."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from lgs_runtime.cache.keys import digest

SHORT: Final = 8
"""Hexadecimal digits of each parent's digest in a key. Two parents whose digests are equal by chance are
cleared together."""


class Place(NamedTuple):
    """The namespace that a value is counted in, and its key in memory and in Redis."""

    namespace: str
    key: str


class KeyNames:
    """The names of a service's keys."""

    def __init__(self, service: str) -> None:
        self._prefix = f"lgs:{service}:cache:"

    def place(self, namespace: str, *parts: str | bytes) -> Place:
        """The place of the value that these parts distinguish from others of the namespace."""
        # Keys that a script uses together must have the same hash tag.
        return Place(namespace, f"{self.prefix(namespace)}{{{digest(*parts)}}}")

    def prefix(self, namespace: str | None) -> str:
        """The prefix of the keys of a namespace; None: of all keys of the service."""
        return self._prefix if namespace is None else f"{self._prefix}{_of_namespace(namespace)}"

    def prefix_within(self, name: str) -> str:
        """The common prefix of the keys of all namespaces `name/…`, such as those of a graph's nodes."""
        return f"{self._prefix}{_of_parents(f'{name}/')}"


@lru_cache(maxsize=4096)
def _of_namespace(namespace: str) -> str:
    return f"{_of_parents(namespace)}{digest(namespace)}:"


def _of_parents(namespace: str) -> str:
    """For `a/b/c`: the prefix that it shares with all `a/…`, then the one that it shares with all `a/b/…`."""
    ends = [at + 1 for at, letter in enumerate(namespace) if letter == "/"]
    return "".join(f"{digest(namespace[:end])[:SHORT]}:" for end in ends)
