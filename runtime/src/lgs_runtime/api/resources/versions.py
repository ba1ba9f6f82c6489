"""Versions of threads: one for each ended run that left a state, and those saved by hand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Response

from lgs_runtime.api.access import Asking, Parts, page_response, router
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.queries import Limit, Offset
from lgs_runtime.api.schemas.record_json import state_json, version_json
from lgs_runtime.model import Page
from lgs_runtime.threads.versions import difference, roll_back, save_version, state_at

routes = router("Thread Versions")
NOTHING = bodies.VersionSave(description=None)
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@routes.get("/threads/{thread_id}/versions", response_model=list[shapes.Version])
async def list_versions(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, limit: Limit = 10, offset: Offset = 0
) -> Response:
    """The versions that are kept, newest first, a page of them."""
    await caller.thread("read", thread_id)
    found = await parts.storage.versions.of_thread(thread_id, Page(limit + 1, offset))
    return page_response([version_json(version) for version in found], limit, offset)


@routes.post(
    "/threads/{thread_id}/versions", response_model=shapes.Version, responses=operations.refusals(409)
)
async def create_version(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, body: bodies.VersionSave = NOTHING
) -> Response:
    """Makes the present state a version."""
    await caller.thread("update", thread_id)
    return JsonResponse(version_json(await save_version(parts, thread_id, body.description, body.metadata)))


@routes.get("/threads/{thread_id}/versions/{version}", response_model=shapes.VersionState)
async def get_version(parts: Parts, caller: Asking, thread_id: bodies.PathId, version: Number) -> Response:
    """One version with its state."""
    await caller.thread("read", thread_id)
    found = await parts.storage.versions.get(thread_id, version)
    state = state_json(await state_at(parts, found))
    names = ("values", "next", "tasks", "checkpoint", "parent_checkpoint")
    return JsonResponse({**version_json(found), **{name: state[name] for name in names}})


@routes.get("/threads/{thread_id}/versions/{version}/diff/{other}", response_model=dict[str, Any])
async def diff_versions(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, version: Number, other: Number
) -> Response:
    """What differs between the values of two versions."""
    await caller.thread("read", thread_id)
    before = await parts.storage.versions.get(thread_id, version)
    after = await parts.storage.versions.get(thread_id, other)
    return JsonResponse({"from": version, "to": other, **await difference(parts, before, after)})


@routes.patch("/threads/{thread_id}/versions/{version}", response_model=shapes.Version)
async def patch_version(
    parts: Parts,
    caller: Asking,
    thread_id: bodies.PathId,
    version: Number,
    body: bodies.VersionSave = NOTHING,
) -> Response:
    """Describes a version, and merges metadata into its own."""
    await caller.thread("update", thread_id)
    found = await parts.storage.versions.describe(thread_id, version, body.description, body.metadata)
    return JsonResponse(version_json(found))


@routes.post(
    "/threads/{thread_id}/versions/{version}/rollback",
    response_model=shapes.Version,
    responses=operations.refusals(409),
)
async def rollback_to_version(
    parts: Parts,
    caller: Asking,
    thread_id: bodies.PathId,
    version: Number,
    body: bodies.VersionSave = NOTHING,
) -> Response:
    """Makes the thread what it was at a version; that is a new version."""
    await caller.thread("update", thread_id)
    found = await parts.storage.versions.get(thread_id, version)
    return JsonResponse(version_json(await roll_back(parts, found, body.description, body.metadata)))
