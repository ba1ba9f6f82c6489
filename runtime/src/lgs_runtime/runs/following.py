"""Follows a run: its result when it has ended, and its events while it goes on.

Any replica may execute the run, or several one after the other. The stream broker carries the events; only
the storage says that a run has ended. So if the broker fails, live events are lost, but every follower still
learns how the run ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from functools import partial

import orjson
import structlog

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import (
    FINAL,
    Json,
    Run,
    Thread,
    failure_of,
    given_out,
    questions,
    rooted,
    unrooted,
    with_questions,
)
from lgs_runtime.services import Services
from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.json_encoding import encode, to_json
from lgs_runtime.streams.stream_v2 import PROTOCOL, to_plain
from lgs_runtime.streams.subscribers import Subscriber
from lgs_runtime.threads.reading import graph_at, graph_that_made, named_graph
from lgs_runtime.threads.thread_graph import open_for
from lgs_runtime.worker.outcomes import output_of
from lgs_runtime.worker.publisher import epoch_of
from lgs_runtime.worker.states import state_of

LATE_EVENTS_SECONDS = 2.0
"""Seconds to wait for the last events of a run that has ended."""
ALWAYS = frozenset({"metadata", "error"})
EVENTS_OF_MODE: Mapping[str, Collection[str]] = {
    "messages": ("messages/partial", "messages/complete", "messages/metadata"),
    "messages-tuple": ("messages",),
}
log = structlog.get_logger(__name__)


async def result(services: Services, run: Run) -> Json:
    """Waits for the end of a run, which was read a moment ago, and returns its answer: the part of its values
    that its graph outputs (see `unrooted`).

    A run that failed gives `{"__error__": {"error": name, "message": text}}`; one that stopped at interrupts
    has them under `__interrupt__`.
    """
    ended = await services.notifier.finished(
        run.run_id, run.thread_id, seen_unfinished=run.status not in FINAL
    )
    if ended is None:
        return _failure("UserRollback: the run was rolled back or deleted")
    return await result_of(services, ended)


async def result_of(services: Services, run: Run) -> Json:
    """The result of a run that has ended, in the form of `result`."""
    if run.status in ("error", "timeout"):
        return _failure(run.error or run.status)
    if run.result is not None:
        return run.result
    try:
        thread = await services.storage.threads.get(run.thread_id)
    except NotFound:
        return {}
    if thread.state_updated_at > run.updated_at:
        return await _answer_then(services, thread, run)
    # The replica that executed the run to its end has stored its answer if that is less than the thread's
    # values.
    output = thread.values if run.status == "success" else given_out(await _output(services, thread) or {})
    return with_questions(output, questions(thread.interrupts))


async def _output(services: Services, thread: Thread) -> Json | None:
    """The part of the thread's values that its graph outputs."""
    latest = checkpoint_config(thread.thread_id)
    graph_id = None if thread.values is None else await graph_at(services, thread, latest)
    if thread.values is None or graph_id is None or graph_id not in services.graphs.ids:
        return thread.values
    async with open_for(services, thread, graph_id, latest) as graph:
        return output_of(graph, thread.values)


async def _answer_then(services: Services, thread: Thread, run: Run) -> Json:
    """The answer of a run whose thread has changed since: from the values of the run's last checkpoint."""
    at = checkpoint_config(run.thread_id)
    history = services.checkpointer.alist(at, filter={"run_id": run.run_id}, limit=1)
    last = [entry async for entry in history]
    graph_id = graph_that_made(services, last[0].metadata) if last else None
    graph_id = graph_id or named_graph(thread)
    if not last or graph_id is None:
        return await _output(services, thread) or {}
    async with open_for(services, thread, graph_id, last[0].config) as graph:
        snapshot = await state_of(graph, last[0].config)
        shown = output_of(graph, rooted(to_json(snapshot.values)))
    shown = given_out(shown) if snapshot.next else shown
    return with_questions(shown, to_json(snapshot.interrupts))


def _failure(reason: str) -> Json:
    return {"__error__": failure_of(reason)}


async def events(
    services: Services, run: Run, after: str | None, modes: Collection[str] | None = None
) -> AsyncGenerator[Sequence[StreamEvent], None]:
    """The events of a run later than the id `after`, as they arrive, until it has ended; only those of
    `modes`, if given. Events that arrived together are yielded together.

    If the broker lost the end of the run, the last event has the result: `error`, or `values`.
    """
    names = None if modes is None else _names(modes)
    async with aclosing(published(services, run, after)) as source:
        async for found in source:
            if shown := [event for each in found if (event := _shown(each, names)) is not None]:
                yield shown


def _shown(event: StreamEvent, names: Collection[str] | None) -> StreamEvent | None:
    """The event in the form of the run's own stream; None if `names` excludes it."""
    plain = to_plain(event, orjson.loads(event.data)) if event.event == PROTOCOL else event
    if plain is None or names is None or plain.event.partition("|")[0] in names:
        return plain
    return None


async def published(
    services: Services, run: Run, after: str | None
) -> AsyncGenerator[Sequence[StreamEvent], None]:
    """Like `events`, in the form in which the worker published them."""
    if after is None and run.status in FINAL:
        return
    subscriber = Subscriber()
    ended = asyncio.ensure_future(
        services.notifier.finished(run.run_id, seen_unfinished=run.status not in FINAL)
    )
    ended.add_done_callback(partial(_expect_end, subscriber))
    source = services.streams.subscribe(run.run_id, _start(run, after), subscriber)
    try:
        with _break_logged():
            async for found in source:
                if not found[-1].is_end:
                    yield found
                    continue
                if found[:-1]:
                    yield found[:-1]
                # A request for the run after its stream has closed must see that it has ended.
                await ended
                return
        last = await ended
        if last is not None:
            yield [await _last_event(services, last)]
    finally:
        await source.aclose()
        ended.cancel()
        await asyncio.wait({ended})


def _expect_end(subscriber: Subscriber, ended: asyncio.Future[Run | None]) -> None:
    """Ends the subscription when the broker stays silent after the run has ended: it has lost the run's
    end."""
    if not ended.cancelled():
        subscriber.end_when_silent(LATE_EVENTS_SECONDS)


def _start(run: Run, after: str | None) -> str | None:
    """Where to begin in the run's stream. The first attempt of a run has all of its events, so a broker that
    receives them in this process need not read any others."""
    if after == FROM_START and run.untouched and run.claimed_at is not None:
        return f"{epoch_of(run.claimed_at)}-0"
    return after


@contextmanager
def _break_logged() -> Iterator[None]:
    """Logs a broken stream, and goes on without it."""
    try:
        yield
    except ConnectionError as broken:
        log.warning("stream.broken", reason=str(broken))


def _names(modes: Collection[str]) -> frozenset[str]:
    return ALWAYS.union(*(EVENTS_OF_MODE.get(mode, (mode,)) for mode in modes))


async def _last_event(services: Services, run: Run) -> StreamEvent:
    outcome = await result_of(services, run)
    if "__error__" in outcome:
        return StreamEvent("", "error", encode(outcome["__error__"]))
    return StreamEvent("", "values", encode(unrooted(outcome)))


async def cancel_quietly(services: Services, run: Run) -> None:
    """Cancels a run that nobody waits for any more. If the storage is unavailable, this is only logged."""
    with suppress(NotFound):
        try:
            await services.storage.queue.cancel(run.thread_id, [run.run_id], "interrupt")
        except StorageUnavailable as gone:
            log.warning("cancel.failed", run_id=run.run_id, reason=str(gone))
