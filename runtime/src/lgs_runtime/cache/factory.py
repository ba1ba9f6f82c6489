"""Opens the cache of a replica."""

from __future__ import annotations

from collections.abc import Callable

from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.shared import SharedCache
from lgs_runtime.cache.whole_entries import WholeEntries
from lgs_runtime.redis_addresses import parse_redis


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
    """Opens a cache for a Redis URI (None: memory only), in the running event loop; Redis need not be
    reachable yet. `before` wraps the entries in Redis; `user` returns the user for whom code runs."""
    shared = None
    if uri is not None:
        shared = WholeEntries(before(_entries(uri, f"lgs:{service}:cache")))
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


def _entries(uri: str, channel: str) -> SharedCache:
    """The entries in Redis at a URI. Imports only the driver that is needed."""
    if parse_redis(uri).is_cluster:
        from lgs_runtime.cache.redis_cluster import ClusterEntries  # noqa: PLC0415

        return ClusterEntries(uri, channel)
    from lgs_runtime.cache.redis import RedisEntries  # noqa: PLC0415

    return RedisEntries(uri, channel)
