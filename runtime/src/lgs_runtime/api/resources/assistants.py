"""Assistants: graphs with a configuration, their versions, and the drawings and schemas of their graphs.

Wherever a route takes an assistant's id, the name of a graph stands for that graph's default assistant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast
from uuid import uuid4

from fastapi import Response
from langchain_core.runnables import RunnableConfig

from lgs_runtime.api.access import Asking, Parts, page_response, router
from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.queries import Flag, Xray
from lgs_runtime.api.schemas.record_json import assistant_json, select
from lgs_runtime.database.json_columns import contains
from lgs_runtime.errors import InvalidRequest, NotFound
from lgs_runtime.graphs.failures import graph_called
from lgs_runtime.graphs.registry import SYSTEM_METADATA, default_assistant_id
from lgs_runtime.graphs.schemas import Graph, graph_schemas
from lgs_runtime.model import Assistant, Page, Scope
from lgs_runtime.runs.admission import assistant_id_of, find_assistant, named_assistant
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import AssistantQuery
from lgs_runtime.storage.scope import check_kept, made_within, widened
from lgs_runtime.threads.removal import UNFINISHED, cancel_all
from lgs_runtime.threads.thread_graph import check_here

routes = router("Assistants")


@routes.post("/assistants", response_model=shapes.Assistant, responses=operations.refusals(409))
async def create_assistant(parts: Parts, caller: Asking, body: bodies.AssistantCreate) -> Response:
    """Makes an assistant of a graph."""
    await _check_known(parts, body.graph_id)
    now = await parts.storage.now()
    assistant_id = body.assistant_id or str(uuid4())
    value = {**body.model_dump(), "assistant_id": assistant_id, "metadata": dict(body.metadata)}
    scope = await caller.assistants("create", value)
    metadata = made_within(scope, _own(value["metadata"], scope))
    assistant = Assistant(
        assistant_id=assistant_id,
        graph_id=body.graph_id,
        name=body.name or "Untitled",
        description=body.description,
        config=body.config,
        context=body.context,
        metadata=metadata,
        version=1,
        created_at=now,
        updated_at=now,
    )
    readable = widened(scope, SYSTEM_METADATA)
    stored = await parts.storage.assistants.create(assistant, body.if_exists, readable)
    return JsonResponse(assistant_json(stored))


async def _check_known(parts: Services, graph_id: str) -> None:
    """Raises `NotFound` for a graph that no replica of the service has had. During a rollout this replica may
    lack a graph of another one; the stored default assistant shows that the graph exists."""
    if graph_id in parts.graphs.ids:
        return
    try:
        own = await parts.storage.assistants.get(default_assistant_id(graph_id))
    except NotFound:
        own = None
    if own is None or own.graph_id != graph_id:
        raise NotFound("graph", graph_id, parts.graphs.listing)


@routes.post("/assistants/search", response_model=shapes.Assistants)
async def search_assistants(parts: Parts, caller: Asking, body: bodies.AssistantSearch) -> Response:
    """Assistants that match, a page of them."""
    page = Page(body.limit + 1, body.offset, body.sort_by or "created_at", body.sort_order or "desc")
    scope = await _search(caller, body, limit=body.limit, offset=body.offset)
    found = await parts.storage.assistants.search(replace(_query(body, scope), page=page))
    records = [select(assistant_json(assistant), body.select) for assistant in found]
    return page_response(records, body.limit, body.offset)


@routes.post("/assistants/count", response_model=int)
async def count_assistants(parts: Parts, caller: Asking, body: bodies.AssistantCount) -> Response:
    """How many assistants match."""
    scope = await _search(caller, body)
    return JsonResponse(await parts.storage.assistants.count(_query(body, scope)))


def _query(body: bodies.AssistantCount, scope: Scope | None) -> AssistantQuery:
    return AssistantQuery(graph_id=body.graph_id, name=body.name, metadata=body.metadata, scope=scope)


async def _search(caller: Caller, body: bodies.AssistantCount, **more: Any) -> Scope | None:
    """The scope of a search. Metadata that the handler adds is no condition of the search: it would hide the
    default assistants of the graphs."""
    value = {"graph_id": body.graph_id, "metadata": dict(body.metadata or {}), **more}
    return await caller.assistants("search", value)


@routes.get("/assistants/{assistant_id}", response_model=shapes.Assistant)
async def get_assistant(parts: Parts, caller: Asking, assistant_id: str) -> Response:
    """One assistant."""
    return JsonResponse(assistant_json(await _readable(parts, caller, assistant_id)))


@routes.patch("/assistants/{assistant_id}", response_model=shapes.Assistant)
async def patch_assistant(
    parts: Parts, caller: Asking, assistant_id: str, body: bodies.AssistantPatch
) -> Response:
    """Stores a new version of an assistant, which becomes the current one."""
    if body.graph_id is not None:
        await _check_known(parts, body.graph_id)
    changes = body.model_dump(exclude_none=True)
    with named_assistant(parts, assistant_id) as named:
        value = {**changes, "assistant_id": named, "metadata": dict(body.metadata or {})}
        scope = await caller.assistants("update", value)
        if value["metadata"]:
            changes["metadata"] = _own(value["metadata"], scope)
            check_kept(scope, changes["metadata"])
        return JsonResponse(assistant_json(await parts.storage.assistants.update(named, changes, scope)))


@routes.delete("/assistants/{assistant_id}", status_code=204)
async def delete_assistant(
    parts: Parts, caller: Asking, assistant_id: str, delete_threads: Flag = False
) -> Response:
    """Deletes an assistant, and with `delete_threads` the threads that it ran. Its runs are stopped, as far
    as the caller may change their threads."""
    with named_assistant(parts, assistant_id) as named:
        scope = await caller.assistants("delete", {"assistant_id": named})
        stoppable = await caller.threads("update", None, action="interrupt")
        of_threads = await caller.threads("delete", None) if delete_threads else None
        await parts.storage.assistants.get(named, scope)
        stop_runs = partial(cancel_all, parts, UNFINISHED, "interrupt", stoppable, named)
        # Before the deletion, so that a caller who gets an error can retry; and after it, for runs created in
        # between.
        await stop_runs()
        await parts.storage.assistants.delete(
            named, delete_threads=delete_threads, scope=scope, threads_scope=of_threads
        )
        await stop_runs()
    return Response(status_code=204)


@routes.post("/assistants/{assistant_id}/versions", response_model=list[shapes.Assistant])
async def list_versions(
    parts: Parts, caller: Asking, assistant_id: str, body: bodies.AssistantVersions
) -> Response:
    """The versions of an assistant, newest first. Raises `NotFound` for one that there is not."""
    page = Page(body.limit, body.offset)
    with named_assistant(parts, assistant_id) as named:
        scope = await caller.assistants("read", {"assistant_id": named, "metadata": {}})
        found = await parts.storage.assistants.versions(named, page, body.metadata, scope)
    if not found:
        await find_assistant(parts, assistant_id, scope)
    return JsonResponse([assistant_json(version) for version in found])


@routes.post("/assistants/{assistant_id}/latest", response_model=shapes.Assistant)
async def set_latest(
    parts: Parts, caller: Asking, assistant_id: str, body: bodies.AssistantLatest
) -> Response:
    """Makes a stored version the current one."""
    with named_assistant(parts, assistant_id) as named:
        value = {"assistant_id": named, "version": body.version, "metadata": {}}
        scope = await caller.assistants("update", value)
        return JsonResponse(
            assistant_json(await parts.storage.assistants.set_latest(named, body.version, scope))
        )


@routes.get(
    "/assistants/{assistant_id}/schemas",
    response_model=shapes.AssistantSchemas,
    responses=operations.refusals(502),
)
async def get_schemas(parts: Parts, caller: Asking, assistant_id: str) -> Response:
    """JSON schemas of the graph's input, output, state, config and context."""
    assistant = await _readable(parts, caller, assistant_id)
    await check_here(parts, assistant.graph_id)
    with graph_called(assistant.graph_id):
        return JsonResponse(await parts.graphs.schemas(assistant.graph_id, _config(assistant, caller)))


@routes.get(
    "/assistants/{assistant_id}/graph", response_model=shapes.Drawing, responses=operations.refusals(502)
)
async def get_graph(parts: Parts, caller: Asking, assistant_id: str, xray: Xray = False) -> Response:
    """The graph's nodes and edges. `xray` shows subgraphs too: all, or so many levels of them."""
    assistant = await _readable(parts, caller, assistant_id)
    config = _config(assistant, caller)
    async with _opened(parts, assistant, config) as graph:
        drawing = (await graph.aget_graph(config, xray=xray)).to_json()
    return JsonResponse({**drawing, "nodes": [_node(node) for node in drawing["nodes"]]})


@routes.get(
    "/assistants/{assistant_id}/subgraphs",
    response_model=dict[str, shapes.GraphSchemas],
    responses=operations.refusals(502),
)
async def get_subgraphs(parts: Parts, caller: Asking, assistant_id: str, recurse: Flag = False) -> Response:
    """Schemas of the subgraphs, by namespace. `recurse` goes on into theirs."""
    return await _subgraphs(parts, caller, assistant_id, None, recurse)


@routes.get(
    "/assistants/{assistant_id}/subgraphs/{namespace}",
    response_model=dict[str, shapes.GraphSchemas],
    responses=operations.refusals(502),
)
async def get_subgraphs_in(
    parts: Parts, caller: Asking, assistant_id: str, namespace: str, recurse: Flag = False
) -> Response:
    """Schemas of the subgraphs in one namespace."""
    return await _subgraphs(parts, caller, assistant_id, namespace, recurse)


async def _subgraphs(
    parts: Parts, caller: Caller, assistant_id: str, namespace: str | None, recurse: bool
) -> Response:
    assistant = await _readable(parts, caller, assistant_id)
    config = _config(assistant, caller)
    async with _opened(parts, assistant, config) as graph:
        found = {
            name: graph_schemas(cast(Graph, subgraph))
            async for name, subgraph in graph.aget_subgraphs(namespace=namespace, recurse=recurse)
        }
    return JsonResponse(found)


@asynccontextmanager
async def _opened(parts: Services, assistant: Assistant, config: RunnableConfig) -> AsyncIterator[Graph]:
    """Opens an assistant's graph to describe it."""
    await check_here(parts, assistant.graph_id)
    with graph_called(assistant.graph_id):
        async with parts.graphs.open(assistant.graph_id, config, access="assistants.read") as graph:
            yield graph


async def _readable(parts: Services, caller: Caller, name: str) -> Assistant:
    """An assistant that the caller may read. Raises `NotFound` also for one outside their scope."""
    scope = await caller.assistants("read", {"assistant_id": assistant_id_of(name), "metadata": {}})
    return await find_assistant(parts, name, scope)


def _own(metadata: Mapping[str, Any], scope: Scope | None) -> dict[str, Any]:
    """The metadata that a user gives to their own assistant. Raises `InvalidRequest` for the metadata that
    mark the default assistants of the graphs, because everybody sees those."""
    if scope is not None and contains(dict(metadata), dict(SYSTEM_METADATA)):
        raise InvalidRequest("metadata.created_by: 'system': must not be what the graphs' own assistants say")
    return dict(metadata)


def _node(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node as clients see it: without the path of its Python class."""
    if not isinstance(node.get("data"), Mapping):
        return node
    return {**node, "data": {name: value for name, value in node["data"].items() if name != "id"}}


def _config(assistant: Assistant, caller: Caller) -> RunnableConfig:
    given = assistant.config.get("configurable") or {}
    config: dict[str, Any] = {**assistant.config, "configurable": {**given, **caller.configurable()}}
    return cast(RunnableConfig, config)
