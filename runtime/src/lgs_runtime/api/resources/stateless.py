"""Runs without a thread: each gets its own, which is deleted when the run ends unless `on_completion` keeps
it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Request, Response

from lgs_runtime.api.access import Parts, router
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.resources.answers import answer_events, answer_result
from lgs_runtime.api.resources.requests import batch_request, run_path, run_request
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.record_json import run_json
from lgs_runtime.runs.admission import admit, admit_all

routes = router("Stateless Runs")


@routes.post(
    "/runs", response_model=shapes.Run, responses=operations.refusals(429), openapi_extra=operations.PRIORITY
)
async def create_run(parts: Parts, request: Request, body: bodies.RunCreateStateless) -> Response:
    """Makes a run that goes on in the background."""
    run = await admit(parts, run_request(request, body, None))
    return JsonResponse(run_json(run), headers={"Content-Location": run_path(run)})


@routes.post(
    "/runs/wait", response_model=Any, responses=operations.refusals(429), openapi_extra=operations.PRIORITY
)
async def wait_run(parts: Parts, request: Request, body: bodies.RunCreateStateless) -> Response:
    """Makes a run and answers with its result."""
    run = await admit(parts, run_request(request, body, None))
    return answer_result(parts, run, cancel_on_disconnect=body.on_disconnect == "cancel")


@routes.post(
    "/runs/stream",
    response_class=operations.EventStream,
    responses=operations.refusals(429),
    openapi_extra=operations.PRIORITY,
)
async def stream_run(parts: Parts, request: Request, body: bodies.RunCreateStateless) -> Response:
    """Makes a run and streams its events."""
    run = await admit(parts, run_request(request, body, None))
    return answer_events(parts, run, cancel_on_disconnect=body.on_disconnect == "cancel")


@routes.post(
    "/runs/batch",
    response_model=list[shapes.Run],
    responses=operations.refusals(409, 429),
    openapi_extra=operations.PRIORITY,
)
async def create_batch(
    parts: Parts,
    request: Request,
    body: Annotated[list[bodies.RunBatch], Body(min_length=1, max_length=bodies.MAX_BATCH)],
) -> Response:
    """Makes many runs, or none when one of them is refused."""
    runs = await admit_all(parts, [batch_request(request, one) for one in body])
    return JsonResponse([run_json(run) for run in runs])
