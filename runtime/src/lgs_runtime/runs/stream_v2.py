"""The events of a thread for a subscriber of protocol v2: those of its runs, one run after the other, first
the events still kept and then those to come, for as long as it listens.

The start and the end of a run come from the storage, not from the broker, so a subscriber always learns how a
run ended. Of the runs that had ended before it subscribed, only the last one's start and end are sent, and
not if another run waits or goes on: clients wait for an end, and it must be that of the run they wait for.

A question is sent when the run that asked it has ended, so that the answer finds the thread idle. Clients
watch for questions on a separate stream, and stop reading their other streams as soon as they get one. So
such a watcher gets a question only when all other streams of the thread on this replica have been sent the
run's events.

A client requests a run first and then opens the stream that reads it, without announcing the stream. So while
no stream reads the run, a watcher gets a question no sooner than `ABSENT_SECONDS` after the run was
requested.

A client treats all subscriptions of one connection as one: when any of them sends the end, it drops what it
has not read. So all of them are sent the run's events before one is sent its end.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import FINAL, Run, Scope, Thread, questions
from lgs_runtime.runs.following import published
from lgs_runtime.runs.thread_stream import ThreadRuns
from lgs_runtime.services import Services
from lgs_runtime.streams.delivery import DeliveryBarrier, Listener
from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.stream_v2 import (
    NUMBERS_OF_EVENT,
    PROTOCOL,
    SYNTHETIC,
    Wire,
    envelope,
    first_number,
    from_plain,
    input_requested,
    milliseconds,
    number_of,
    root_lifecycle,
    wire_event,
)
from lgs_runtime.worker.publisher import epoch_of

RECHECK_SECONDS = 1.0
"""Seconds between looks for a thread that does not exist yet: only the start of a run is signalled."""
KEPT = timedelta(seconds=300)
"""How long the broker keeps the events of a run after its end; those of older runs are not requested."""
ABSENT_SECONDS = 2.0
"""Seconds that a client may take, after it requested a run or began to watch, to open the stream that reads
it."""
CANCELLED = "the run was cancelled"


async def protocol_events(
    services: Services,
    thread_id: str,
    since: int = -1,
    *,
    watches: bool = False,
    beside: Listener | None = None,
) -> AsyncGenerator[Wire, None]:
    """The events of a thread with numbers above `since`, until the thread is deleted. `watches`: the
    subscriber takes only starts, ends and questions, because its client reads the other events on other
    streams. `beside`: this subscriber among those of its connection, which are all sent a run's events before
    any is sent its end."""
    async with AsyncExitStack() as stack:
        follower = stack.enter_context(services.notifier.following(thread_id))
        runs, first = ThreadRuns(services, thread_id, follower), True
        barrier = stack.enter_context(services.deliveries.of(thread_id))
        reads = None if watches else stack.enter_context(barrier.joined())
        now, opened = await services.storage.now(), time.monotonic()
        subscription = _Subscription(since, now, opened, barrier if watches else None, beside)
        while (found := await runs.next(never_begun=True)) is not None:
            for run in found:
                ends = not first or run.status not in FINAL or (run is found[-1] and not runs.goes_on)
                async with aclosing(_RunEvents(services, run, subscription, ends=ends).events()) as events:
                    async for event in events:
                        if event["seq"] > since:
                            yield event
                for listener in (reads, beside):
                    if listener is not None:
                        listener.sent(run.run_id)
            first = False
            if not found:
                await follower.woken()


async def made(services: Services, thread_id: str, scope: Scope | None) -> None:
    """Returns when a thread with this id exists within the scope."""
    with services.notifier.following(thread_id) as follower:
        while True:
            with suppress(NotFound, StorageUnavailable):
                await services.storage.threads.get(thread_id, scope)
                return
            await follower.woken(RECHECK_SECONDS)


@dataclass(frozen=True, slots=True)
class _Subscription:
    """One subscriber. `since`: the number of the last event that it has; `now` and `opened`: the database's
    time and the monotonic clock when it subscribed; `readers`: the streams that go first when a question is
    asked; `beside`: itself among the subscribers of its connection."""

    since: int
    now: datetime
    opened: float
    readers: DeliveryBarrier | None
    beside: Listener | None


class _RunEvents:
    """The events of one run for a subscriber. `ends`: with its start, its questions and its end."""

    def __init__(self, services: Services, run: Run, subscription: _Subscription, *, ends: bool) -> None:
        self._services = services
        self._run = run
        self._subscription = subscription
        self._since = subscription.since
        self._ends = ends
        self._forgotten = run.status in FINAL and subscription.now - run.updated_at > KEPT
        self._questions: dict[str, Wire] = {}
        self._begin = first_number(milliseconds(run.claimed_at or run.updated_at))
        self._last = -1
        configurable = run.kwargs.get("config", {}).get("configurable", {})
        self._graph_name = str(configurable.get("graph_id", ""))

    async def events(self) -> AsyncGenerator[Wire, None]:
        """The run's events that this subscriber does not have yet."""
        run = self._run
        if run.status in FINAL and self._since > _end_number(run):
            return
        if run.claimed_at is not None and not self._forgotten:
            async with aclosing(published(self._services, run, self._after())) as source:
                async for found in source:
                    for event in found:
                        for enveloped in self._enveloped(event):
                            yield enveloped
        if self._ends:
            last = await self._end()
            await self._others_first(asks=len(last) > 1)
            for wire in last:
                yield wire

    async def _others_first(self, *, asks: bool) -> None:
        """Waits until the other subscribers of the connection have been sent the run and, for a watcher of a
        run that `asks`, until the thread's readers have. A stream that the client is about to open is waited
        for until `ABSENT_SECONDS` after the request, or after the watcher came; a stalled one for at most
        `ABSENT_SECONDS` more."""
        subscription, run = self._subscription, self._run
        if subscription.beside is not None:
            await subscription.beside.wait_delivered(run.run_id, ABSENT_SECONDS)
        if asks and subscription.readers is not None:
            asked_at = subscription.opened + (run.created_at - subscription.now).total_seconds()
            opened_by = max(asked_at, subscription.opened) + ABSENT_SECONDS
            await subscription.readers.wait_delivered(run.run_id, opened_by - time.monotonic())
            if subscription.readers.has_listeners:
                await subscription.readers.wait_delivered(run.run_id, ABSENT_SECONDS)

    def _after(self) -> str:
        """Where to begin in the run's own stream: one event before the last that the subscriber has."""
        had = (self._since - self._begin) // NUMBERS_OF_EVENT - 1
        return f"{epoch_of(self._run.claimed_at)}-{had}" if had > 0 else FROM_START

    def _enveloped(self, event: StreamEvent) -> Iterator[Wire]:
        number = number_of(event.id) if event.id else max(self._last, self._begin) + 1
        if event.id:
            self._last = max(self._last, number)
        for place, wire in enumerate(self._wires(event)):
            event_id = event.id if not place else f"{event.id}.{place}"
            if event.event == "metadata":
                event_id = self._event_id(f"running|{event.id}")
            if wire["method"] == "input.requested":
                self._questions.setdefault(wire["params"]["data"]["interrupt_id"], wire)
                continue
            yield envelope(wire, event_id, number + min(place, NUMBERS_OF_EVENT - 1))

    def _wires(self, event: StreamEvent) -> Iterator[Wire]:
        if not event.id:
            # The broker lost the end of the run; these are the values that the run left. An error is sent
            # with its end.
            if event.event == "values":
                yield wire_event("values", (), orjson.loads(event.data), milliseconds(self._run.updated_at))
        elif event.event == PROTOCOL:
            yield orjson.loads(event.data)
        elif event.event == "metadata":
            if self._ends:
                yield root_lifecycle("running", self._graph_name, event.position[0])
        else:
            yield from from_plain(event, orjson.loads(event.data))

    def _event_id(self, name: str) -> str:
        """The id of an event that the run itself did not publish, in the form from which the JavaScript
        client reads the run's id."""
        return f"{SYNTHETIC}{self._run.run_id}:{name}"

    async def _end(self) -> list[Wire]:
        run, services = self._run, self._services
        ended = await services.notifier.finished(run.run_id)
        if ended is None:
            gone = root_lifecycle("failed", self._graph_name, run.updated_at, CANCELLED)
            return [envelope(gone, self._event_id("end"), max(self._last, _end_number(run)) + 1)]
        number = max(self._last + 1, _end_number(ended))
        waiting = await self._waiting_thread(ended)
        status, error = "interrupted" if waiting or self._questions else "completed", None
        if ended.status != "success":
            # `interrupted` would mean that the run waits for an answer; a client that waits for its end must
            # not go on.
            self._questions, status, error = {}, "failed", ended.error or CANCELLED
        elif waiting is not None:
            # The events with these questions are no longer kept, or came before the subscriber's connection
            # broke.
            for interrupt in questions(waiting.interrupts):
                question = input_requested(interrupt, (), milliseconds(ended.updated_at))
                self._questions.setdefault(interrupt["id"], question)
        events = [
            envelope(wire, self._event_id(f"input|{interrupt_id}"), number)
            for interrupt_id, wire in self._questions.items()
        ]
        end = root_lifecycle(status, self._graph_name, ended.updated_at, error)
        return [*events, envelope(end, self._event_id("end"), number + 1)]

    async def _waiting_thread(self, ended: Run) -> Thread | None:
        """The thread, if this run left it waiting for a person and it has not changed since; else None."""
        if ended.status != "success":
            return None
        try:
            thread = await self._services.storage.threads.get(ended.thread_id)
        except NotFound:
            return None
        at_rest = thread.status == "interrupted" and thread.state_updated_at <= ended.updated_at
        return thread if at_rest else None


def _end_number(run: Run) -> int:
    """The first number in the millisecond of a run's end. The last events of the run are numbered from it,
    before those of a run that is claimed in that same millisecond."""
    return first_number(milliseconds(run.updated_at))
