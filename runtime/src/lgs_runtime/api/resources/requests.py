"""Translates a request's body and headers into a `RunRequest`, and makes the headers that name a run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from fastapi import Request

from lgs_runtime.api.callers import checks_authorization, request_id_of, user_of
from lgs_runtime.api.http.limits import check_text
from lgs_runtime.api.http.tracing import TRACE_HEADER, traced
from lgs_runtime.api.schemas.bodies import RunBatch, RunCreateStateful, RunCreateStateless
from lgs_runtime.api.schemas.bodies.fields import Command, as_uuid
from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Json, Run
from lgs_runtime.run_kwargs import Durability
from lgs_runtime.runs.requests import RunRequest, priority_of
from lgs_runtime.streams.events import position

PRIORITY_HEADER = "x-lgs-priority"
PROTOCOL_KEY = "__event_streaming_v2"
"""The key of `configurable` by which clients ask for events of protocol v2 when they start a run by another
route, as on LangGraph's server."""


def run_request(asked: Request | str | None, body: RunCreateStateless, thread_id: str | None) -> RunRequest:
    """The run that the client requests. `asked`: the HTTP request, whose headers may give a priority, or the
    priority itself. Raises `InvalidRequest`."""
    priority = asked.headers.get(PRIORITY_HEADER) if isinstance(asked, Request) else asked
    if thread_id is None and body.command is not None and body.command.resume is not None:
        raise InvalidRequest("command.resume: set: must be given on a thread, where a question waits for it")
    user = None
    if isinstance(asked, Request):
        user = user_of(asked)
        checks_authorization(asked)
    config = body.config.model_dump(exclude_none=True) if body.config.model_fields_set else {}
    if isinstance(asked, Request) and (taken := _configurable(asked)):
        config["configurable"] = {**(config.get("configurable") or {}), **taken}
    stateful = body if isinstance(body, RunCreateStateful) and thread_id is not None else None
    return RunRequest(
        assistant=body.assistant_id,
        thread_id=thread_id,
        input=body.input,
        command=_command(body.command),
        metadata=body.metadata,
        config=config,
        context=body.context,
        checkpoint=_checkpoint(stateful, config, thread_id) if stateful else None,
        stream_mode=tuple(body.stream_mode),
        stream_subgraphs=body.stream_subgraphs,
        stream_resumable=body.stream_resumable,
        interrupt_before=body.interrupt_before,
        interrupt_after=body.interrupt_after,
        durability=_durability(body),
        feedback_keys=tuple(body.feedback_keys) if body.feedback_keys else None,
        strict_resume=body.strict_resume,
        multitask_strategy=stateful.multitask_strategy if stateful else "enqueue",
        create_thread=stateful is not None and stateful.if_not_exists == "create",
        on_completion=body.on_completion,
        delay_seconds=body.after_seconds,
        webhook=body.webhook,
        priority=priority_of(priority, config, body.metadata),
        priority_given=priority is not None,
        user=user.to_json() if user else None,
        request_id=request_id_of(asked) if isinstance(asked, Request) else None,
        protocol_events=bool((config.get("configurable") or {}).get(PROTOCOL_KEY)),
    )


def _command(command: Command | None) -> Json | None:
    """The command's given fields; None if it is empty, and the run takes its input."""
    given = command.model_dump(exclude_unset=True) if command else {}
    return {name: value for name, value in given.items() if value is not None} or None


def _configurable(request: Request) -> dict[str, Any]:
    """The headers that `http.configurable_headers` passes to the runs, and the request's trace. They win over
    the body: a client must not change what a proxy says about it."""
    rule = request.app.state.services.settings.http.configurable_headers
    taken: dict[str, str] = rule.taken(request.headers)
    found: dict[str, Any] = {name: check_text(name, value) for name, value in taken.items()}
    if (trace := request.headers.get(TRACE_HEADER)) is not None:
        found |= {**traced(request.headers.get("baggage", "")), TRACE_HEADER: check_text(TRACE_HEADER, trace)}
    return found


def batch_request(request: Request, body: RunBatch) -> RunRequest:
    """One run of a batch, with or without a thread."""
    return run_request(request, body, body.thread_id)


def run_path(run: Run) -> str:
    """The URL path of a run."""
    return f"/threads/{run.thread_id}/runs/{run.run_id}"


def naming(run: Run, leaf: str, modes: Collection[str] | None = None) -> dict[str, str]:
    """Headers of a long-lived answer: which run it is about, and where to continue if the connection breaks,
    with the same `modes` of events."""
    query = f"?{urlencode([('stream_mode', mode) for mode in modes])}" if modes else ""
    return {"Content-Location": run_path(run), "Location": f"{run_path(run)}/{leaf}{query}"}


def last_event_id(request: Request) -> str | None:
    """The id of the last event that the client has (`Last-Event-ID`), or None. Raises `InvalidRequest` for
    what is no id of ours."""
    given = request.headers.get("last-event-id") or None
    if given is not None:
        try:
            position(given)
        except ValueError:
            raise InvalidRequest(f"Last-Event-ID: {given!r}: must be the id of an event, or -1") from None
    return given


def _durability(body: RunCreateStateless) -> Durability:
    if body.durability is not None:
        return body.durability
    return "exit" if body.checkpoint_during is False else "async"


def _checkpoint(body: RunCreateStateful, config: Json, thread_id: str | None) -> dict[str, Any] | None:
    named = body.checkpoint
    if named is not None and named.thread_id not in (None, thread_id):
        raise InvalidRequest(
            f"checkpoint.thread_id: {named.thread_id!r}: must be the thread of the run, {thread_id}"
        )
    configurable = config.get("configurable") or {}
    if named is not None:
        return named.model_dump(exclude={"thread_id"}, exclude_none=True)
    checkpoint_id = body.checkpoint_id or configurable.get("checkpoint_id")
    try:
        return {"checkpoint_id": as_uuid(checkpoint_id)} if checkpoint_id else None
    except ValueError as wrong:
        raise InvalidRequest(f"config.configurable.checkpoint_id: {checkpoint_id!r}: {wrong}") from None
