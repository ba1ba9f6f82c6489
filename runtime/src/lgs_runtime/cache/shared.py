"""What the response cache asks of entries that all replicas share, so that it knows no driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class SharedCacheUnavailable(Exception):
    """The shared entries can't be reached just now; says why."""


class SharedCache(Protocol):
    """Bytes by key. All methods but `close` raise `SharedCacheUnavailable`."""

    async def read(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """The value of each key."""

    async def write(self, entries: Sequence[tuple[str, bytes, float]]) -> None:
        """Stores key, value and seconds to live of each, in one round trip."""

    async def forget(self, prefixes: Sequence[str]) -> None:
        """Deletes all whose keys begin so."""

    async def close(self) -> None:
        """Closes the connections."""
