"""From a run to its answer: its result when it has ended, and its events while it goes on.

The run may be executed by any replica, and by several one after the other. The stream broker carries the
events; the storage alone says that a run has ended. So a broker that is gone costs live events, but every
follower still learns how the run ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import suppress
from typing import Any

import orjson
import structlog

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import FINAL, Json, Run, Thread, questions, with_questions
from lgs_runtime.services import Services
from lgs_runtime.streams.contract import StreamEvent
from lgs_runtime.streams.encoding import encode, to_json
from lgs_runtime.streams.protocol import PROTOCOL, to_plain

LATE_EVENTS_SECONDS = 2.0
"""How long the last events of a run that has ended are waited for."""
ALWAYS = frozenset({"metadata", "error"})
EVENTS_OF_MODE: Mapping[str, Collection[str]] = {
    "messages": ("messages/partial", "messages/complete", "messages/metadata"),
    "messages-tuple": ("messages",),
}
log = structlog.get_logger(__name__)


async def result(services: Services, run: Run) -> Json:
    """Waits for the end of a run (as it was read a moment ago) and returns the values that it left.

    A run that failed gives `{"__error__": {"error": name, "message": text}}`, one that stopped at
    interrupts has them under `__interrupt__`.
    """
    ended = await services.hub.finished(run.run_id, run.thread_id, seen_unfinished=run.status not in FINAL)
    if ended is None:
        return _failure("UserRollback: the run was rolled back or deleted")
    return await result_of(services, ended)


async def result_of(services: Services, run: Run) -> Json:
    """The result of a run that has ended, as `result` gives it."""
    if run.status in ("error", "timeout"):
        return _failure(run.error or run.status)
    if run.result is not None:
        return run.result
    try:
        thread = await services.storage.thread(run.thread_id)
    except NotFound:
        return {}
    if thread.state_updated_at <= run.updated_at:
        return with_questions(thread.values, questions(thread.interrupts))
    return await _values_then(services, thread, run)


async def _values_then(services: Services, thread: Thread, run: Run) -> Json:
    """The values at the end of a run after which the thread went on: those of the run's last checkpoint."""
    at = checkpoint_config(run.thread_id)
    history = services.checkpointer.alist(at, filter={"run_id": run.run_id}, limit=1)
    last = [entry async for entry in history]
    graph_id = thread.metadata.get("graph_id")
    if not last or not isinstance(graph_id, str):
        return thread.values or {}
    async with services.graphs.open(graph_id, last[0].config) as graph:
        snapshot = await graph.aget_state(last[0].config)
    shown: Json = to_json(snapshot.values)
    return with_questions(shown, to_json(snapshot.interrupts))


def _failure(reason: str) -> Json:
    """`Name: text` of an exception, or any other reason, as clients expect it."""
    name, colon, message = reason.partition(": ")
    if colon and name.replace(".", "").isidentifier():
        return {"__error__": {"error": name, "message": message}}
    return {"__error__": {"error": "RunFailed", "message": reason}}


async def events(
    services: Services, run: Run, after: str | None, modes: Collection[str] | None = None
) -> AsyncGenerator[StreamEvent, None]:
    """The events of a run later than the id `after`, as they come, until it has ended; only those of
    `modes`, if given.

    When the broker lost the end of the run, the last event tells the result: `error`, or `values`.
    """
    names = None if modes is None else _names(modes)
    source = published(services, run, after)
    try:
        async for event in source:
            shown = to_plain(event, orjson.loads(event.data)) if event.event == PROTOCOL else event
            if shown is not None and (names is None or shown.event.partition("|")[0] in names):
                yield shown
    finally:
        await source.aclose()


async def published(services: Services, run: Run, after: str | None) -> AsyncGenerator[StreamEvent, None]:
    """As `events`, in the form in which the worker published them."""
    if after is None and run.status in FINAL:
        return
    ended = asyncio.ensure_future(services.hub.finished(run.run_id, seen_unfinished=run.status not in FINAL))
    try:
        async for event in _until(services.streams.subscribe(run.run_id, after), ended):
            if event.is_end:
                # Whoever asks for the run after its stream closed must find it ended.
                await ended
                return
            yield event
        last = await ended
        if last is not None:
            yield await _last_event(services, last)
    finally:
        ended.cancel()
        await asyncio.wait({ended})


async def _until(
    source: AsyncIterator[StreamEvent], ended: asyncio.Future[Run | None]
) -> AsyncGenerator[StreamEvent, None]:
    """The events of `source`, until it stops, breaks, or stays silent although the run has ended."""
    following = asyncio.ensure_future(anext(source, None))
    try:
        while True:
            if ended.done():
                await asyncio.wait({following}, timeout=LATE_EVENTS_SECONDS)
                if not following.done():
                    return
            else:
                pending: set[asyncio.Future[Any]] = {following, ended}
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    continue
            try:
                event = following.result()
            except ConnectionError as broken:
                log.warning("stream.broken", reason=str(broken))
                return
            if event is None:
                return
            yield event
            following = asyncio.ensure_future(anext(source, None))
    finally:
        following.cancel()
        await asyncio.wait({following})
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _names(modes: Collection[str]) -> frozenset[str]:
    return ALWAYS.union(*(EVENTS_OF_MODE.get(mode, (mode,)) for mode in modes))


async def _last_event(services: Services, run: Run) -> StreamEvent:
    outcome = await result_of(services, run)
    if "__error__" in outcome:
        return StreamEvent("", "error", encode(outcome["__error__"]))
    return StreamEvent("", "values", encode(outcome))


async def cancel_quietly(services: Services, run: Run) -> None:
    """Stops a run that nobody waits for any more."""
    with suppress(NotFound):
        try:
            await services.storage.cancel(run.thread_id, [run.run_id], "interrupt")
        except StorageUnavailable as gone:
            log.warning("cancel.failed", run_id=run.run_id, reason=str(gone))
