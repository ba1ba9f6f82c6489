"""Assistants: graphs with a configuration, their versions, and what their graphs look like.

Wherever an assistant is named by id, the name of a graph stands for that graph's default assistant.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from fastapi import Request, Response
from langchain_core.runnables import RunnableConfig

from lgs_runtime.api import bodies
from lgs_runtime.api.access import Parts, flag, page_response, router
from lgs_runtime.api.encoding import JsonResponse, assistant_json, select
from lgs_runtime.errors import InvalidRequest
from lgs_runtime.graphs.schemas import Graph, graph_schemas
from lgs_runtime.model import Assistant, Page
from lgs_runtime.runs.admission import find_assistant, named_assistant

routes = router("Assistants")


@routes.post("/assistants")
async def create_assistant(parts: Parts, body: bodies.AssistantCreate) -> Response:
    """Makes an assistant of a graph."""
    parts.graphs.describe(body.graph_id)
    now = await parts.storage.now()
    assistant = Assistant(
        assistant_id=body.assistant_id or str(uuid4()),
        graph_id=body.graph_id,
        name=body.name or "Untitled",
        description=body.description,
        config=body.config,
        context=body.context,
        metadata=body.metadata,
        version=1,
        created_at=now,
        updated_at=now,
    )
    return JsonResponse(assistant_json(await parts.storage.create_assistant(assistant, body.if_exists)))


@routes.post("/assistants/search")
async def search_assistants(parts: Parts, body: bodies.AssistantSearch) -> Response:
    """Assistants that match, a page of them."""
    page = Page(body.limit + 1, body.offset, body.sort_by or "created_at", body.sort_order or "desc")
    found = await parts.storage.assistants(page, body.graph_id, body.name, body.metadata)
    records = [select(assistant_json(assistant), body.select) for assistant in found]
    return page_response(records, body.limit, body.offset)


@routes.post("/assistants/count")
async def count_assistants(parts: Parts, body: bodies.AssistantCount) -> Response:
    """How many assistants match."""
    return JsonResponse(await parts.storage.count_assistants(body.graph_id, body.name, body.metadata))


@routes.get("/assistants/{assistant_id}")
async def get_assistant(parts: Parts, assistant_id: str) -> Response:
    """One assistant."""
    return JsonResponse(assistant_json(await find_assistant(parts, assistant_id)))


@routes.patch("/assistants/{assistant_id}")
async def patch_assistant(parts: Parts, assistant_id: str, body: bodies.AssistantPatch) -> Response:
    """Stores a new version of an assistant, which becomes the current one."""
    if body.graph_id is not None:
        parts.graphs.describe(body.graph_id)
    changes = body.model_dump(exclude_none=True)
    with named_assistant(parts, assistant_id) as named:
        return JsonResponse(assistant_json(await parts.storage.update_assistant(named, changes)))


@routes.delete("/assistants/{assistant_id}", status_code=204)
async def delete_assistant(parts: Parts, request: Request, assistant_id: str) -> Response:
    """Deletes an assistant, and with `delete_threads` the threads that it ran."""
    threads = flag(request, "delete_threads")
    with named_assistant(parts, assistant_id) as named:
        await parts.storage.delete_assistant(named, delete_threads=threads)
    return Response(status_code=204)


@routes.post("/assistants/{assistant_id}/versions")
async def list_versions(parts: Parts, assistant_id: str, body: bodies.AssistantVersions) -> Response:
    """The versions of an assistant, newest first."""
    page = Page(body.limit, body.offset)
    with named_assistant(parts, assistant_id) as named:
        found = await parts.storage.assistant_versions(named, page, body.metadata)
    return JsonResponse([assistant_json(version) for version in found])


@routes.post("/assistants/{assistant_id}/latest")
async def set_latest(parts: Parts, assistant_id: str, body: bodies.AssistantLatest) -> Response:
    """Makes a stored version the current one."""
    with named_assistant(parts, assistant_id) as named:
        return JsonResponse(assistant_json(await parts.storage.set_latest(named, body.version)))


@routes.get("/assistants/{assistant_id}/schemas")
async def get_schemas(parts: Parts, assistant_id: str) -> Response:
    """JSON schemas of the graph's input, output, state, config and context."""
    assistant = await find_assistant(parts, assistant_id)
    return JsonResponse(await parts.graphs.schemas(assistant.graph_id))


@routes.get("/assistants/{assistant_id}/graph")
async def get_graph(parts: Parts, request: Request, assistant_id: str) -> Response:
    """The graph's nodes and edges. `xray` shows subgraphs too: all, or so many levels of them."""
    assistant = await find_assistant(parts, assistant_id)
    config = _config(assistant)
    async with parts.graphs.open(assistant.graph_id, config, access="assistants.read") as graph:
        drawing = await graph.aget_graph(config, xray=_xray(request))
    return JsonResponse(drawing.to_json())


@routes.get("/assistants/{assistant_id}/subgraphs")
async def get_subgraphs(parts: Parts, request: Request, assistant_id: str) -> Response:
    """Schemas of the subgraphs, by namespace. `recurse` goes on into theirs."""
    return await _subgraphs(parts, request, assistant_id, None)


@routes.get("/assistants/{assistant_id}/subgraphs/{namespace}")
async def get_subgraphs_in(parts: Parts, request: Request, assistant_id: str, namespace: str) -> Response:
    """Schemas of the subgraphs in one namespace."""
    return await _subgraphs(parts, request, assistant_id, namespace)


async def _subgraphs(parts: Parts, request: Request, assistant_id: str, namespace: str | None) -> Response:
    assistant = await find_assistant(parts, assistant_id)
    recurse = flag(request, "recurse")
    config = _config(assistant)
    async with parts.graphs.open(assistant.graph_id, config, access="assistants.read") as graph:
        found = {
            name: graph_schemas(cast(Graph, subgraph))
            async for name, subgraph in graph.aget_subgraphs(namespace=namespace, recurse=recurse)
        }
    return JsonResponse(found)


def _config(assistant: Assistant) -> RunnableConfig:
    config: dict[str, Any] = {"configurable": {}, **assistant.config}
    return cast(RunnableConfig, config)


def _xray(request: Request) -> bool | int:
    text = request.query_params.get("xray", "")
    if text.isdigit() and int(text) > 1:
        return int(text)
    try:
        return flag(request, "xray")
    except InvalidRequest:
        raise InvalidRequest(f"xray: {text!r}: must be true, false or a number of levels") from None
