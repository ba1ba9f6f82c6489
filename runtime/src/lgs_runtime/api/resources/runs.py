"""Runs on threads: create, wait for, stream, list, cancel and delete them."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from lgs_runtime.api.access import Asking, Parts, page_response, router
from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.resources.answers import answer_cancelled, answer_events, answer_result
from lgs_runtime.api.resources.requests import last_event_id, run_path, run_request
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.queries import Action, Flag, Limit, Offset, RunKeys, RunModes, Status
from lgs_runtime.api.schemas.record_json import run_json, select
from lgs_runtime.model import Page, Run
from lgs_runtime.runs.admission import admit
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.threads.removal import UNFINISHED, cancel_all

routes = router("Thread Runs")
CANCELLING: dict[int | str, dict[str, Any]] = {
    200: {"description": "With `wait`: the run has stopped; the values that it left."},
    202: {"description": "The run is going to stop."},
}


@routes.post(
    "/threads/{thread_id}/runs",
    response_model=shapes.Run,
    responses=operations.refusals(409, 429),
    openapi_extra=operations.PRIORITY,
)
async def create_run(
    parts: Parts, request: Request, thread_id: bodies.PathId, body: bodies.RunCreateStateful
) -> Response:
    """Makes a run that goes on in the background."""
    run = await admit(parts, run_request(request, body, thread_id))
    return JsonResponse(run_json(run), headers={"Content-Location": run_path(run)})


@routes.post(
    "/threads/{thread_id}/runs/wait",
    response_model=Any,
    responses=operations.refusals(409, 429),
    openapi_extra=operations.PRIORITY,
)
async def wait_run(
    parts: Parts, request: Request, thread_id: bodies.PathId, body: bodies.RunCreateStateful
) -> Response:
    """Makes a run and answers with its result."""
    run = await admit(parts, run_request(request, body, thread_id))
    return answer_result(parts, run, cancel_on_disconnect=body.on_disconnect == "cancel")


@routes.post(
    "/threads/{thread_id}/runs/stream",
    response_class=operations.EventStream,
    responses=operations.refusals(409, 429),
    openapi_extra=operations.PRIORITY,
)
async def stream_run(
    parts: Parts, request: Request, thread_id: bodies.PathId, body: bodies.RunCreateStateful
) -> Response:
    """Makes a run and streams its events."""
    run = await admit(parts, run_request(request, body, thread_id))
    return answer_events(parts, run, cancel_on_disconnect=body.on_disconnect == "cancel")


@routes.get("/threads/{thread_id}/runs", response_model=shapes.Runs)
async def list_runs(
    parts: Parts,
    caller: Asking,
    thread_id: bodies.PathId,
    *,
    limit: Limit = 10,
    offset: Offset = 0,
    status: Status = None,
    keys: RunKeys = None,
) -> Response:
    """The runs of a thread, newest first."""
    scope = await caller.threads("search", thread_id, limit=limit, offset=offset)
    await parts.storage.threads.get(thread_id, scope)
    query = RunQuery(page=Page(limit + 1, offset), status=status, scope=scope)
    found = await parts.storage.runs.of_thread(thread_id, query)
    return page_response([select(run_json(run), keys) for run in found], limit, offset)


@routes.get("/threads/{thread_id}/runs/{run_id}", response_model=shapes.Run)
async def get_run(parts: Parts, caller: Asking, thread_id: bodies.PathId, run_id: bodies.PathId) -> Response:
    """One run."""
    scope = await caller.threads("read", thread_id, run_id=run_id)
    return JsonResponse(run_json(await parts.storage.runs.get(run_id, thread_id, scope)))


@routes.delete("/threads/{thread_id}/runs/{run_id}", status_code=204, responses=operations.refusals(409))
async def delete_run(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, run_id: bodies.PathId
) -> Response:
    """Deletes the record of a run that has ended, and what is kept of its stream."""
    scope = await caller.threads("delete", thread_id, run_id=run_id)
    await parts.storage.runs.delete(thread_id, run_id, scope)
    await parts.streams.discard(run_id)
    return Response(status_code=204)


@routes.get("/threads/{thread_id}/runs/{run_id}/join", response_model=Any)
async def join_run(
    parts: Parts,
    caller: Asking,
    thread_id: bodies.PathId,
    run_id: bodies.PathId,
    cancel_on_disconnect: Flag = False,
) -> Response:
    """The result of a run, when it has ended."""
    run = await _followed(parts, caller, thread_id, run_id, cancel_on_disconnect)
    return answer_result(parts, run, cancel_on_disconnect=cancel_on_disconnect)


@routes.get(
    "/threads/{thread_id}/runs/{run_id}/stream",
    response_class=operations.EventStream,
    openapi_extra=operations.LAST_EVENT_ID,
)
async def join_stream(
    parts: Parts,
    caller: Asking,
    request: Request,
    thread_id: bodies.PathId,
    run_id: bodies.PathId,
    *,
    modes: RunModes = None,
    cancel_on_disconnect: Flag = False,
) -> Response:
    """The events of a run: later than `Last-Event-ID` (-1: all that are kept), else those to come."""
    after = last_event_id(request)
    run = await _followed(parts, caller, thread_id, run_id, cancel_on_disconnect)
    return answer_events(
        parts,
        run,
        after=after,
        modes=modes or None,
        cancel_on_disconnect=cancel_on_disconnect,
    )


@routes.post("/threads/{thread_id}/runs/{run_id}/cancel", response_model=Any, responses=CANCELLING)
async def cancel_run(
    parts: Parts,
    caller: Asking,
    thread_id: bodies.PathId,
    run_id: bodies.PathId,
    *,
    action: Action = "interrupt",
    wait: Flag = False,
) -> Response:
    """Stops a run: `interrupt` keeps what it did, `rollback` deletes it with its checkpoints."""
    scope = await caller.threads("update", thread_id, run_id=run_id, action=action)
    [run] = await parts.storage.queue.cancel(thread_id, [run_id], action, scope)
    return answer_cancelled(parts, run) if wait else Response(status_code=202)


@routes.post("/runs/cancel", status_code=204)
async def cancel_runs(
    parts: Parts, caller: Asking, body: bodies.RunsCancel, action: Action = "interrupt"
) -> Response:
    """Stops runs of a thread: those named, else all that have not ended. Without a thread: those of all
    threads that have the status."""
    statuses = UNFINISHED if body.status is None or body.status == "all" else (body.status,)
    scope = await caller.threads("update", body.thread_id, action=action)
    if body.thread_id is None:
        await cancel_all(parts, statuses, action, scope)
        return Response(status_code=204)
    if body.run_ids is None:
        await parts.storage.threads.get(body.thread_id, scope)
        page = Page(limit=1000)
        queries = [RunQuery(page=page, status=status) for status in statuses]
        found = [await parts.storage.runs.of_thread(body.thread_id, query) for query in queries]
        run_ids = [run.run_id for runs in found for run in runs]
    else:
        run_ids = body.run_ids
    await parts.storage.queue.cancel(body.thread_id, run_ids, action, scope)
    return Response(status_code=204)


async def _followed(parts: Services, caller: Caller, thread_id: str, run_id: str, cancel: bool) -> Run:
    """A run that the caller may read and, if `cancel` is set, may also cancel."""
    if cancel:
        stoppable = await caller.threads("update", thread_id, run_id=run_id, action="interrupt")
        await parts.storage.runs.get(run_id, thread_id, stoppable)
    readable = await caller.threads("read", thread_id, run_id=run_id)
    return await parts.storage.runs.get(run_id, thread_id, readable)
