"""The response cache of graphs: LangGraph's `BaseCache` on Redis, with the latest entries in memory in front
of it.

Without Redis, or while it is away, the memory alone serves. Values go through LangGraph's own serializer,
never pickle. An error of Redis costs a hit, never a run; it is counted, and logged once until Redis is back.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from langgraph.cache.base import BaseCache, FullKey, Namespace
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from lgs_runtime.cache.memory import MemoryLru
from lgs_runtime.cache.shared import SharedCache, SharedCacheUnavailable
from lgs_runtime.cache.value_encoding import Encoding

AWAY_SECONDS = 2.0
SHARED_SECONDS = 60.0
"""How long memory keeps what it had from Redis, whose own time to live it does not know."""
log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Who counts."""

    def __call__(self, result: str, count: int = 1) -> None:
        """`hit`, `miss`, `set` or `error`."""


def _nobody(result: str, count: int = 1) -> None:
    """Counts nothing."""


class ResponseCache(BaseCache[Any]):
    """A cache of node results. Entries live `ttl_seconds` unless the graph's policy says otherwise."""

    def __init__(
        self,
        shared: SharedCache | None,
        service: str,
        ttl_seconds: float,
        observe: Observer = _nobody,
        *,
        compression_threshold_bytes: int = 1024,
    ) -> None:
        # Only what LangGraph itself stores may be made again from the bytes: Redis is shared ground.
        super().__init__(serde=JsonPlusSerializer(pickle_fallback=False))
        self._encoding = Encoding(self.serde, compression_threshold_bytes)
        self._shared = shared
        self._prefix = f"lgs:{service}:cache:"
        self._ttl_seconds = ttl_seconds
        self._observe = observe
        self._memory = MemoryLru()
        self._away_until = 0.0
        self._told = False

    @classmethod
    def connect(
        cls,
        uri: str | None,
        service: str,
        ttl_seconds: float,
        observe: Observer = _nobody,
        *,
        compression_threshold_bytes: int = 1024,
        before: Callable[[SharedCache], SharedCache] = lambda entries: entries,
    ) -> ResponseCache:
        """A cache for a URI (None: memory alone); Redis need not be there yet. `before` puts something before
        the entries in Redis."""
        threshold = compression_threshold_bytes
        if uri is None:
            return cls(None, service, ttl_seconds, observe, compression_threshold_bytes=threshold)
        from lgs_runtime.cache.redis import RedisEntries  # noqa: PLC0415 - load only the drivers in use

        entries = before(RedisEntries(uri))
        return cls(entries, service, ttl_seconds, observe, compression_threshold_bytes=threshold)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """What memory holds: sync graphs don't wait for the network."""
        found = self._from_memory(keys)
        self._count(len(found), len(keys))
        return found

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The values that are cached, from memory or else from Redis."""
        found = self._from_memory(keys)
        missing = [key for key in keys if key not in found]
        if missing and (shared := self._within_reach()):
            stored: Sequence[bytes | None] = ()
            try:
                stored = await shared.read([self._key(key) for key in missing])
                self._back()
            except SharedCacheUnavailable as gone:
                self._gone(gone)
            for key, raw in zip(missing, stored, strict=False):
                if raw is not None and self._put_decoded(key, raw, found):
                    self._memory.put(self._key(key), raw, min(self._ttl_seconds, SHARED_SECONDS))
        self._count(len(found), len(keys))
        return found

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Stores in memory."""
        self._remember(self._encoded(pairs))

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Stores in memory and in Redis."""
        entries = self._encoded(pairs)
        self._remember(entries)
        if shared := self._within_reach():
            try:
                await shared.write(entries)
                self._back()
            except SharedCacheUnavailable as gone:
                self._gone(gone)

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forgets namespaces, or all, in memory."""
        self._memory.clear(None if namespaces is None else [self._space(ns) for ns in namespaces])

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forgets namespaces, or all, in memory and in Redis."""
        self.clear(namespaces)
        if shared := self._within_reach():
            prefixes = [self._prefix] if namespaces is None else [self._space(ns) for ns in namespaces]
            try:
                await shared.forget(prefixes)
            except SharedCacheUnavailable as gone:
                self._gone(gone)

    async def close(self) -> None:
        """Closes the connections."""
        if self._shared is not None:
            await self._shared.close()

    def _within_reach(self) -> SharedCache | None:
        return self._shared if time.monotonic() >= self._away_until else None

    def _gone(self, reason: SharedCacheUnavailable) -> None:
        self._observe("error")
        self._away_until = time.monotonic() + AWAY_SECONDS
        if not self._told:
            self._told = True
            log.warning("cache.redis_gone", reason=str(reason))

    def _back(self) -> None:
        if self._told:
            self._told = False
            log.info("cache.redis_back")

    def _count(self, hits: int, asked: int) -> None:
        if hits:
            self._observe("hit", hits)
        if asked > hits:
            self._observe("miss", asked - hits)

    def _from_memory(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        raw = {key: self._memory.get(self._key(key)) for key in keys}
        return {key: self._encoding.loads(value) for key, value in raw.items() if value is not None}

    def _put_decoded(self, key: FullKey, raw: bytes, found: dict[FullKey, Any]) -> bool:
        """Decodes a value of Redis. One that can't be read (another version's, another's) counts as
        missing."""
        try:
            found[key] = self._encoding.loads(raw)
        except (NotImplementedError, ValueError, TypeError) as unreadable:
            self._observe("error")
            log.warning("cache.unreadable", reason=str(unreadable))
            return False
        return True

    def _space(self, namespace: Namespace) -> str:
        digest = hashlib.sha256("\x1f".join(namespace).encode()).hexdigest()[:32]
        return f"{self._prefix}{digest}:"

    def _key(self, key: FullKey) -> str:
        namespace, name = key
        return self._space(namespace) + hashlib.sha256(name.encode()).hexdigest()[:32]

    def _encoded(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> list[tuple[str, bytes, float]]:
        """Key, bytes and seconds to live of each pair."""
        return [
            (self._key(key), self._encoding.dumps(value), ttl or self._ttl_seconds)
            for key, (value, ttl) in pairs.items()
        ]

    def _remember(self, entries: Sequence[tuple[str, bytes, float]]) -> None:
        for key, raw, ttl in entries:
            self._memory.put(key, raw, ttl)
        self._observe("set", len(entries))
