"""Admission of runs: turns a valid request into a durable run, which this replica's worker may already
execute.

`admit` acknowledges nothing that is not stored. If this replica has a free slot, the run is stored as claimed
by it and starts at once, without going through the queue.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from secrets import randbits
from uuid import UUID, uuid4

from langgraph_sdk import PriorityContext

from lgs_runtime.auth.users import User
from lgs_runtime.errors import AssistantChanged, InvalidRequest, NotFound, QueueFull, UserLimit
from lgs_runtime.graphs.circuits import RunPermit
from lgs_runtime.graphs.registry import default_assistant_id
from lgs_runtime.model import (
    DEFAULT_GROUP,
    AssignedPriority,
    Assistant,
    Enqueued,
    Json,
    NewRun,
    Priority,
    Run,
    Scope,
)
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.runs.configuration import config_of_thread, merge_config, merge_context
from lgs_runtime.runs.permission import permitted, readable_assistants
from lgs_runtime.runs.requests import RunRequest
from lgs_runtime.services import Services
from lgs_runtime.storage.fairness import LEVEL, priority_of_level
from lgs_runtime.tracing.propagation import stored_trace
from lgs_runtime.worker.slots import SlotPermit

Read = Callable[[str], Awaitable[Assistant]]
"""Reads an assistant by its id. Raises `NotFound`, `StorageUnavailable`."""
NOBODY = {"identity": "", "is_authenticated": False}
"""The user that a priority handler gets if the service has no users."""


async def find_assistant(services: Services, name: str, scope: Scope | None = None) -> Assistant:
    """The assistant with the id `name`, or the default assistant of the graph with that name. Raises
    `NotFound`."""
    with named_assistant(services, name) as assistant_id:
        return await services.storage.assistants.get(assistant_id, scope)


async def permitted_run(
    services: Services, request: RunRequest, read: Read | None = None
) -> tuple[RunRequest, Assistant]:
    """The request as the authorisation handlers left it, and its assistant. An assistant that everybody may
    use is read by `read`, if given; any other from the storage, if the user may read it. Raises `Forbidden`,
    `RefusedByHandler`, `HandlerFailed`, `NotFound`."""
    asked = assistant_id_of(request.assistant)
    request, scope = await permitted(services.access, request, asked), None
    if not services.graphs.is_default_assistant(asked):
        scope = await readable_assistants(services.access, request.user, asked)
    if read is None or scope is not None:
        read = partial(services.storage.assistants.get, scope=scope)
    with named_assistant(services, request.assistant) as assistant_id:
        return request, await read(assistant_id)


async def _made(services: Services, request: RunRequest, run_id: str) -> NewRun:
    """The run of a request, made from its assistant, which may come from the cache."""
    request, assistant = await permitted_run(services, request, services.assistants.get)
    new = new_run(request, assistant, run_id, as_of=assistant.updated_at)
    return await placed(services, request, assistant, new)


@contextmanager
def named_assistant(services: Services, name: str) -> Iterator[str]:
    """The id of the assistant that `name` stands for: `name` itself if it is a UUID, else the id of that
    graph's default assistant. A `NotFound` raised in the context is raised again with the name that the
    caller gave."""
    assistant_id = assistant_id_of(name)
    try:
        yield assistant_id
    except NotFound as missing:
        if missing.kind != "assistant" or not missing.name.startswith(assistant_id):
            raise
        given = missing.name.replace(assistant_id, name)
        raise NotFound("assistant", given, services.graphs.listing) from missing


def assistant_id_of(name: str) -> str:
    """`name` if it is a UUID, else the id of the default assistant of the graph with that name."""
    try:
        return str(UUID(name))
    except ValueError:
        return default_assistant_id(name)


def new_run(
    request: RunRequest, assistant: Assistant, run_id: str, *, as_of: datetime | None = None
) -> NewRun:
    """The run that a request describes. `as_of`: storing the run is refused if the assistant has changed
    since."""
    stateless = request.thread_id is None
    temporary = stateless and request.on_completion != "keep"
    names = {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id}
    return NewRun(
        run_id=run_id,
        thread_id=request.thread_id or str(uuid4()),
        assistant_id=assistant.assistant_id,
        graph_id=assistant.graph_id,
        kwargs=_kwargs(request, assistant, run_id, temporary=temporary).to_json(),
        metadata={**assistant.metadata, **request.metadata},
        priority=request.priority,
        multitask_strategy=request.multitask_strategy,
        delay_seconds=request.delay_seconds,
        create_thread=stateless or request.create_thread,
        thread_metadata=names,
        thread_config=None if temporary else config_of_thread(assistant, request.config),
        delete_thread_after=temporary,
        webhook=request.webhook,
        group=group_of(request.user),
        created_metadata=request.created_metadata,
        scope=request.scope,
        assistant_as_of=as_of,
    )


def _kwargs(request: RunRequest, assistant: Assistant, run_id: str, *, temporary: bool) -> RunKwargs:
    """The input and the options of the run."""
    return RunKwargs(
        input=request.input,
        command=request.command,
        config=merge_config(assistant, request.config, request.context),
        context=merge_context(assistant, request.config, request.context) or None,
        stream_mode=list(request.stream_mode),
        stream_subgraphs=request.stream_subgraphs,
        stream_resumable=request.stream_resumable,
        interrupt_before=request.interrupt_before,
        interrupt_after=request.interrupt_after,
        durability=request.durability,
        checkpoint=request.checkpoint,
        feedback_keys=request.feedback_keys,
        strict_resume=request.strict_resume,
        on_completion=request.on_completion,
        temporary=temporary,
        webhook=request.webhook,
        user=request.user,
        request_id=request.request_id,
        trace=stored_trace(run_id),
        protocol=request.protocol,
        protocol_events=request.protocol_events,
    )


def identity_of(user: Json | None) -> str | None:
    """The identity of the user, by which budgets are counted."""
    return str(user["identity"]) if user else None


def group_of(user: Json | None) -> str:
    """The fairness group of the user: users are served in turn."""
    return str(user["identity"]) if user else DEFAULT_GROUP


async def placed(
    services: Services, request: RunRequest, assistant: Assistant, new: NewRun, cron_id: str | None = None
) -> NewRun:
    """The run with the service's configuration applied: the default time to live for a thread created with
    it, and the priority and group that the service's priority handler assigns to the thread. The handler is
    called for the first run of a thread; later runs keep its answer. A priority given by the client stays;
    the group is always the handler's. Raises `HandlerFailed`, `RefusedByHandler`."""
    if (ttl := services.settings.checkpointer.ttl.default) is not None:
        new = replace(new, thread_ttl=ttl)
    if services.priorities is None:
        return new
    metadata, settled = await _settled(services, request)
    assigned_priority = settled or await services.priorities.assign(
        _context(request, assistant, new, metadata, cron_id), group_of(request.user)
    )
    level = LEVEL[request.priority] if request.priority_given else assigned_priority.level
    return replace(
        new,
        priority=priority_of_level(level),
        level=level,
        group=assigned_priority.group,
        assigned_priority=None if settled else assigned_priority,
    )


async def _settled(services: Services, request: RunRequest) -> tuple[Json, AssignedPriority | None]:
    """The metadata of the request's thread, and the priority already assigned to it, if any."""
    if request.thread_id is None:
        return {}, None
    try:
        thread = await services.storage.threads.get(request.thread_id, request.scope)
    except NotFound:
        if not request.create_thread:
            raise
        return {}, None
    return thread.metadata, thread.assigned_priority


def _context(
    request: RunRequest, assistant: Assistant, new: NewRun, thread_metadata: Json, cron_id: str | None
) -> PriorityContext:
    user = User(request.user or NOBODY)
    return PriorityContext(
        user=user,
        permissions=user.permissions,
        thread_id=request.thread_id,
        thread_metadata=dict(thread_metadata),
        assistant_id=assistant.assistant_id,
        graph_id=assistant.graph_id,
        assistant_metadata=dict(assistant.metadata),
        run_metadata=dict(new.metadata),
        cron_id=cron_id,
    )


def check_webhook(services: Services, url: str | None) -> None:
    """Raises `InvalidRequest` for a webhook URL that the service's rules forbid, as far as the URL alone
    shows."""
    rule = services.settings.webhooks.url.refusal(url) if url else None
    if rule is not None:
        raise InvalidRequest(f"webhook: {url!r}: {rule}")


async def admit(services: Services, request: RunRequest) -> Run:
    """Stores the run, and passes it to this replica's worker if it was stored as claimed.

    Raises `NotFound`, `Conflict`, `QueueFull`, `BudgetUsedUp`, `GraphCircuitOpen`, `StorageUnavailable`, and
    `Forbidden`, `RefusedByHandler`, `HandlerFailed` for what the user may not do; nothing is stored then.
    """
    check_webhook(services, request.webhook)
    while True:
        new = await _made(services, request, _run_id())
        if services.ledger is not None:
            await services.ledger.admit(identity_of(request.user))
        admission = services.circuits.admit(new.graph_id)
        try:
            enqueued, permit = await _enqueue(services, new, admission)
            break
        except AssistantChanged:
            services.assistants.forget(new.assistant_id)
    services.metrics.arrived(new.priority)
    if services.tracing is not None:
        services.tracing.admitted(enqueued.run)
    if enqueued.claimed:
        services.worker.take(enqueued.run, permit, admission)
    return enqueued.run


async def _enqueue(
    services: Services, new: NewRun, admission: RunPermit | None
) -> tuple[Enqueued, SlotPermit | None]:
    """Stores the run, as claimed if a slot of this replica could be reserved for it."""
    permit = services.worker.slots.permit(new.run_id)
    enqueued, doubtful = None, True
    try:
        claim_for = services.worker.replica if permit else None
        enqueued = await services.storage.queue.enqueue(new, services.settings.queue_limits, claim_for)
        doubtful = False
    except UserLimit:
        # One user's limit is not counted as rejected: it is no reason for more replicas.
        raise
    except QueueFull:
        services.metrics.rejected(new.priority)
        raise
    finally:
        if not (enqueued and enqueued.claimed):
            if permit:
                permit.give_back(doubtful=doubtful)
            if admission:
                admission.give_back()
    return enqueued, permit


def _run_id() -> str:
    """A UUID of version 7 (RFC 9562): later ids sort later, which keeps indexes dense."""
    stamp = int(time.time() * 1000) & ((1 << 48) - 1)
    return str(UUID(int=(stamp << 80) | (0x7 << 76) | (randbits(12) << 64) | (0b10 << 62) | randbits(62)))


async def admit_all(services: Services, requests: Sequence[RunRequest]) -> Sequence[Run]:
    """Stores several runs in their order, all of them or none. Raises the same errors as `admit`."""
    for request in requests:
        check_webhook(services, request.webhook)
    asked = [await permitted_run(services, request) for request in requests]
    if services.ledger is not None and requests:
        await services.ledger.admit(identity_of(requests[0].user), len(requests))
    new = [
        await placed(services, request, assistant, new_run(request, assistant, _run_id()))
        for request, assistant in asked
    ]
    try:
        with services.circuits.admitted(*(one.graph_id for one in new)):
            stored = await services.storage.queue.enqueue_all(new, services.settings.queue_limits)
    except UserLimit:
        raise
    except QueueFull as full:
        services.metrics.rejected(Priority(full.priority))
        raise
    for run in stored:
        services.metrics.arrived(run.priority)
        if services.tracing is not None:
            services.tracing.admitted(run)
    return stored
