"""Threads: the sessions of users, their records; their state stands in `state.py`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import uuid4

from fastapi import Request, Response

from lgs_runtime.api import bodies, shapes
from lgs_runtime.api.access import Parts, page_response, router
from lgs_runtime.api.answers import answer_thread_events
from lgs_runtime.api.encoding import JsonResponse, select, storage_json, thread_json
from lgs_runtime.api.extraction import extract
from lgs_runtime.api.queries import ThreadModes
from lgs_runtime.api.requests import last_event_id
from lgs_runtime.api.state import apply_supersteps
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Page
from lgs_runtime.runs.threads import copy_checkpoints, keep_latest, remove_thread

routes = router("Threads")
MINUTE = 60.0
MINIMAL: dict[int | str, dict[str, Any]] = {204: {"description": "With `Prefer: return=minimal`."}}


@routes.post("/threads", response_model=shapes.Thread, responses=shapes.refusals(409))
async def create_thread(parts: Parts, body: bodies.ThreadCreate) -> Response:
    """Makes a thread, with a history when `supersteps` give one."""
    thread_id = body.thread_id or str(uuid4())
    ttl = body.ttl.ttl * MINUTE if body.ttl else None
    thread = await parts.storage.create_thread(thread_id, body.metadata, body.if_exists, ttl)
    if body.supersteps:
        thread = await apply_supersteps(parts, thread, body.supersteps)
    return JsonResponse(thread_json(thread))


@routes.post("/threads/search", response_model=shapes.Threads)
async def search_threads(parts: Parts, body: bodies.ThreadSearch) -> Response:
    """Threads that match, a page of them."""
    page = Page(body.limit + 1, body.offset, body.sort_by or "created_at", body.sort_order or "desc")
    found = await parts.storage.threads(page, body.ids, body.metadata, body.values, body.status)
    records = [thread_json(thread) for thread in found]
    shown = [
        {**select(one, body.select), **({"extracted": extract(one, body.extract)} if body.extract else {})}
        for one in records
    ]
    return page_response(shown, body.limit, body.offset)


@routes.post("/threads/count", response_model=int)
async def count_threads(parts: Parts, body: bodies.ThreadCount) -> Response:
    """How many threads match."""
    return JsonResponse(await parts.storage.count_threads(body.metadata, body.values, body.status))


@routes.post("/threads/prune", response_model=shapes.Pruned)
async def prune_threads(parts: Parts, body: bodies.ThreadPrune) -> Response:
    """Deletes many threads, or their past (`keep_latest`); what is not there, or is busy, is not counted."""
    pruned = 0
    for thread_id in body.thread_ids:
        with suppress(NotFound):
            if body.strategy == "delete":
                await remove_thread(parts, thread_id)
                pruned += 1
            elif await keep_latest(parts, thread_id):
                pruned += 1
    return JsonResponse({"pruned_count": pruned})


@routes.get("/threads/{thread_id}", response_model=shapes.Thread)
async def get_thread(parts: Parts, thread_id: bodies.PathId) -> Response:
    """One thread."""
    return JsonResponse(thread_json(await parts.storage.thread(thread_id)))


@routes.patch("/threads/{thread_id}", response_model=shapes.Thread, responses=MINIMAL)
async def patch_thread(
    parts: Parts, request: Request, thread_id: bodies.PathId, body: bodies.ThreadPatch
) -> Response:
    """Merges metadata into a thread's, and sets its time to live. With `Prefer: return=minimal` nothing is
    returned."""
    ttl = body.ttl.ttl * MINUTE if body.ttl else None
    thread = await parts.storage.update_thread(thread_id, body.metadata, ttl)
    if "return=minimal" in request.headers.get("prefer", ""):
        return Response(status_code=204)
    return JsonResponse(thread_json(thread))


@routes.get("/threads/{thread_id}/storage", response_model=shapes.ThreadStorage)
async def get_thread_storage(parts: Parts, thread_id: bodies.PathId) -> Response:
    """What the thread's checkpoints take, in rows and bytes."""
    await parts.storage.thread(thread_id)
    return JsonResponse(storage_json(thread_id, await parts.upkeep.use(thread_id)))


@routes.get(
    "/threads/{thread_id}/stream",
    response_class=shapes.EventStream,
    responses=shapes.streaming(),
    openapi_extra=shapes.LAST_EVENT_ID,
)
async def stream_thread(
    parts: Parts, request: Request, thread_id: bodies.PathId, modes: ThreadModes = None
) -> Response:
    """The events of the thread's runs, present and to come: later than `Last-Event-ID` (-1: all that are
    kept)."""
    after = last_event_id(request)
    await parts.storage.thread(thread_id)
    return answer_thread_events(parts, thread_id, after, modes or ["run_modes"])


@routes.delete("/threads/{thread_id}", status_code=204)
async def delete_thread(parts: Parts, thread_id: bodies.PathId) -> Response:
    """Deletes a thread with its runs and checkpoints; runs in progress are stopped."""
    await remove_thread(parts, thread_id)
    return Response(status_code=204)


@routes.post("/threads/{thread_id}/copy", response_model=shapes.Thread)
async def copy_thread(parts: Parts, thread_id: bodies.PathId) -> Response:
    """A new thread with the same history."""
    source = await parts.storage.thread(thread_id)
    target = str(uuid4())
    await copy_checkpoints(parts.checkpointer, source.thread_id, target)
    return JsonResponse(thread_json(await parts.storage.copy_thread(thread_id, target)))
