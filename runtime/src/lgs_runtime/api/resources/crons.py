"""Crons: runs created on a schedule, all on one thread or each on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from fastapi import Request, Response

from lgs_runtime.api.access import Asking, Parts, page_response, router
from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.resources.requests import PRIORITY_HEADER, run_request
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.record_json import cron_json, select
from lgs_runtime.model import Cron, Page, Scope
from lgs_runtime.runs.admission import assistant_id_of, check_webhook, permitted_run
from lgs_runtime.runs.crons import next_after
from lgs_runtime.runs.requests import RunRequest, priority_of
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import CronQuery
from lgs_runtime.storage.scope import made_within

routes = router("Crons")
OF_THE_CRON = {"schedule", "timezone", "end_time", "enabled", "on_run_completed"}
TIMES = ("schedule", "timezone", "end_time", "enabled")
"""The fields that decide when the next run is due."""


@routes.post("/threads/{thread_id}/runs/crons", response_model=shapes.Cron, openapi_extra=operations.PRIORITY)
async def create_thread_cron(
    parts: Parts, caller: Asking, request: Request, thread_id: bodies.PathId, body: bodies.CronCreate
) -> Response:
    """Makes a cron whose runs are all on one thread."""
    return JsonResponse(cron_json(await _create(parts, caller, request, thread_id, body)))


@routes.post("/runs/crons", response_model=shapes.Cron, openapi_extra=operations.PRIORITY)
async def create_cron(parts: Parts, caller: Asking, request: Request, body: bodies.CronCreate) -> Response:
    """Makes a cron whose runs have a thread each, which goes unless `on_run_completed` is `keep`."""
    return JsonResponse(cron_json(await _create(parts, caller, request, None, body)))


@routes.post("/runs/crons/search", response_model=shapes.Crons)
async def search_crons(parts: Parts, caller: Asking, body: bodies.CronSearch) -> Response:
    """Crons that match, a page of them."""
    page = Page(body.limit + 1, body.offset, body.sort_by or "created_at", body.sort_order or "desc")
    scope = await _search(caller, body, limit=body.limit, offset=body.offset)
    found = await parts.storage.crons.search(replace(_query(body, scope), page=page))
    return page_response([select(cron_json(cron), body.select) for cron in found], body.limit, body.offset)


@routes.post("/runs/crons/count", response_model=int)
async def count_crons(parts: Parts, caller: Asking, body: bodies.CronCount) -> Response:
    """How many crons match."""
    scope = await _search(caller, body)
    return JsonResponse(await parts.storage.crons.count(_query(body, scope)))


async def _search(caller: Caller, body: bodies.CronCount, **more: Any) -> Scope | None:
    assistant_id = assistant_id_of(body.assistant_id) if body.assistant_id else None
    value = {"assistant_id": assistant_id, "thread_id": body.thread_id, "metadata": {}, **more}
    return await caller.may("crons", "search", value)


@routes.get("/runs/crons/{cron_id}", response_model=shapes.Cron)
async def get_cron(parts: Parts, caller: Asking, cron_id: bodies.PathId) -> Response:
    """One cron."""
    scope = await caller.may("crons", "read", {"cron_id": cron_id, "metadata": {}})
    return JsonResponse(cron_json(await parts.storage.crons.get(cron_id, scope)))


@routes.patch("/runs/crons/{cron_id}", response_model=shapes.Cron)
async def patch_cron(
    parts: Parts, caller: Asking, cron_id: bodies.PathId, body: bodies.CronPatch
) -> Response:
    """Changes a cron; what is absent stays. A change of its times counts from now."""
    changed_payload = _payload(body)
    value: dict[str, Any] = {
        "cron_id": cron_id,
        "payload": dict(changed_payload),
        "schedule": body.schedule if "schedule" in body.model_fields_set else None,
        "metadata": dict(body.metadata),
    }
    scope = await caller.may("crons", "update", value)
    stored = await parts.storage.crons.get(cron_id, scope)
    given = {name: getattr(body, name) for name in OF_THE_CRON & body.model_fields_set}
    payload = {**stored.payload, **changed_payload}
    changes: dict[str, Any] = {**given, "payload": payload}
    if "metadata" in body.model_fields_set:
        changes["metadata"] = made_within(scope, value["metadata"])
    if caller.user is not None:
        # Its runs are created in the name of the user who last changed the cron.
        changes["caller"] = caller.user.to_json()
    check_webhook(parts, body.webhook)
    changed = replace(stored, **changes)
    bodies.checked(bodies.RunCreateStateful, payload)
    if given.keys() & set(TIMES):
        now = await parts.storage.now()
        changes["next_run_date"] = next_after(changed.schedule, changed.timezone, now, changed.end_time)
    return JsonResponse(cron_json(await parts.storage.crons.update(cron_id, changes, scope)))


@routes.delete("/runs/crons/{cron_id}", status_code=204)
async def delete_cron(parts: Parts, caller: Asking, cron_id: bodies.PathId) -> Response:
    """Deletes a cron. The runs that it made stay."""
    scope = await caller.may("crons", "delete", {"cron_id": cron_id, "metadata": {}})
    await parts.storage.crons.delete(cron_id, scope)
    return Response(status_code=204)


def request_of(cron: Cron) -> RunRequest:
    """The request for each run of a cron. Raises `InvalidRequest`."""
    body = bodies.checked(bodies.RunCreateStateful, cron.payload)
    request = run_request(cron.payload.get("priority"), body, cron.thread_id)
    configurable = {**(request.config.get("configurable") or {}), "cron_id": cron.cron_id}
    return replace(
        request,
        config={**request.config, "configurable": configurable},
        assistant=cron.assistant_id,
        metadata={**request.metadata, "cron_id": cron.cron_id},
        on_completion=cron.on_run_completed,
        user=cron.caller,
    )


async def _create(
    parts: Services, caller: Caller, request: Request, thread_id: str | None, body: bodies.CronCreate
) -> Cron:
    check_webhook(parts, body.webhook)
    # A caller who may not create the run now may not schedule it either.
    run, assistant = await permitted_run(parts, run_request(request, body, thread_id))
    if thread_id is not None:
        await parts.storage.threads.get(thread_id, run.scope)
    cron_id = str(uuid4())
    value: dict[str, Any] = {
        "payload": dict(_payload(body)),
        "schedule": body.schedule,
        "cron_id": cron_id,
        "thread_id": thread_id,
        "user_id": caller.user.identity if caller.user else None,
        "end_time": body.end_time,
        "metadata": dict(body.metadata),
    }
    metadata = made_within(await caller.may("crons", "create", value), value["metadata"])
    now = await parts.storage.now()
    header = request.headers.get(PRIORITY_HEADER)
    priority = {"priority": priority_of(header, {}, {}).value} if header else {}
    return await parts.storage.crons.create(
        Cron(
            cron_id=cron_id,
            assistant_id=assistant.assistant_id,
            thread_id=thread_id,
            schedule=body.schedule,
            timezone=body.timezone,
            payload={**_payload(body), **priority},
            metadata=metadata,
            on_run_completed=None if thread_id else body.on_run_completed or "delete",
            end_time=body.end_time,
            enabled=body.enabled,
            next_run_date=next_after(body.schedule, body.timezone, now, body.end_time),
            created_at=now,
            updated_at=now,
            caller=caller.user.to_json() if caller.user else None,
        )
    )


def _payload(body: bodies.RunOptions) -> Mapping[str, Any]:
    return body.model_dump(mode="json", exclude_unset=True, exclude=OF_THE_CRON)


def _query(body: bodies.CronCount, scope: Scope | None) -> CronQuery:
    return CronQuery(
        assistant_id=assistant_id_of(body.assistant_id) if body.assistant_id else None,
        thread_id=body.thread_id,
        enabled=body.enabled,
        metadata=body.metadata,
        scope=scope,
    )
