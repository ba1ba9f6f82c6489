"""The commands of protocol v2, each from its parameters to its result. A command that fails is answered in
the protocol (`CommandFailed`); a full queue, an unavailable database and a forbidden caller are answered with
an HTTP status, as on all routes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from fastapi import Request
from langgraph.types import StateSnapshot

from lgs_runtime.api.callers import Caller, checks_authorization
from lgs_runtime.api.protocols import stream_v2_bodies as asked
from lgs_runtime.api.resources.requests import run_request
from lgs_runtime.api.resources.state import config_at
from lgs_runtime.api.schemas import bodies
from lgs_runtime.errors import Conflict, InvalidRequest, NotFound
from lgs_runtime.model import Page, Run, Thread, questions
from lgs_runtime.runs.admission import admit
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.streams.json_encoding import to_json
from lgs_runtime.streams.stream_v2 import first_number, milliseconds
from lgs_runtime.threads.reading import assistant_of, read_history, read_state

SETTLE_SECONDS = 5.0
"""Seconds to wait for the running run to end: a client may answer a question before the run that asked it is
stored as ended."""
MISSING = {"checkpoint": "no_such_checkpoint", "run": "no_such_run", "thread": "no_such_run"}


class CommandFailed(Exception):
    """A command that failed, with the protocol's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def answer(services: Services, request: Request, thread_id: str, command: asked.ProtocolCommand) -> Any:
    """The answer to a command: a `success` with its result, or an `error`."""
    try:
        result, number = await _do(services, request, thread_id, command)
    except CommandFailed as failed:
        return failure(command.id, failed.code, str(failed))
    except (InvalidRequest, Conflict) as wrong:
        return failure(command.id, "invalid_argument", str(wrong))
    except NotFound as missing:
        return failure(command.id, MISSING.get(missing.kind, "invalid_argument"), str(missing))
    return success(command.id, result, number)


def success(command_id: int, result: Mapping[str, Any], number: int | None = None) -> dict[str, Any]:
    """The answer to a command that succeeded. `number`: the state includes all events up to this number."""
    meta = {} if number is None else {"meta": {"applied_through_seq": number}}
    return {"type": "success", "id": command_id, "result": result, **meta}


def failure(command_id: Any, code: str, message: str) -> dict[str, Any]:
    """The answer to a command that failed."""
    known = command_id if isinstance(command_id, int) and not isinstance(command_id, bool) else None
    return {"type": "error", "id": known, "error": code, "message": message}


Done = tuple[Mapping[str, Any], int | None]


async def _do(services: Services, request: Request, thread_id: str, command: asked.ProtocolCommand) -> Done:
    # `run.start` checks permission itself, and may create its thread; the others need an existing thread.
    checks_authorization(request)
    if command.method in NEEDS_A_SOCKET:
        raise CommandFailed(
            "not_supported", f"{command.method}: must be sent over a WebSocket; over HTTP a stream subscribes"
        )
    if command.method == "input.inject":
        raise CommandFailed(
            "not_supported", "input.inject: a run takes no messages on its way; start one that follows it"
        )
    if command.method not in COMMANDS:
        raise CommandFailed(
            "unknown_command", f"method: {command.method!r}: must be one of {', '.join(COMMANDS)}"
        )
    if command.method != "run.start":
        await Caller(request).thread("read", thread_id)
    return await COMMANDS[command.method](services, request, thread_id, command.params)


async def _run_start(services: Services, request: Request, thread_id: str, params: Mapping[str, Any]) -> Done:
    start = bodies.checked(asked.RunStart, params)
    return await _started(
        services,
        request,
        thread_id,
        {
            "assistant_id": start.assistant_id,
            "input": start.input,
            "config": start.config,
            "context": start.context,
            "metadata": start.metadata,
            "multitask_strategy": start.multitask_strategy,
            "langsmith_tracer": start.langsmith_tracer and start.langsmith_tracer.model_dump(),
        },
    )


async def _started(services: Services, request: Request, thread_id: str, given: Mapping[str, Any]) -> Done:
    body = bodies.checked(bodies.RunCreateStateful, {**given, "if_not_exists": "create"})
    run = await admit(services, replace(run_request(request, body, thread_id), protocol=True))
    # All events of the thread's earlier runs came before this run was created.
    return {"run_id": run.run_id}, first_number(milliseconds(run.created_at))


async def _input_respond(
    services: Services, request: Request, thread_id: str, params: Mapping[str, Any]
) -> Done:
    given = bodies.checked(asked.InputRespond, params)
    if given.responses is None and given.interrupt_id is None:
        raise InvalidRequest("interrupt_id: must be given, or several answers in responses")
    answers = (
        {one.interrupt_id: one.response for one in given.responses}
        if given.responses is not None
        else {given.interrupt_id: given.response}
    )
    thread = await _settled(services, thread_id)
    waiting = {one["id"] for one in questions(thread.interrupts)}
    for interrupt_id in answers:
        if interrupt_id not in waiting:
            raise CommandFailed(
                "no_such_interrupt", f"interrupt {interrupt_id}: nothing waits for its answer"
            )
    assistant_id = await assistant_of(services, thread)
    if assistant_id is None:
        raise CommandFailed("no_such_run", f"thread {thread_id}: had no run that could have asked")
    command = {"resume": answers, "update": given.update, "goto": given.goto}
    return await _started(
        services,
        request,
        thread_id,
        {
            "assistant_id": assistant_id,
            "command": {name: value for name, value in command.items() if value is not None},
            "config": given.config,
            "metadata": given.metadata,
        },
    )


async def _settled(services: Services, thread_id: str) -> Thread:
    """The thread when its running run has ended, or as it is after `SETTLE_SECONDS`."""
    thread = await services.storage.threads.get(thread_id)
    if thread.status != "busy":
        return thread
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            for run in await services.storage.runs.of_thread(
                thread_id, RunQuery(page=Page(limit=1), status="running")
            ):
                await services.notifier.finished(run.run_id)
    return await services.storage.threads.get(thread_id)


async def _state_get(services: Services, request: Request, thread_id: str, params: Mapping[str, Any]) -> Done:
    given = bodies.checked(asked.StateGet, params)
    snapshot = await _snapshot(services, request, thread_id, "|".join(given.namespace))
    if snapshot is None:
        return {"values": {}}, None
    if given.namespace and snapshot.created_at is None:
        raise CommandFailed(
            "no_such_namespace", f"namespace: {given.namespace}: must be that of a subgraph with a checkpoint"
        )
    values = to_json(snapshot.values)
    if given.keys is not None:
        values = {name: values[name] for name in given.keys if name in values}
    return {"values": values, **_checkpoint_of(snapshot)}, None


async def _list_checkpoints(
    services: Services, request: Request, thread_id: str, params: Mapping[str, Any]
) -> Done:
    given = bodies.checked(asked.ListCheckpoints, params)
    caller = Caller(request)
    config = config_at(thread_id, bodies.Checkpoint(checkpoint_ns="|".join(given.namespace)), caller)
    before = (
        config_at(thread_id, bodies.Checkpoint(checkpoint_id=given.before), caller) if given.before else None
    )
    thread = await services.storage.threads.get(thread_id)
    async with aclosing(read_history(services, thread, config, before=before, limit=given.limit)) as history:
        return {"checkpoints": [_summary(snapshot) async for snapshot in history]}, None


def _summary(snapshot: StateSnapshot) -> dict[str, Any]:
    metadata = snapshot.metadata or {}
    return {
        "id": snapshot.config["configurable"]["checkpoint_id"],
        "timestamp": snapshot.created_at,
        "step": metadata.get("step"),
        "metadata": to_json(metadata),
    }


async def _state_fork(
    services: Services, request: Request, thread_id: str, params: Mapping[str, Any]
) -> Done:
    given = bodies.checked(asked.StateFork, params)
    thread = await services.storage.threads.get(thread_id)
    assistant_id = await assistant_of(services, thread)
    if assistant_id is None:
        raise CommandFailed("no_such_checkpoint", f"thread {thread_id}: has no checkpoints")
    run, number = await _started(
        services,
        request,
        thread_id,
        {
            "assistant_id": assistant_id,
            "input": given.input,
            "config": given.config,
            "checkpoint_id": given.checkpoint_id,
        },
    )
    return {**run, "thread_id": thread_id}, number


async def _get_tree(services: Services, request: Request, thread_id: str, params: Mapping[str, Any]) -> Done:
    run_id = params.get("run_id")
    if run_id is None:
        run = next(iter(await services.storage.runs.of_thread(thread_id, RunQuery(page=Page(limit=1)))), None)
    else:
        run = await services.storage.runs.get(str(run_id), thread_id)
    if run is None:
        await services.storage.threads.get(thread_id)
        raise CommandFailed("no_such_run", f"thread {thread_id}: had no run yet")
    snapshot = await _snapshot(services, request, thread_id, "", subgraphs=True)
    return {"tree": _tree(run, snapshot)}, None


def _tree(run: Run, snapshot: StateSnapshot | None) -> dict[str, Any]:
    """The tree of a run: its graph, and below it the subgraphs that have begun and not ended."""
    statuses = {"pending": "started", "running": "running", "error": "failed", "timeout": "failed"}
    waits = snapshot is not None and bool(snapshot.next)
    ended = "interrupted" if run.status == "interrupted" or waits else "completed"
    name = str(run.kwargs.get("config", {}).get("configurable", {}).get("graph_id", ""))
    return {
        "namespace": [],
        "status": statuses.get(run.status, ended),
        "graph_name": name,
        "children": [] if snapshot is None else _children(snapshot),
    }


def _children(snapshot: StateSnapshot) -> list[dict[str, Any]]:
    found = []
    for task in snapshot.tasks:
        if isinstance(task.state, StateSnapshot):
            namespace = task.state.config["configurable"].get("checkpoint_ns", "")
            found.append(
                {
                    "namespace": namespace.split("|"),
                    "status": "interrupted" if task.interrupts else "running",
                    "graph_name": task.name,
                    "children": _children(task.state),
                }
            )
    return found


async def _snapshot(
    services: Services, request: Request, thread_id: str, namespace: str, *, subgraphs: bool = False
) -> StateSnapshot | None:
    config = config_at(thread_id, bodies.Checkpoint(checkpoint_ns=namespace), Caller(request))
    thread = await services.storage.threads.get(thread_id)
    try:
        return await read_state(services, thread, config, subgraphs=subgraphs)
    except ValueError as wrong:
        # The graph does not have this subgraph, or no longer.
        raise CommandFailed("no_such_namespace", f"namespace: {namespace!r}: {wrong}") from wrong


def _checkpoint_of(snapshot: StateSnapshot) -> dict[str, Any]:
    named = snapshot.config["configurable"]
    if not named.get("checkpoint_id"):
        return {}
    return {"checkpoint": {"id": named["checkpoint_id"], "ns": named.get("checkpoint_ns", "")}}


COMMANDS: Mapping[str, Callable[[Services, Request, str, Mapping[str, Any]], Awaitable[Done]]] = {
    "run.start": _run_start,
    "input.respond": _input_respond,
    "agent.getTree": _get_tree,
    "state.get": _state_get,
    "state.listCheckpoints": _list_checkpoints,
    "state.fork": _state_fork,
}
NEEDS_A_SOCKET = frozenset({"subscription.subscribe", "subscription.unsubscribe", "subscription.reconnect"})
