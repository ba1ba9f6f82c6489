"""The cache of this service: its statistics, and how to clear it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from lgs_runtime.api.access import Asking, Parts, router
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import shapes
from lgs_runtime.cache.statistics import RESERVED
from lgs_runtime.errors import CacheNotCleared, InvalidRequest

routes = router("System")
Namespace = Annotated[
    str | None,
    Query(min_length=1, max_length=512, description="A node (`graph/node`) or a function; without it, all."),
]


@routes.get("/cache/stats", response_model=shapes.CacheStatistics)
async def get_cache_statistics(parts: Parts, caller: Asking) -> Response:
    """What the cache of the replica that answers has done since it started, by namespace."""
    await caller.of_cache("read")
    cache = parts.cache
    return JsonResponse(
        {
            "replica": parts.settings.replica_id,
            "redis": cache.redis,
            "memory": {"entries": len(cache.memory), "bytes": cache.memory.bytes},
            "learned": cache.learner.to_json(),
            "warmup": cache.warmup.to_json(),
            **cache.statistics.to_json(),
        }
    )


@routes.delete("/cache", response_model=shapes.CacheCleared)
async def clear_cache(
    request: Request, parts: Parts, caller: Asking, namespace: Namespace = None
) -> Response:
    """Forgets the results of a namespace, or all: in Redis and in the memory of every replica; without a
    Redis, in that of the replica that answers."""
    await _check(request, namespace)
    await caller.of_cache("delete", namespace)
    forgotten = await parts.cache.clear_told(namespace)
    if not forgotten.everywhere:
        raise CacheNotCleared(
            f"deleted: {forgotten.values}: not everywhere: Redis did not answer for all of it, and keeps "
            "what it has; ask again"
        )
    return JsonResponse({"deleted": forgotten.values})


async def _check(request: Request, namespace: str | None) -> None:
    """Raises `InvalidRequest` for a request that would delete more than was meant, or not what was meant."""
    for name in request.query_params:
        if name != "namespace":
            # A misspelt name must not clear the whole cache.
            raise InvalidRequest(f"{name}: must be namespace, the only parameter there is")
    if len(given := request.query_params.getlist("namespace")) > 1:
        raise InvalidRequest(f"namespace: {', '.join(given)}: must be one; ask for each")
    if namespace in RESERVED:
        raise InvalidRequest(f"namespace: {namespace}: must be a node or a function: it is a row of several")
    if await request.body():
        raise InvalidRequest("body: must be empty: what is forgotten is named by ?namespace=")
