"""Where a value is: its namespace and its key, and how keys are named."""

from __future__ import annotations

from typing import NamedTuple

from lgs_runtime.cache.keys import digest


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
        return self._prefix if namespace is None else f"{self._prefix}{digest(namespace)}:"
