"""The records of a user: the runs that they requested, on any thread."""

from __future__ import annotations

from fastapi import Response

from lgs_runtime.api.access import Asking, Parts, page_response, router
from lgs_runtime.api.schemas import shapes
from lgs_runtime.api.schemas.queries import Limit, Offset, RunKeys, Status
from lgs_runtime.api.schemas.record_json import run_json, select
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Page
from lgs_runtime.storage.queries import RunQuery

routes = router("Users")


@routes.get("/users/me/runs", response_model=shapes.Runs)
async def list_own_runs(
    parts: Parts,
    caller: Asking,
    *,
    limit: Limit = 10,
    offset: Offset = 0,
    status: Status = None,
    keys: RunKeys = None,
) -> Response:
    """The runs of who asks, on all threads, newest first, a page of them."""
    scope = await caller.threads("search", None, limit=limit, offset=offset)
    if caller.user is None:
        raise NotFound("user", "me", "this service asks nobody who they are")
    query = RunQuery(page=Page(limit + 1, offset), status=status, scope=scope)
    found = await parts.storage.runs.of_user(caller.user.identity, query)
    return page_response([select(run_json(run), keys) for run in found], limit, offset)
