"""Delivers signals from the other replicas to the waiters in this process.

There is one subscription to the storage's signals. A signal may be lost, so it only ever shortens a wait:
every few seconds the storage is asked once, for all waiters, what has happened without a signal; the worker
polls by itself. A waiter costs nothing meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import structlog

from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import FINAL, Run, Signal
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.subscribers import Subscriber

RECHECK_SECONDS = 4.0
RECONNECT_SECONDS = 0.5
REMEMBERED_ENDS = 4096
"""How many ended runs are remembered: more than can end between reading a run and waiting for its end."""
log = structlog.get_logger(__name__)


class _Waiter(Subscriber):
    """Waits for the end of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: Run | None = None


class Follower(Subscriber):
    """Follows a thread: woken when a run of it begins or is cancelled before it begins, when the thread is
    deleted, and when it has changed since it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: datetime | None = None
        """The last change of the thread that the follower has seen."""


class Notifier:
    """Delivers signals. Owned by `opening.py`: `start` before use, `close` at the end."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._waiters: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._followers: defaultdict[str, set[Follower]] = defaultdict(set)
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._on_queued: list[Callable[[], None]] = []
        self._on_cancel: list[Callable[[str], None]] = []
        self._on_gap: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._gap = asyncio.Event()
        self._listening = asyncio.Event()

    def on_queued(self, wake: Callable[[], None]) -> None:
        """Calls `wake` when a run may be claimable. It must not block."""
        self._on_queued.append(wake)

    def on_cancel(self, stop: Callable[[str], None]) -> None:
        """Calls `stop` with the id of each run that is asked to stop. It must not block."""
        self._on_cancel.append(stop)

    def on_gap(self, recheck: Callable[[], None]) -> None:
        """Calls `recheck` when signals may have been missed. It must not block."""
        self._on_gap.append(recheck)

    async def start(self) -> None:
        """Subscribes; returns when signals can arrive, or after a second if the database is unreachable."""
        self._task = asyncio.create_task(self._follow(), name="signals")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), timeout=1.0)

    async def finished(
        self, run_id: str, thread_id: str | None = None, *, seen_unfinished: bool = False
    ) -> Run | None:
        """Waits until a run has ended and returns it; None if it no longer exists (deleted, or rolled back).
        `seen_unfinished`: the run was unfinished a moment ago, so it is not read before a signal.

        Outages of the database are waited out. Cancel the call to stop waiting.
        """
        waiter = _Waiter()
        self._waiters[run_id].add(waiter)
        self._start_polling()
        try:
            if seen_unfinished and run_id not in self._ended:
                await waiter.woken()
            while waiter.ended is None:
                with suppress(StorageUnavailable):
                    try:
                        run = await self._storage.runs.get(run_id, thread_id)
                    except NotFound:
                        return None
                    if run.status in FINAL:
                        return run
                # A signal that came while the storage answered has woken the waiter, and causes another read.
                await waiter.woken()
            return waiter.ended
        finally:
            self._waiters[run_id].discard(waiter)
            if not self._waiters[run_id]:
                del self._waiters[run_id]

    @property
    def followed(self) -> Collection[str]:
        """Ids of the threads that are followed here."""
        return self._followers.keys()

    @contextmanager
    def following(self, thread_id: str) -> Iterator[Follower]:
        """A follower of a thread while the context is open. The caller reads the thread first, and again
        whenever the follower was woken."""
        follower = Follower()
        self._followers[thread_id].add(follower)
        self._start_polling()
        try:
            yield follower
        finally:
            self._followers[thread_id].discard(follower)
            if not self._followers[thread_id]:
                del self._followers[thread_id]

    def ended_here(self, run: Run) -> None:
        """Hands a run whose end was just stored to its waiters here: they need not ask the storage."""
        for waiter in self._waiters.get(run.run_id, ()):
            waiter.ended = run
        self.announce(Signal("finished", run.run_id))

    def announce(self, signal: Signal) -> None:
        """Delivers a signal to its waiters here; the worker calls it for its own runs."""
        if signal.kind == "queued":
            for wake in self._on_queued:
                wake()
            if not signal.subject:
                self._gap.set()
                for recheck in self._on_gap:
                    recheck()
        elif signal.kind == "cancel":
            for stop in self._on_cancel:
                stop(signal.subject)
        elif signal.kind == "thread":
            for follower in self._followers.get(signal.subject, ()):
                follower.wake()
        else:
            self._ended[signal.subject] = None
            if len(self._ended) > REMEMBERED_ENDS:
                self._ended.popitem(last=False)
            for waiter in self._waiters.get(signal.subject, ()):
                waiter.wake()

    async def close(self) -> None:
        """Ends the subscription. No waiter is woken after that."""
        for task in (self._task, self._polling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                async with self._storage.signals.listen() as signals:
                    self._listening.set()
                    async for signal in signals:
                        self.announce(signal)
            except StorageUnavailable as gone:
                log.warning("signals.lost", reason=str(gone))
            # Without this task nobody would be woken before the next poll.
            except Exception:
                log.exception("signals.lost")
            await asyncio.sleep(RECONNECT_SECONDS)

    def _start_polling(self) -> None:
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll_for_missed(), name="missed-signals")

    async def _poll_for_missed(self) -> None:
        """Reads from the storage what is waited for, as long as there are waiters."""
        while self._waiters or self._followers:
            self._gap.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS * random.uniform(0.7, 1.3)):
                    await self._gap.wait()
            with suppress(StorageUnavailable):
                await self._poll()

    async def _poll(self) -> None:
        if self._waiters:
            for run_id in await self._storage.runs.finished(list(self._waiters)):
                for waiter in self._waiters.get(run_id, ()):
                    waiter.wake()
        if seen := {thread_id: _seen(followers) for thread_id, followers in self._followers.items()}:
            for thread_id in await self._storage.threads.changed(seen):
                for follower in self._followers.get(thread_id, ()):
                    follower.wake()


def _seen(followers: set[Follower]) -> datetime | None:
    """The last change of the thread that all of its followers have seen; None if they do not agree."""
    moments = {follower.seen for follower in followers}
    return moments.pop() if len(moments) == 1 else None
