"""The store: items by namespace and key, which outlive threads and are shared by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from fastapi import Response

from lgs_runtime.api.access import Asking, Parts, router
from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.limits import check_text
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import bodies, shapes
from lgs_runtime.api.schemas.operations import EVERYWHERE, GUARDED, refusals
from lgs_runtime.api.schemas.queries import Key, Labels, OptionalFlag
from lgs_runtime.api.schemas.record_json import item_json
from lgs_runtime.auth.authorization import Action
from lgs_runtime.errors import InvalidRequest, ProviderFailed, RuntimeFault
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.store.embeddings import raised_by_embeddings
from lgs_runtime.tracebacks import named_text

log = structlog.get_logger(__name__)
routes = router("Store", responses=refusals(*EVERYWHERE, *GUARDED, 502))
SEARCH = ("filter", "limit", "offset", "query")
LISTING = ("suffix", "max_depth", "limit", "offset")


@routes.put("/store/items", status_code=204)
async def put_item(parts: Parts, caller: Asking, body: bodies.StorePut) -> Response:
    """Stores an item, or replaces it."""
    value: dict[str, Any] = {"key": body.key, "value": body.value, "index": body.index}
    namespace = await _permitted(caller, "put", body.namespace, value)
    if not namespace:
        raise InvalidRequest("namespace: []: must have at least one label")
    ttl = {} if body.ttl is None else {"ttl": body.ttl}
    with _refusing("item", body.key):
        await parts.store.aput(namespace, value["key"], value["value"], index=value["index"], **ttl)
    return Response(status_code=204)


@routes.delete("/store/items", status_code=204)
async def delete_item(parts: Parts, caller: Asking, body: bodies.StoreKey) -> Response:
    """Deletes an item, if it is there."""
    value: dict[str, Any] = {"key": body.key}
    namespace = await _permitted(caller, "delete", body.namespace, value)
    with _refusing("item", body.key):
        await parts.store.adelete(namespace, value["key"])
    return Response(status_code=204)


@routes.get("/store/items", response_model=shapes.Item | None)
async def get_item(
    parts: Parts, caller: Asking, key: Key, labels: Labels = None, refresh_ttl: OptionalFlag = None
) -> Response:
    """One item, or null. The namespace is given with dots, or as a repeated parameter."""
    value: dict[str, Any] = {"key": key}
    given = [label for text in labels or () for label in text.split(".") if label]
    namespace = await _permitted(caller, "get", given, value)
    with _refusing("item", key):
        item = await parts.store.aget(namespace, value["key"], refresh_ttl=refresh_ttl)
    return JsonResponse(item and item_json(item))


@routes.post("/store/items/search", response_model=shapes.Items)
async def search_items(parts: Parts, caller: Asking, body: bodies.StoreSearch) -> Response:
    """Items under a namespace that match a filter; by meaning when the store has an index."""
    value: dict[str, Any] = {name: getattr(body, name) for name in SEARCH}
    namespace = await _permitted(caller, "search", body.namespace_prefix, value)
    with _refusing("filter", body.filter):
        found = await parts.store.asearch(
            namespace, refresh_ttl=body.refresh_ttl, **{name: value[name] for name in SEARCH}
        )
    return JsonResponse({"items": [item_json(item) for item in found]})


@routes.post("/store/namespaces", response_model=shapes.Namespaces)
async def list_namespaces(parts: Parts, caller: Asking, body: bodies.StoreNamespaces) -> Response:
    """Namespaces that hold items."""
    value: dict[str, Any] = {name: getattr(body, name) for name in LISTING}
    value["suffix"] = _namespace(body.suffix or ()) or None
    prefix = await _permitted(caller, "list_namespaces", body.prefix or (), value)
    with _refusing("prefix", body.prefix):
        found = await parts.store.alist_namespaces(
            prefix=prefix or None, **{name: value[name] for name in LISTING}
        )
    return JsonResponse({"namespaces": [list(namespace) for namespace in found]})


@contextmanager
def _refusing(name: str, value: object) -> Iterator[None]:
    """Turns what the store raises into our errors; those of our own store already are. LangGraph's stores use
    some types for what they can't take (`InvalidRequest`); anything else comes from an embedding provider or
    the application's own store (`ProviderFailed`)."""
    try:
        yield
    except RuntimeFault:
        raise
    except RAISED as raised:
        if is_cancelled(raised):
            raise
        if isinstance(raised, ValueError | NotImplementedError) and not raised_by_embeddings(raised):
            raise InvalidRequest(f"{name}: {value!r}: {raised}") from raised
        log.warning("store.failed", exc_info=raised)
        whose = "store.index.embed" if raised_by_embeddings(raised) else "store"
        raise ProviderFailed(f"{whose}: {named_text(raised)}") from raised


async def _permitted(
    caller: Caller, action: Action, namespace: Sequence[str], value: dict[str, Any]
) -> tuple[str, ...]:
    """Checks permission, and returns the namespace as the handler left it in `value`."""
    value["namespace"] = _namespace(namespace)
    await caller.may("store", action, value)
    return _namespace(value["namespace"] or ())


def _namespace(labels: Sequence[str]) -> tuple[str, ...]:
    for label in labels:
        if not check_text("namespace", label) or "." in label:
            raise InvalidRequest(f"namespace: {label!r}: labels must not be empty or have periods")
    return tuple(labels)
