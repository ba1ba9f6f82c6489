"""A2A (Agent2Agent) 1.0 and 0.3: each assistant is an agent. A context is a thread, a task is a run. A task
that needs input waits with a question; the next message in its context is the answer, and begins a task of
its own.

Sources: https://a2a-protocol.org/v1.0.0/specification and …/v0.3.0/specification
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Annotated, Any
from uuid import uuid4

import orjson
from fastapi import Query, Request, Response

from lgs_runtime.api.access import Asking, Parts, router
from lgs_runtime.api.callers import Caller, checks_authorization
from lgs_runtime.api.http.long_poll import LongPollResponse
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.http.sse import encode_event, event_stream
from lgs_runtime.api.protocols import a2a_agents as agents
from lgs_runtime.api.protocols.a2a_lists import listed
from lgs_runtime.api.protocols.a2a_versions import (
    CONTENT_TYPE,
    NO_EXTENDED_CARD,
    NO_PUSH,
    OLD,
    TASK_NOT_CANCELABLE,
    TASK_NOT_FOUND,
    UNSUPPORTED,
    VERSION_HEADER,
    EventKind,
    WireFormat,
    check_version,
    operation,
)
from lgs_runtime.api.protocols.jsonrpc import (
    MESSAGE,
    Call,
    RpcAnswer,
    RpcError,
    error_json,
    read,
    result_json,
    rpc_router,
)
from lgs_runtime.api.resources.requests import run_request
from lgs_runtime.api.schemas import bodies
from lgs_runtime.errors import InvalidRequest, NotFound
from lgs_runtime.model import FINAL, Assistant, Run
from lgs_runtime.runs.admission import admit, assistant_id_of, find_assistant
from lgs_runtime.runs.following import events, result, result_of
from lgs_runtime.services import Services
from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.json_encoding import encode
from lgs_runtime.threads.thread_graph import check_here

routes = rpc_router("A2A")
cards = router("A2A")
ANSWERS: dict[int | str, dict[str, Any]] = {202: {"description": "A notification, which gets no answer."}}


@cards.get("/.well-known/agent-card.json", response_model=dict[str, Any])
async def agent_card(
    parts: Parts, caller: Asking, request: Request, assistant_id: Annotated[str, Query(min_length=1)]
) -> Response:
    """The card of an assistant: who it is, and where it is spoken to."""
    return await _card(parts, caller, request, assistant_id)


# Where a client looks that only has the agent's URL; `agent.json` was the name before 0.3.
@cards.get("/a2a/{assistant_id}/.well-known/agent.json", include_in_schema=False)
@cards.get("/a2a/{assistant_id}/.well-known/agent-card.json", include_in_schema=False)
async def card_of_agent(parts: Parts, caller: Asking, request: Request, assistant_id: str) -> Response:
    """The card of an assistant, below where it is spoken to."""
    return await _card(parts, caller, request, assistant_id)


async def _card(services: Services, caller: Caller, request: Request, name: str) -> Response:
    assistant = await _agent(services, caller, name)
    url = f"{str(request.base_url).rstrip('/')}/a2a/{assistant.assistant_id}"
    return JsonResponse(agents.card(assistant, url))


@routes.post("/a2a/{assistant_id}/", include_in_schema=False)
@routes.post("/a2a/{assistant_id}", response_model=RpcAnswer, responses=ANSWERS, openapi_extra=MESSAGE)
async def post(parts: Parts, request: Request, assistant_id: str) -> Response:
    """One JSON-RPC message: `SendMessage`, `SendStreamingMessage`, `GetTask`, `ListTasks`, `CancelTask`,
    `SubscribeToTask`, or their names in 0.3."""
    # Whatever touches a user's resources checks permission itself.
    checks_authorization(request)
    call_id, wire = None, OLD
    try:
        call = read(await request.json())
        if call is None or call.id is None:
            return Response(status_code=202)
        call_id = call.id
        _, wire = operation(call)
        check_version(request.headers.get(VERSION_HEADER), wire)
        return await _done(parts, request, assistant_id, call)
    except agents.UnsupportedPart as unknown:
        return JsonResponse(error_json(call_id, wire.error(RpcError(CONTENT_TYPE, str(unknown)))))
    except RpcError as wrong:
        return JsonResponse(error_json(call_id, wire.error(wrong)))


async def _done(services: Services, request: Request, name: str, call: Call) -> Response:
    caller = Caller(request)
    wanted, wire = operation(call)
    match wanted:
        case "send":
            run = await _send(services, request, name, call)
            return LongPollResponse(
                partial(_whole, services, run, call.id, wire, wait=wire.waits(call.params)), {}
            )
        case "stream":
            run = await _send(services, request, name, call)
            return event_stream(_events(services, run, call.id, wire), {})
        case "subscribe":
            run = await _run(services, caller, "read", call.params.get("id"))
            if run.status in FINAL:
                raise RpcError(UNSUPPORTED, f"task {run.run_id}: has ended: must go on to be followed")
            return event_stream(_events(services, run, call.id, wire), {})
        case "get" | "cancel":
            found = await (_task if wanted == "get" else _cancelled)(services, caller, call)
            return JsonResponse(result_json(call.id, wire.task(found)))
        case "list":
            agent = await _agent(services, caller, name)
            return JsonResponse(result_json(call.id, await listed(services, caller, agent, call.params)))
        case "push":
            raise RpcError(NO_PUSH, "push notifications: not supported; ask for the task, or stream it")
        case "card":
            raise RpcError(
                NO_EXTENDED_CARD, "extended card: there is none; the card is the same for everybody"
            )


async def _agent(services: Services, caller: Caller, name: str) -> Assistant:
    scope = await caller.assistants("read", {"assistant_id": assistant_id_of(name), "metadata": {}})
    return await find_assistant(services, name, scope)


async def _send(services: Services, request: Request, name: str, call: Call) -> Run:
    """The run that a message starts. The message is its input or, if its context waits with questions, the
    answer to them."""
    message = call.params.get("message")
    if not isinstance(message, Mapping):
        raise InvalidRequest("params.message: must be an object with parts")
    assistant = await _agent(services, Caller(request), name)
    thread_id, waits = await _context(services, request, message)
    asked: dict[str, Any] = {
        "assistant_id": assistant.assistant_id,
        "if_not_exists": "create",
        "stream_mode": ["messages-tuple"],
        "metadata": call.params.get("metadata") or {},
    }
    if waits:
        asked["command"] = {"resume": agents.answer_of(message)}
    else:
        await check_here(services, assistant.graph_id)
        schemas = await services.graphs.schemas(assistant.graph_id)
        # A field that can't be described (an application's type, a TypedDict before Python 3.12) leaves the
        # input without a schema; the state is described channel by channel.
        asked["input"] = agents.input_of(message, schemas["input_schema"] or schemas["state_schema"])
    body = bodies.checked(bodies.RunCreateStateful, asked)
    return await admit(services, run_request(request, body, thread_id))


async def _context(services: Services, request: Request, message: Mapping[str, Any]) -> tuple[str, bool]:
    """The thread id of a message, and whether that thread waits with a question."""
    given = message.get("contextId")
    if given is None and (task_id := message.get("taskId")) is not None:
        given = (await _run(services, Caller(request), "read", task_id)).thread_id
    if given is None:
        return str(uuid4()), False
    [thread_id] = bodies.checked(_Context, {"contextId": given}).model_dump().values()
    try:
        thread = await Caller(request).thread("read", thread_id)
    except NotFound:
        return thread_id, False
    return thread_id, thread.status == "interrupted" and bool(thread.interrupts)


class _Context(bodies.Body):
    contextId: bodies.Id


class _Named(bodies.Body):
    id: bodies.Id


async def _run(services: Services, caller: Caller, action: Any, task_id: Any) -> Run:
    [run_id] = bodies.checked(_Named, {"id": task_id}).model_dump().values()
    more = {"action": "interrupt"} if action == "update" else {}
    scope = await caller.threads(action, None, run_id=run_id, **more)
    try:
        return await services.storage.runs.get(run_id, None, scope)
    except NotFound as missing:
        raise RpcError(TASK_NOT_FOUND, f"task {run_id}: not found") from missing


async def _task(services: Services, caller: Caller, call: Call) -> dict[str, Any]:
    run = await _run(services, caller, "read", call.params.get("id"))
    return agents.task(run, await result_of(services, run) if run.status in FINAL else None)


async def _cancelled(services: Services, caller: Caller, call: Call) -> dict[str, Any]:
    run = await _run(services, caller, "update", call.params.get("id"))
    if run.status in FINAL:
        raise RpcError(TASK_NOT_CANCELABLE, f"task {run.run_id}: has ended: must go on to be cancelled")
    await services.storage.queue.cancel(run.thread_id, [run.run_id], "interrupt")
    ended = await services.notifier.finished(run.run_id)
    return agents.task(ended or replace(run, status="interrupted"))


async def _whole(services: Services, run: Run, call_id: Any, wire: WireFormat, *, wait: bool) -> bytes:
    task = await _ended(services, run) if wait else agents.task(run)
    return encode(result_json(call_id, wire.event("task", task)))


async def _ended(services: Services, run: Run) -> dict[str, Any]:
    values = await result(services, run)
    ended = await services.notifier.finished(run.run_id)
    if ended is None or ended.status == "interrupted":
        return agents.task(ended or replace(run, status="interrupted"))
    return agents.task(ended, values)


async def _events(
    services: Services, run: Run, call_id: Any, wire: WireFormat
) -> AsyncGenerator[bytes, None]:
    """The stream of a task: the task as it begins, the assistant's text piece by piece, its result, and how
    it ended."""

    def event(kind: EventKind, what: Any) -> bytes:
        return encode_event(StreamEvent("", "message", encode(result_json(call_id, wire.event(kind, what)))))

    yield event("task", agents.task(run))
    begun = False
    async with aclosing(events(services, run, FROM_START, ["messages-tuple"])) as source:
        async for found in source:
            for text in filter(None, map(_token, found)):
                yield event("artifactUpdate", agents.piece(run, [agents.text_part(text)], append=begun))
                begun = True
    ended = await _ended(services, run)
    for made in ended.get("artifacts", ()):
        yield event("artifactUpdate", agents.piece(run, made["parts"], last=True))
    yield event("statusUpdate", agents.ending(ended))


def _token(event: StreamEvent) -> str:
    """The assistant's text in an event; empty for most events."""
    if event.event != "messages":
        return ""
    message = orjson.loads(event.data)[0]
    return agents.text_of(message.get("content")) if message.get("type") == "AIMessageChunk" else ""
