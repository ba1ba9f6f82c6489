"""Opens the cache of a replica."""

from __future__ import annotations

from collections.abc import Callable

from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.shared import SharedCache


def open_cache(
    uri: str | None,
    service: str,
    ttl_seconds: float,
    *,
    compression_threshold_bytes: int = 1024,
    before: Callable[[SharedCache], SharedCache] = lambda entries: entries,
    user: Callable[[], str | None] = lambda: None,
    **more: float,
) -> CacheManager:
    """A cache for a URI (None: memory alone), in the event loop that runs; Redis need not be there yet.
    `before` puts something before the entries in Redis; `user` says in whose name code runs."""
    shared = None
    if uri is not None:
        from lgs_runtime.cache.redis import RedisEntries  # noqa: PLC0415 - load only the drivers in use

        shared = before(RedisEntries(uri, f"lgs:{service}:cache"))
    manager = CacheManager(
        shared,
        service=service,
        ttl_seconds=ttl_seconds,
        compression_threshold_bytes=compression_threshold_bytes,
        user=user,
        **more,
    )
    manager.open()
    return manager
