"""Calls of MCP tools: each call is a run. If the client can be asked questions, the run has its own thread,
which is kept while a question of the graph waits for its answer: at most an hour or, if a budget refused the
answer, an hour longer than the budget says to wait. For other clients the run is stateless.

The only state that the client carries from one call to the next is the thread's id. It is not trusted: the
thread must be the caller's, made for this tool, and waiting for an answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from fastapi import Request, Response

from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.long_poll import LongPollResponse
from lgs_runtime.api.http.sse import encode_event, event_stream
from lgs_runtime.api.protocols.jsonrpc import INVALID_PARAMS, Call, RpcError, result_json
from lgs_runtime.api.protocols.mcp_questions import Declined, answers, input_required
from lgs_runtime.api.protocols.mcp_tools import INPUT, call_result, declined_result, takes_object
from lgs_runtime.api.protocols.mcp_versions import Negotiated
from lgs_runtime.api.resources.requests import run_request
from lgs_runtime.api.schemas import bodies
from lgs_runtime.errors import BudgetUsedUp, NotFound, RuntimeFault
from lgs_runtime.model import Assistant, Run, Thread, Ttl, questions
from lgs_runtime.runs.admission import admit
from lgs_runtime.runs.following import result
from lgs_runtime.services import Services
from lgs_runtime.storage.scope import made_within
from lgs_runtime.streams.events import StreamEvent
from lgs_runtime.streams.json_encoding import encode
from lgs_runtime.threads.removal import remove_thread
from lgs_runtime.threads.thread_graph import check_here

WAITS: Final = Ttl(3600.0, "delete")
"""The time to live of the thread of a waiting question: an hour."""
TOOL_KEY: Final = "mcp_tool"
"""The metadata key of a call's thread that holds the id of its assistant."""
log = structlog.get_logger(__name__)


async def call_tool(
    services: Services,
    request: Request,
    call: Call,
    negotiated: Negotiated,
    assistant: Assistant,
    *,
    as_events: bool,
) -> Response:
    """Starts or resumes the run of a call; the answer follows when the run has ended. Raises `RpcError`."""
    state = call.params.get("requestState") if negotiated.asks else None
    try:
        if state is None:
            found: Run | dict[str, Any] = await _begun(services, request, call, negotiated, assistant)
        else:
            found = await _resumed(services, request, call, assistant, state)
    except Declined:
        await _cleared(services, str(state))
        found = negotiated.result(declined_result())
    answer = partial(_message, services, found, call.id, negotiated)
    return event_stream(_event(answer), {}) if as_events else LongPollResponse(answer, {})


async def _begun(
    services: Services, request: Request, call: Call, negotiated: Negotiated, assistant: Assistant
) -> Run:
    arguments = call.params.get("arguments")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise RpcError(INVALID_PARAMS, f"arguments: {arguments!r}: must be an object")
    await check_here(services, assistant.graph_id)
    schemas = await services.graphs.schemas(assistant.graph_id)
    given = arguments or {}
    graph_input = given if takes_object(schemas["input_schema"]) else given.get(INPUT)
    asked: dict[str, Any] = {"assistant_id": assistant.assistant_id, "input": graph_input}
    if not negotiated.asks:
        body = bodies.checked(bodies.RunCreateStateless, asked)
        return await admit(services, run_request(request, body, None))
    stateful = bodies.checked(bodies.RunCreateStateful, asked)
    thread_id = await _new_thread(services, request, assistant)
    try:
        return await admit(services, run_request(request, stateful, thread_id))
    except BaseException:
        await _cleared(services, thread_id)
        raise


async def _new_thread(services: Services, request: Request, assistant: Assistant) -> str:
    thread_id = str(uuid4())
    value: dict[str, Any] = {"thread_id": thread_id, "metadata": {TOOL_KEY: assistant.assistant_id}}
    scope = await Caller(request).may("threads", "create", value)
    metadata = made_within(scope, value["metadata"])
    await services.storage.threads.create(thread_id, metadata, "raise", WAITS, scope)
    return thread_id


async def _resumed(
    services: Services, request: Request, call: Call, assistant: Assistant, state: Any
) -> Run | dict[str, Any]:
    """The run that is resumed with the answers; if some are missing, the result that asks for them again.
    Raises `Declined`, `RpcError`."""
    thread = await _waiting(Caller(request), assistant, state)
    asked = questions(thread.interrupts)
    given = answers(asked, call.params.get("inputResponses") or {})
    if given is None:
        return input_required(asked, thread.thread_id)
    body = bodies.checked(
        bodies.RunCreateStateful,
        {
            "assistant_id": assistant.assistant_id,
            "command": {"resume": given},
            "multitask_strategy": "reject",
            "strict_resume": True,
        },
    )
    try:
        return await admit(services, run_request(request, body, thread.thread_id))
    except BudgetUsedUp as used_up:
        await _kept_longer(services, thread, used_up.retry_after_seconds)
        raise


async def _kept_longer(services: Services, thread: Thread, seconds: float) -> None:
    """Extends the thread's time to live, so that the question outlasts the wait of `seconds` that the client
    is told. Best effort: errors are ignored."""
    with suppress(RuntimeFault):
        needed = await services.storage.now() + timedelta(seconds=seconds + WAITS.seconds / 2)
        if thread.expires_at is not None and thread.expires_at < needed:
            longer = replace(WAITS, seconds=seconds + WAITS.seconds)
            await services.storage.threads.update(thread.thread_id, {}, longer)


async def _waiting(caller: Caller, assistant: Assistant, state: Any) -> Thread:
    """The waiting thread that a `requestState` names. Raises `RpcError`, with the same words for another
    user's thread as for none."""
    try:
        thread = await caller.thread("read", str(UUID(state)))
    except (ValueError, AttributeError, TypeError, NotFound):
        thread = None
    if thread is None or thread.metadata.get(TOOL_KEY) != assistant.assistant_id:
        raise RpcError(INVALID_PARAMS, "requestState: must be that of a call of this tool that waits")
    if thread.status != "interrupted" or not thread.interrupts:
        raise RpcError(INVALID_PARAMS, "requestState: the call does not wait for an answer any more")
    return thread


async def _cleared(services: Services, thread_id: str) -> None:
    """Deletes the thread of a call. If that fails, the thread is deleted when its time to live is over."""
    with suppress(NotFound):
        try:
            await remove_thread(services, thread_id)
        except RuntimeFault as failed:
            log.warning("mcp.thread_left", thread_id=thread_id, reason=str(failed))


async def _ended(services: Services, run: Run, negotiated: Negotiated) -> dict[str, Any]:
    values = await result(services, run)
    if not negotiated.asks:
        return negotiated.result(call_result(values))
    if asked := values.get("__interrupt__"):
        return input_required(asked, run.thread_id)
    await _cleared(services, run.thread_id)
    return negotiated.result(call_result(values))


async def _message(
    services: Services, found: Run | dict[str, Any], call_id: Any, negotiated: Negotiated
) -> bytes:
    answer = await _ended(services, found, negotiated) if isinstance(found, Run) else found
    return encode(result_json(call_id, answer))


async def _event(message: Callable[[], Awaitable[bytes]]) -> AsyncGenerator[bytes, None]:
    yield encode_event(StreamEvent("", "message", await message()))
