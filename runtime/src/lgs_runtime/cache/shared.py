"""What the cache needs of entries that all replicas share, independent of a driver."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class SharedCacheUnavailable(Exception):
    """The shared entries can't be reached just now; says why."""


class SharedCacheRefused(Exception):
    """The shared entries are there, and would not do this one thing; says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry, and for how long it is still there by the clock of who keeps it: replicas' clocks differ."""

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
    """What another replica says has changed; both empty: anything may have, unseen."""

    key: str = ""
    prefix: str = ""


class SharedCache(Protocol):
    """Bytes by key, and a short lease by key for who computes it. All methods but `close` raise
    `SharedCacheUnavailable` and `SharedCacheRefused`."""

    async def ping(self) -> None:
        """Whether it answers, and takes what is written, whatever else it is asked meanwhile."""

    async def read(self, keys: Sequence[str]) -> Sequence[Stored | None]:
        """The entry of each key, in one round trip. What is there and is no entry has no bytes."""

    async def read_or_lease(self, key: str, token: str, seconds: float) -> Stored | bool:
        """The entry of a key; where there is none, whether the lease to make it is the caller's now."""

    async def lease(self, key: str, token: str, seconds: float) -> bool:
        """Whether the lease to make an entry anew is the caller's now."""

    async def renew(self, leases: Sequence[tuple[str, str]], seconds: float) -> None:
        """Makes leases (key, token) last so long from now on."""

    async def release(self, key: str, token: str) -> None:
        """Gives a lease back."""

    async def write(self, entries: Sequence[Written]) -> None:
        """Stores entries, in one round trip."""

    async def write_leased(self, entry: Written, token: str) -> bool:
        """Stores an entry and gives its lease back; not, if the lease was lost or taken away meanwhile."""

    async def forget(self, key: str) -> bool:
        """Deletes an entry and takes its lease away; whether there was one."""

    async def clear(self, prefix: str) -> int:
        """Deletes all whose keys begin so, with their leases; how many there were."""

    async def count(self, asked: Mapping[str, int]) -> Mapping[str, float]:
        """Counts how often keys were requested, and returns how often a second they are at all replicas."""

    async def announce(self, change: Change) -> None:
        """Sends a change to the other replicas."""

    def changes(self) -> AsyncGenerator[Change, None]:
        """The changes that the other replicas announce. Begins with a `Change` of anything, and raises
        `SharedCacheUnavailable` when it can't go on."""

    async def close(self) -> None:
        """Closes the connections."""


class Through(SharedCache):
    """One before another, which asks it all: what it says of entries is for those who inherit to say."""

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
