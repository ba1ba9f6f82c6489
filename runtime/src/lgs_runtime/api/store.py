"""The store: items by namespace and key, which outlive threads and are shared between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fastapi import Response

from lgs_runtime.api import bodies, shapes
from lgs_runtime.api.access import Parts, router
from lgs_runtime.api.encoding import JsonResponse, item_json
from lgs_runtime.api.limits import check_text
from lgs_runtime.api.queries import Key, Labels, OptionalFlag
from lgs_runtime.errors import InvalidRequest

routes = router("Store")


@routes.put("/store/items", status_code=204)
async def put_item(parts: Parts, body: bodies.StorePut) -> Response:
    """Stores an item, or replaces it."""
    namespace = _namespace(body.namespace)
    if not namespace:
        raise InvalidRequest("namespace: []: must have at least one label")
    with _refusing("item", body.key):
        if body.ttl is None:
            await parts.store.aput(namespace, body.key, body.value, index=body.index)
        else:
            await parts.store.aput(namespace, body.key, body.value, index=body.index, ttl=body.ttl)
    return Response(status_code=204)


@routes.delete("/store/items", status_code=204)
async def delete_item(parts: Parts, body: bodies.StoreKey) -> Response:
    """Deletes an item, if it is there."""
    await parts.store.adelete(_namespace(body.namespace), body.key)
    return Response(status_code=204)


@routes.get("/store/items", response_model=shapes.Item | None)
async def get_item(
    parts: Parts, key: Key, labels: Labels = None, refresh_ttl: OptionalFlag = None
) -> Response:
    """One item, or null. The namespace is given with dots, or as a repeated parameter."""
    namespace = _namespace([label for text in labels or () for label in text.split(".") if label])
    item = await parts.store.aget(namespace, key, refresh_ttl=refresh_ttl)
    return JsonResponse(item and item_json(item))


@routes.post("/store/items/search", response_model=shapes.Items)
async def search_items(parts: Parts, body: bodies.StoreSearch) -> Response:
    """Items under a namespace that match a filter; by meaning when the store has an index."""
    with _refusing("filter", body.filter):
        found = await parts.store.asearch(
            _namespace(body.namespace_prefix),
            query=body.query,
            filter=body.filter,
            limit=body.limit,
            offset=body.offset,
            refresh_ttl=body.refresh_ttl,
        )
    return JsonResponse({"items": [item_json(item) for item in found]})


@routes.post("/store/namespaces", response_model=shapes.Namespaces)
async def list_namespaces(parts: Parts, body: bodies.StoreNamespaces) -> Response:
    """Namespaces that hold items."""
    found = await parts.store.alist_namespaces(
        prefix=_namespace(body.prefix or ()) or None,
        suffix=_namespace(body.suffix or ()) or None,
        max_depth=body.max_depth,
        limit=body.limit,
        offset=body.offset,
    )
    return JsonResponse({"namespaces": [list(namespace) for namespace in found]})


@contextmanager
def _refusing(name: str, value: object) -> Iterator[None]:
    """LangGraph's stores raise these for what they can't take."""
    try:
        yield
    except (ValueError, NotImplementedError) as wrong:
        raise InvalidRequest(f"{name}: {value!r}: {wrong}") from wrong


def _namespace(labels: Sequence[str]) -> tuple[str, ...]:
    for label in labels:
        if not check_text("namespace", label) or "." in label:
            raise InvalidRequest(f"namespace: {label!r}: labels must not be empty or have periods")
    return tuple(labels)
