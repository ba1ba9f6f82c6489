"""The audit trail of a thread: who did what to it, and when."""

from __future__ import annotations

from fastapi import Response

from lgs_runtime.api.access import Asking, Parts, page_response, router
from lgs_runtime.api.schemas import bodies, shapes
from lgs_runtime.api.schemas.queries import Limit, Offset
from lgs_runtime.api.schemas.record_json import audit_json
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Page

routes = router("Threads")


@routes.get("/threads/{thread_id}/audit", response_model=list[shapes.AuditEntry])
async def get_audit(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, limit: Limit = 10, offset: Offset = 0
) -> Response:
    """The trail, newest first, a page of it. Where everybody may see every thread, that of a deleted one
    too."""
    scope = await caller.threads("read", thread_id)
    if caller.user is not None:
        await parts.storage.threads.get(thread_id, scope)
    # The owner of a thread does not see what happened to an earlier thread of the same id.
    present_only = caller.user is not None
    found = await parts.storage.audit.of_thread(thread_id, Page(limit + 1, offset), present_only=present_only)
    if not found and offset == 0:
        raise NotFound("thread", thread_id)
    return page_response([audit_json(entry) for entry in found], limit, offset)
