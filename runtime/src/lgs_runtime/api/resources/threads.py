"""Threads, the sessions of users: the routes for their records. Their state is in `state.py`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from fastapi import Request, Response

from lgs_runtime.api.access import Asking, Parts, page_response, router
from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.resources.answers import answer_thread_events
from lgs_runtime.api.resources.requests import last_event_id
from lgs_runtime.api.resources.state import apply_supersteps
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.extraction import extract
from lgs_runtime.api.schemas.queries import AlsoThreadModes, Included, ThreadModes
from lgs_runtime.api.schemas.record_json import select, storage_json, thread_json, ttl_json
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Page, Ttl
from lgs_runtime.storage.queries import ThreadQuery
from lgs_runtime.storage.scope import check_kept, made_within
from lgs_runtime.threads.removal import keep_latest, remove_thread

routes = router("Threads")
MINUTE = 60.0
MINIMAL: dict[int | str, dict[str, Any]] = {204: {"description": "With `Prefer: return=minimal`."}}


@routes.post("/threads", response_model=shapes.Thread, responses=operations.refusals(409))
async def create_thread(parts: Parts, caller: Asking, body: bodies.ThreadCreate) -> Response:
    """Makes a thread, with a history when `supersteps` give one."""
    thread_id = body.thread_id or str(uuid4())
    ttl = _ttl(body.ttl) or parts.settings.checkpointer.ttl.default
    value: dict[str, Any] = {
        "thread_id": thread_id,
        "metadata": dict(body.metadata),
        "if_exists": body.if_exists,
        "ttl": body.ttl.model_dump() if body.ttl else None,
    }
    scope = await caller.may("threads", "create", value)
    metadata = made_within(scope, value["metadata"])
    if body.supersteps:
        # Giving a thread a history changes its state, whether the thread is new or exists already.
        await caller.check_may_change(thread_id, metadata)
    thread = await parts.storage.threads.create(thread_id, metadata, body.if_exists, ttl, scope)
    if body.supersteps:
        if thread.metadata != metadata:
            await caller.check_may_change(thread_id, thread.metadata)
        thread = await apply_supersteps(parts, caller, thread, body.supersteps)
    return JsonResponse(thread_json(thread))


@routes.post("/threads/search", response_model=shapes.Threads)
async def search_threads(parts: Parts, caller: Asking, body: bodies.ThreadSearch) -> Response:
    """Threads that match, a page of them."""
    page = Page(body.limit + 1, body.offset, body.sort_by or "created_at", body.sort_order or "desc")
    query = await _search(caller, body, limit=body.limit, offset=body.offset, ids=body.ids)
    found = await parts.storage.threads.search(replace(query, page=page, ids=body.ids))
    records = [thread_json(thread) for thread in found]
    shown = [
        {**select(one, body.select), **({"extracted": extract(one, body.extract)} if body.extract else {})}
        for one in records
    ]
    return page_response(shown, body.limit, body.offset)


@routes.post("/threads/count", response_model=int)
async def count_threads(parts: Parts, caller: Asking, body: bodies.ThreadCount) -> Response:
    """How many threads match."""
    return JsonResponse(await parts.storage.threads.count(await _search(caller, body)))


async def _search(caller: Caller, body: bodies.ThreadCount, **more: Any) -> ThreadQuery:
    """The query of a search: with the metadata as the handler left them, within the threads that the caller
    may see."""
    value = {
        "metadata": dict(body.metadata or {}),
        "values": body.values or {},
        "status": body.status,
        **more,
    }
    scope = await caller.may("threads", "search", value)
    metadata = value["metadata"] or None
    return ThreadQuery(metadata=metadata, values=body.values, status=body.status, scope=scope)


@routes.post("/threads/prune", response_model=shapes.Pruned)
async def prune_threads(parts: Parts, caller: Asking, body: bodies.ThreadPrune) -> Response:
    """Deletes many threads, or their past (`keep_latest`); what is not there, or is busy, is not counted."""
    if not body.thread_ids:
        await caller.threads("search", None)
    pruned = 0
    deletes = body.strategy == "delete"
    for thread_id in body.thread_ids:
        scope = await caller.threads("delete" if deletes else "update", thread_id)
        with suppress(NotFound):
            if deletes:
                await remove_thread(parts, thread_id, scope)
                pruned += 1
            elif await keep_latest(parts, thread_id, scope):
                pruned += 1
    return JsonResponse({"pruned_count": pruned})


@routes.get("/threads/{thread_id}", response_model=shapes.Thread)
async def get_thread(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, include: Included = None
) -> Response:
    """One thread."""
    thread = await caller.thread("read", thread_id)
    more = {"ttl": ttl_json(thread)} if "ttl" in (include or ()) else {}
    return JsonResponse({**thread_json(thread), **more})


@routes.patch("/threads/{thread_id}", response_model=shapes.Thread, responses=MINIMAL)
async def patch_thread(
    parts: Parts, caller: Asking, request: Request, thread_id: bodies.PathId, body: bodies.ThreadPatch
) -> Response:
    """Merges metadata into a thread's, and sets its time to live. With `Prefer: return=minimal` nothing is
    returned."""
    value: dict[str, Any] = {"thread_id": thread_id, "metadata": dict(body.metadata), "action": None}
    scope = await caller.may("threads", "update", value)
    check_kept(scope, value["metadata"])
    thread = await parts.storage.threads.update(thread_id, value["metadata"], _ttl(body.ttl), scope)
    if "return=minimal" in request.headers.get("prefer", ""):
        return Response(status_code=204)
    return JsonResponse(thread_json(thread))


@routes.get("/threads/{thread_id}/storage", response_model=shapes.ThreadStorage)
async def get_thread_storage(parts: Parts, caller: Asking, thread_id: bodies.PathId) -> Response:
    """What the thread's checkpoints take, in rows and bytes."""
    await caller.thread("read", thread_id)
    return JsonResponse(storage_json(thread_id, await parts.upkeep.use(thread_id)))


@routes.get(
    "/threads/{thread_id}/stream",
    response_class=operations.EventStream,
    openapi_extra=operations.LAST_EVENT_ID,
)
async def stream_thread(
    parts: Parts,
    caller: Asking,
    request: Request,
    thread_id: bodies.PathId,
    *,
    modes: ThreadModes = None,
    also: AlsoThreadModes = None,
) -> Response:
    """The events of the thread's runs, present and to come: later than `Last-Event-ID` (-1: all that are
    kept)."""
    after = last_event_id(request)
    await caller.thread("read", thread_id)
    return answer_thread_events(parts, thread_id, after, [*(modes or ()), *(also or ())] or ["run_modes"])


@routes.delete("/threads/{thread_id}", status_code=204)
async def delete_thread(parts: Parts, caller: Asking, thread_id: bodies.PathId) -> Response:
    """Deletes a thread with its runs and checkpoints; runs in progress are stopped."""
    await remove_thread(parts, thread_id, await caller.threads("delete", thread_id))
    return Response(status_code=204)


@routes.post("/threads/{thread_id}/copy", response_model=shapes.Thread)
async def copy_thread(parts: Parts, caller: Asking, thread_id: bodies.PathId) -> Response:
    """A new thread with the same history."""
    readable = await caller.threads("read", thread_id)
    source = await parts.storage.threads.get(thread_id, readable)
    target = str(uuid4())
    value: dict[str, Any] = {"thread_id": target, "metadata": dict(source.metadata), "if_exists": "raise"}
    metadata = made_within(await caller.may("threads", "create", value), value["metadata"])
    await parts.checkpointer.acopy_thread(source.thread_id, target)
    ttl = parts.settings.checkpointer.ttl.default
    copied = await parts.storage.threads.copy(thread_id, target, metadata, readable, ttl)
    return JsonResponse(thread_json(copied))


def _ttl(given: bodies.TimeToLive | None) -> Ttl | None:
    return None if given is None else Ttl(given.ttl * MINUTE, given.strategy)
