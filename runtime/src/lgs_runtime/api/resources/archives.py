"""Export and import of threads as documents of any size."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Annotated, Any, Literal
from uuid import uuid4

import orjson
from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from lgs_runtime.api.access import Asking, Parts, Route, router
from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.problems import BodyTooLarge
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.record_json import thread_json
from lgs_runtime.errors import Conflict, InvalidRequest, NotFound
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.services import Services
from lgs_runtime.storage.scope import made_within
from lgs_runtime.threads.archive import Archive
from lgs_runtime.threads.archive_import import ThreadImport
from lgs_runtime.threads.archive_values import ValueCodec
from lgs_runtime.threads.removal import nested_graphs, remove_thread


class StreamedRoute(Route):
    """A route whose body is read as it arrives, not as a whole."""

    reads_whole = False


routes = router("Threads")
streamed = router("Threads", route_class=StreamedRoute)
IfExists = Annotated[Literal["raise", "replace", "new"], Query()]
LINES = "application/x-ndjson"


@routes.get(
    "/threads/{thread_id}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {LINES: {"schema": {"type": "string"}}}}},
)
async def export_thread(parts: Parts, caller: Asking, thread_id: bodies.PathId) -> Response:
    """The thread with everything that is kept of it, as lines of JSON."""
    await caller.thread("read", thread_id)
    await parts.storage.audit.note(thread_id, "thread.exported", {})
    archive = Archive(parts.storage, parts.checkpointer, parts.upkeep, ValueCodec())
    lines = archive.answer(thread_id)
    first = await anext(lines)
    headers = {"Content-Disposition": f'attachment; filename="{thread_id}.ndjson"'}
    return StreamingResponse(_with_first(first, lines), media_type=LINES, headers=headers)


@streamed.post(
    "/threads/import",
    response_model=shapes.Thread,
    responses=operations.refusals(409),
    openapi_extra={"requestBody": {"required": True, "content": {LINES: {"schema": {"type": "string"}}}}},
)
async def import_thread(
    parts: Parts, caller: Asking, request: Request, if_exists: IfExists = "raise"
) -> Response:
    """Makes a thread of the document that an export gave. `new` gives it another id."""
    lines = _lines(request, parts.settings.max_body_bytes)
    first = await anext(lines, b"")
    codec = ValueCodec(await _graphs_of(parts, first))
    ttl = parts.settings.checkpointer.ttl.default
    archive = Archive(parts.storage, parts.checkpointer, parts.upkeep, codec, ttl)
    thread_import = ThreadImport(archive, str(uuid4()) if if_exists == "new" else None)
    try:
        await thread_import.take(first)
        await _permitted(caller, thread_import, guarded=parts.access.auth is not None)
        async for line in lines:
            await thread_import.take(line)
        replace = partial(_replace, parts, caller) if if_exists == "replace" else None
        thread_id = await thread_import.settle(replace)
    except BaseException:
        await thread_import.drop()
        raise
    return JsonResponse(thread_json(await parts.storage.threads.get(thread_id)))


async def _permitted(caller: Caller, thread_import: ThreadImport, *, guarded: bool) -> None:
    """Checks the permissions that an import needs: to create a thread and to change its state. If the service
    has an `Auth` object, the thread becomes the caller's. Raises `Forbidden`, `RefusedByHandler`,
    `HandlerFailed`."""
    value: dict[str, Any] = {"thread_id": thread_import.target, "metadata": dict(thread_import.metadata)}
    value["if_exists"] = "raise"
    metadata = made_within(await caller.may("threads", "create", value), value["metadata"])
    await caller.check_may_change(thread_import.target, metadata)
    if guarded:
        thread_import.claim(metadata, caller.user.identity if caller.user else None)


async def _replace(parts: Services, caller: Caller, thread_id: str) -> None:
    """Deletes a thread that the import replaces. Raises `Conflict` if the caller may not delete it."""
    scope = await caller.threads("delete", thread_id)
    try:
        await remove_thread(parts, thread_id, scope, replaced=True)
    except NotFound as missing:
        raise Conflict(f"thread {thread_id} exists, and may not be replaced by you; use new") from missing


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for line in rest:
        yield line


async def _lines(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The lines of a body as they arrive. Raises `BodyTooLarge` for a line that is too long."""
    pending = b""
    async for chunk in request.stream():
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(pending) > max_bytes:
            raise BodyTooLarge(f"a line of more than {max_bytes}", max_bytes)
    if pending.strip():
        yield pending


async def _graphs_of(parts: Parts, first: bytes) -> list[Graph]:
    """The graph of the thread that a document's first line describes, with its subgraphs; their schemas say
    which types may be imported. Raises `InvalidRequest` for an unknown graph."""
    try:
        graph_id = orjson.loads(first)["row"]["metadata"]["graph_id"]
    except (ValueError, KeyError, TypeError):
        return []
    if graph_id not in parts.graphs.ids:
        raise InvalidRequest(
            f"line 1: thread.metadata.graph_id: {graph_id!r:.80}: must be a graph of this service"
        )
    async with parts.graphs.open(graph_id) as graph:
        return [graph, *await nested_graphs(graph)]
