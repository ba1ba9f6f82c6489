"""Crons: runs that are made again and again, on a thread or each with one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from fastapi import Request, Response

from lgs_runtime.api import bodies, shapes
from lgs_runtime.api.access import Parts, page_response, router
from lgs_runtime.api.encoding import JsonResponse, cron_json, select
from lgs_runtime.api.requests import PRIORITY_HEADER, run_request
from lgs_runtime.model import Cron, Page
from lgs_runtime.runs.admission import RunRequest, assistant_id_of, check_webhook, find_assistant, priority_of
from lgs_runtime.runs.crons import next_after

routes = router("Crons")
OF_THE_CRON = {"schedule", "timezone", "end_time", "enabled", "on_run_completed"}
TIMES = ("schedule", "timezone", "end_time", "enabled")
"""What decides when the next run is due."""


@routes.post("/threads/{thread_id}/runs/crons", response_model=shapes.Cron, openapi_extra=shapes.PRIORITY)
async def create_thread_cron(
    parts: Parts, request: Request, thread_id: bodies.PathId, body: bodies.CronCreate
) -> Response:
    """Makes a cron whose runs are all on one thread."""
    await parts.storage.thread(thread_id)
    return JsonResponse(cron_json(await _create(parts, request, thread_id, body)))


@routes.post("/runs/crons", response_model=shapes.Cron, openapi_extra=shapes.PRIORITY)
async def create_cron(parts: Parts, request: Request, body: bodies.CronCreate) -> Response:
    """Makes a cron whose runs have a thread each, which goes unless `on_run_completed` is `keep`."""
    return JsonResponse(cron_json(await _create(parts, request, None, body)))


@routes.post("/runs/crons/search", response_model=shapes.Crons)
async def search_crons(parts: Parts, body: bodies.CronSearch) -> Response:
    """Crons that match, a page of them."""
    page = Page(body.limit + 1, body.offset, body.sort_by or "created_at", body.sort_order or "desc")
    found = await parts.storage.crons(page, *_wanted(body))
    return page_response([select(cron_json(cron), body.select) for cron in found], body.limit, body.offset)


@routes.post("/runs/crons/count", response_model=int)
async def count_crons(parts: Parts, body: bodies.CronCount) -> Response:
    """How many crons match."""
    return JsonResponse(await parts.storage.count_crons(*_wanted(body)))


@routes.get("/runs/crons/{cron_id}", response_model=shapes.Cron)
async def get_cron(parts: Parts, cron_id: bodies.PathId) -> Response:
    """One cron."""
    return JsonResponse(cron_json(await parts.storage.cron(cron_id)))


@routes.patch("/runs/crons/{cron_id}", response_model=shapes.Cron)
async def patch_cron(parts: Parts, cron_id: bodies.PathId, body: bodies.CronPatch) -> Response:
    """Changes a cron; what is absent stays. A change of its times counts from now."""
    stored = await parts.storage.cron(cron_id)
    given = {name: getattr(body, name) for name in OF_THE_CRON & body.model_fields_set}
    payload = {**stored.payload, **_payload(body)}
    changes: dict[str, Any] = {**given, "payload": payload}
    if "metadata" in body.model_fields_set:
        changes["metadata"] = body.metadata
    check_webhook(parts, body.webhook)
    changed = replace(stored, **changes)
    bodies.checked(bodies.RunCreateStateful, payload)
    if given.keys() & set(TIMES):
        now = await parts.storage.now()
        changes["next_run_date"] = next_after(changed.schedule, changed.timezone, now, changed.end_time)
    return JsonResponse(cron_json(await parts.storage.update_cron(cron_id, changes)))


@routes.delete("/runs/crons/{cron_id}", status_code=204)
async def delete_cron(parts: Parts, cron_id: bodies.PathId) -> Response:
    """Deletes a cron. The runs that it made stay."""
    await parts.storage.delete_cron(cron_id)
    return Response(status_code=204)


def request_of(cron: Cron) -> RunRequest:
    """What each run of a cron asks for. Raises `InvalidRequest`."""
    body = bodies.checked(bodies.RunCreateStateful, cron.payload)
    request = run_request(cron.payload.get("priority"), body, cron.thread_id)
    return replace(
        request,
        assistant=cron.assistant_id,
        metadata={**request.metadata, "cron_id": cron.cron_id},
        on_completion=cron.on_run_completed,
    )


async def _create(parts: Parts, request: Request, thread_id: str | None, body: bodies.CronCreate) -> Cron:
    check_webhook(parts, body.webhook)
    assistant = await find_assistant(parts, body.assistant_id)
    now = await parts.storage.now()
    header = request.headers.get(PRIORITY_HEADER)
    priority = {"priority": priority_of(header, {}, {}).value} if header else {}
    return await parts.storage.create_cron(
        Cron(
            cron_id=str(uuid4()),
            assistant_id=assistant.assistant_id,
            thread_id=thread_id,
            schedule=body.schedule,
            timezone=body.timezone,
            payload={**_payload(body), **priority},
            metadata=body.metadata,
            on_run_completed=None if thread_id else body.on_run_completed or "delete",
            end_time=body.end_time,
            enabled=body.enabled,
            next_run_date=next_after(body.schedule, body.timezone, now, body.end_time),
            created_at=now,
            updated_at=now,
        )
    )


def _payload(body: bodies.RunOptions) -> Mapping[str, Any]:
    return body.model_dump(mode="json", exclude_unset=True, exclude=OF_THE_CRON)


def _wanted(body: bodies.CronCount) -> tuple[str | None, str | None, bool | None, dict[str, Any] | None]:
    assistant_id = assistant_id_of(body.assistant_id) if body.assistant_id else None
    return assistant_id, body.thread_id, body.enabled, body.metadata
