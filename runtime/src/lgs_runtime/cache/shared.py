"""The interface of the entries that all replicas share, independent of a driver."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class SharedCacheUnavailable(Exception):
    """The shared entries are currently unreachable; says why."""


class SharedCacheRefused(Exception):
    """The shared entries are reachable, but refused this one operation; says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry, and how many seconds it has left by the clock of the store: replicas' clocks differ."""

    raw: bytes
    left_seconds: float


@dataclass(frozen=True, slots=True)
class Written:
    """An entry to be written."""

    key: str
    raw: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """A change that another replica announces: of one key, or of a prefix. Both empty: anything may have
    changed unseen."""

    key: str = ""
    prefix: str = ""


class SharedCache(Protocol):
    """Bytes by key, and a short lease per key for the caller that computes its value. All methods except
    `close` raise `SharedCacheUnavailable` and `SharedCacheRefused`."""

    async def ping(self) -> None:
        """Checks that it answers and accepts writes, independently of other requests under way."""

    async def read(self, keys: Sequence[str]) -> Sequence[Stored | None]:
        """The entry of each key, in one round trip. A value that is not an entry is returned without
        bytes."""

    async def read_or_lease(self, key: str, token: str, seconds: float) -> Stored | bool:
        """The entry of a key; if there is none, whether the caller now has the lease to compute it."""

    async def lease(self, key: str, token: str, seconds: float) -> bool:
        """Whether the caller now has the lease to recompute an entry."""

    async def renew(self, leases: Sequence[tuple[str, str]], seconds: float) -> None:
        """Extends leases (key, token) to so many seconds from now."""

    async def release(self, key: str, token: str) -> None:
        """Gives a lease back."""

    async def write(self, entries: Sequence[Written]) -> None:
        """Stores entries, in one round trip."""

    async def write_leased(self, entry: Written, token: str) -> bool:
        """Stores an entry and gives its lease back. If the lease was lost or taken away meanwhile, does
        nothing and returns False."""

    async def forget(self, key: str) -> bool:
        """Deletes an entry and takes its lease away; returns whether there was an entry."""

    async def clear(self, prefix: str) -> int:
        """Deletes all keys with this prefix, and their leases; returns how many entries there were."""

    async def count(self, asked: Mapping[str, int]) -> Mapping[str, float]:
        """Counts requests of keys, and returns the requests per second of each at all replicas."""

    async def announce(self, change: Change) -> None:
        """Sends a change to the other replicas."""

    def changes(self) -> AsyncGenerator[Change, None]:
        """The changes that the other replicas announce. The first one is empty, as anything may have changed
        before; raises `SharedCacheUnavailable` when the subscription can't go on."""

    async def close(self) -> None:
        """Closes the connections."""


class Through(SharedCache):
    """Base class of wrappers: passes each call on to another `SharedCache`. Subclasses override what they
    change."""

    def __init__(self, inner: SharedCache) -> None:
        self._inner = inner

    async def ping(self) -> None:
        await self._inner.ping()

    async def read(self, keys: Sequence[str]) -> Sequence[Stored | None]:
        return await self._inner.read(keys)

    async def read_or_lease(self, key: str, token: str, seconds: float) -> Stored | bool:
        return await self._inner.read_or_lease(key, token, seconds)

    async def lease(self, key: str, token: str, seconds: float) -> bool:
        return await self._inner.lease(key, token, seconds)

    async def renew(self, leases: Sequence[tuple[str, str]], seconds: float) -> None:
        await self._inner.renew(leases, seconds)

    async def release(self, key: str, token: str) -> None:
        await self._inner.release(key, token)

    async def write(self, entries: Sequence[Written]) -> None:
        await self._inner.write(entries)

    async def write_leased(self, entry: Written, token: str) -> bool:
        return await self._inner.write_leased(entry, token)

    async def forget(self, key: str) -> bool:
        return await self._inner.forget(key)

    async def clear(self, prefix: str) -> int:
        return await self._inner.clear(prefix)

    async def count(self, asked: Mapping[str, int]) -> Mapping[str, float]:
        return await self._inner.count(asked)

    async def announce(self, change: Change) -> None:
        await self._inner.announce(change)

    def changes(self) -> AsyncGenerator[Change, None]:
        return self._inner.changes()

    async def close(self) -> None:
        await self._inner.close()
