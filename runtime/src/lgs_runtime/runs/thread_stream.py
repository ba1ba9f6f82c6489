"""The stream of a thread: the events of its runs, one run after the other, for as long as a client listens.

Event ids are those of the runs' streams. Runs of a thread are executed one at a time, and an id begins with
the moment when its attempt was claimed. So ids also grow along the thread, and a client continues after the
last id that it has, from whichever run. The end of a run is a `metadata` event with status `run_done`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing, suppress

from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import FINAL, Page, Run, unrooted
from lgs_runtime.notifier import Follower
from lgs_runtime.runs.following import LATE_EVENTS_SECONDS, events, result_of
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.streams.events import FROM_START, StreamEvent, position
from lgs_runtime.streams.json_encoding import encode
from lgs_runtime.worker.publisher import epoch_of

RUNS_BACK = 100
"""How many of the latest runs of a thread are searched for events that a client has missed."""


async def thread_events(
    services: Services, thread_id: str, after: str | None, modes: Collection[str]
) -> AsyncGenerator[Sequence[StreamEvent], None]:
    """The events of a thread later than the id `after` (None: those to come), until the thread is deleted.

    `modes`: `run_modes` gives all events of its runs, `lifecycle` only their starts and ends, `state_update`
    the values that each run left.
    """
    with services.notifier.following(thread_id) as follower:
        runs, first = ThreadRuns(services, thread_id, follower), True
        while (started := await runs.next()) is not None:
            for run in started:
                if not (first and is_past(run, after)):
                    start = _start(run, after, first=first)
                    async with aclosing(_of_run(services, run, start, modes)) as source:
                        async for found in source:
                            yield found
            first = False
            if not started:
                await follower.woken()


class ThreadRuns:
    """The runs of a thread as they begin, each returned once."""

    def __init__(self, services: Services, thread_id: str, follower: Follower) -> None:
        self._storage = services.storage
        self._thread_id = thread_id
        self._told: set[str] = set()
        self._follower = follower
        self.goes_on = False
        """Whether any of the runs had not ended when they were last read."""

    async def next(self, *, never_begun: bool = False) -> Sequence[Run] | None:
        """The runs that have begun since the last call, in their order; with `never_begun` also those that
        ended without beginning. None when the thread was deleted; empty while the database is unavailable."""
        try:
            thread = await self._storage.threads.get(self._thread_id)
            if thread.status != "busy" and thread.updated_at == self._follower.seen:
                return ()
            found = await self._storage.runs.of_thread(self._thread_id, RunQuery(page=Page(limit=RUNS_BACK)))
        except NotFound:
            return None
        except StorageUnavailable:
            return ()
        self._follower.seen = thread.updated_at
        self.goes_on = any(run.status not in FINAL for run in found)
        new = [run for run in found if run.run_id not in self._told]
        begun = in_order(new, never_begun=never_begun)
        self._told.update(run.run_id for run in begun)
        return begun


def in_order(runs: Iterable[Run], *, never_begun: bool = False) -> list[Run]:
    """The runs that have been claimed, in that order: only those have events. With `never_begun` also those
    that ended before they were claimed."""
    claimed = [
        run
        for run in runs
        if run.status != "pending" and (run.claimed_at is not None or (never_begun and run.status in FINAL))
    ]
    return sorted(claimed, key=lambda run: epoch_of(run.claimed_at or run.updated_at))


def is_past(run: Run, after: str | None) -> bool:
    """Whether a client that has the event `after` already has all events of this run."""
    if after is None:
        return run.status in FINAL
    return run.status in FINAL and epoch_of(run.claimed_at or run.created_at) < position(after)[0]


def _start(run: Run, after: str | None, *, first: bool) -> str | None:
    """Where to begin in a run's own stream. A client that comes without an id joins a running run midway."""
    if after is not None:
        return after
    return None if first and run.status == "running" else FROM_START


async def _of_run(
    services: Services, run: Run, after: str | None, modes: Collection[str]
) -> AsyncGenerator[Sequence[StreamEvent], None]:
    resumed = after is not None and after != FROM_START
    if resumed and run.status in FINAL and not await _anything_left(services, run, after):
        return
    last = after if after and resumed and position(after)[0] == epoch_of(run.claimed_at) else ""
    async with aclosing(events(services, run, after)) as source:
        async for found in source:
            last = found[-1].id or last
            if shown := found if "run_modes" in modes else _beginnings(found, modes):
                yield shown
    ended = await services.notifier.finished(run.run_id)
    if ended is None:
        return
    end_id = _next(last) if last else ""
    if "state_update" in modes:
        values = unrooted(await result_of(services, ended))
        yield [StreamEvent("", "state_update", encode({"run_id": run.run_id, "values": values}))]
    if "run_modes" in modes or "lifecycle" in modes:
        done = {"status": "run_done", "run_id": run.run_id, "run_status": ended.status}
        yield [StreamEvent(end_id, "metadata", encode(done))]


def _beginnings(found: Sequence[StreamEvent], modes: Collection[str]) -> Sequence[StreamEvent]:
    return [event for event in found if event.event == "metadata"] if "lifecycle" in modes else ()


async def _anything_left(services: Services, run: Run, after: str | None) -> bool:
    """Whether the broker still has events of an ended run later than `after`."""
    # A broker that has forgotten the run would wait for its events.
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(LATE_EVENTS_SECONDS):
            async with aclosing(services.streams.subscribe(run.run_id, after)) as left:
                async for _ in left:
                    return True
    return False


def _next(event_id: str) -> str:
    epoch, sequence = position(event_id)
    return f"{epoch}-{sequence + 1}"
