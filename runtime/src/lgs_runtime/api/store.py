"""The store: items by namespace and key, which outlive threads and are shared between them."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request, Response

from lgs_runtime.api import bodies
from lgs_runtime.api.access import Parts, flag, router
from lgs_runtime.api.encoding import JsonResponse, item_json
from lgs_runtime.api.limits import check_text
from lgs_runtime.errors import InvalidRequest

routes = router("Store")


@routes.put("/store/items", status_code=204)
async def put_item(parts: Parts, body: bodies.StorePut) -> Response:
    """Stores an item, or replaces it."""
    namespace = _namespace(body.namespace)
    if not namespace:
        raise InvalidRequest("namespace: []: must have at least one label")
    try:
        if body.ttl is None:
            await parts.store.aput(namespace, body.key, body.value, index=body.index)
        else:
            await parts.store.aput(namespace, body.key, body.value, index=body.index, ttl=body.ttl)
    except (ValueError, NotImplementedError) as wrong:
        raise InvalidRequest(f"item: {body.key!r}: {wrong}") from wrong
    return Response(status_code=204)


@routes.delete("/store/items", status_code=204)
async def delete_item(parts: Parts, body: bodies.StoreKey) -> Response:
    """Deletes an item, if it is there."""
    await parts.store.adelete(_namespace(body.namespace), body.key)
    return Response(status_code=204)


@routes.get("/store/items")
async def get_item(parts: Parts, request: Request) -> Response:
    """One item, or null. The namespace is given with dots, or as a repeated parameter."""
    key = check_text("key", request.query_params.get("key", ""))
    if not key:
        raise InvalidRequest("key: must be given")
    given = request.query_params.getlist("namespace")
    namespace = _namespace([label for text in given for label in text.split(".") if label])
    refresh = flag(request, "refresh_ttl") if request.query_params.get("refresh_ttl") else None
    item = await parts.store.aget(namespace, key, refresh_ttl=refresh)
    return JsonResponse(item and item_json(item))


@routes.post("/store/items/search")
async def search_items(parts: Parts, body: bodies.StoreSearch) -> Response:
    """Items under a namespace that match a filter; by meaning when the store has an index."""
    found = await parts.store.asearch(
        _namespace(body.namespace_prefix),
        query=body.query,
        filter=body.filter,
        limit=body.limit,
        offset=body.offset,
        refresh_ttl=body.refresh_ttl,
    )
    return JsonResponse({"items": [item_json(item) for item in found]})


@routes.post("/store/namespaces")
async def list_namespaces(parts: Parts, body: bodies.StoreNamespaces) -> Response:
    """Namespaces that hold items."""
    found = await parts.store.alist_namespaces(
        prefix=tuple(body.prefix) if body.prefix else None,
        suffix=tuple(body.suffix) if body.suffix else None,
        max_depth=body.max_depth,
        limit=body.limit,
        offset=body.offset,
    )
    return JsonResponse({"namespaces": [list(namespace) for namespace in found]})


def _namespace(labels: Sequence[str]) -> tuple[str, ...]:
    for label in labels:
        if not check_text("namespace", label) or "." in label:
            raise InvalidRequest(f"namespace: {label!r}: labels must not be empty or have periods")
    return tuple(labels)
