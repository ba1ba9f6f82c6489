"""News from the other replicas, brought to whoever waits for it here.

One subscription to the storage's signals. A signal may be lost, so it only ever shortens a wait: waiters
look at the storage themselves every few seconds, and the worker polls.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress

import structlog

from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import FINAL, Run, Signal
from lgs_runtime.storage.contract import Storage

RECHECK_SECONDS = 4.0
RECONNECT_SECONDS = 0.5
REMEMBERED_ENDS = 4096
"""More than can end between the moment in which a run is read and the one in which its end is waited for."""
log = structlog.get_logger(__name__)


class _Waiter:
    """One who waits for the end of a run."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.ended: Run | None = None

    async def news_or_time(self) -> None:
        """Returns when there is news, or when it is time to look all the same."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_SECONDS * random.uniform(0.7, 1.3)):
                await self.news.wait()


class SignalHub:
    """Owned by `server.py`: `start` before use, `close` at the end."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._waiters: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._on_queued: list[Callable[[], None]] = []
        self._on_cancel: list[Callable[[str], None]] = []
        self._on_gap: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    def on_queued(self, wake: Callable[[], None]) -> None:
        """Calls `wake` when a run may be claimable. It must not block."""
        self._on_queued.append(wake)

    def on_cancel(self, stop: Callable[[str], None]) -> None:
        """Calls `stop` with the id of a run that was asked to stop. It must not block."""
        self._on_cancel.append(stop)

    def on_gap(self, look: Callable[[], None]) -> None:
        """Calls `look` when signals may have been missed. It must not block."""
        self._on_gap.append(look)

    async def start(self) -> None:
        """Subscribes; returns as soon as signals can arrive, or after a second if the database is away."""
        self._task = asyncio.create_task(self._follow(), name="signals")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), timeout=1.0)

    async def finished(
        self, run_id: str, thread_id: str | None = None, *, seen_unfinished: bool = False
    ) -> Run | None:
        """Waits until a run has ended and returns it; None when it is gone (deleted, or rolled back).
        `seen_unfinished`: it was, a moment ago, so that there is nothing to look at before there is news.

        A database that is away meanwhile is waited for. Cancel the call to stop waiting.
        """
        waiter = _Waiter()
        self._waiters[run_id].add(waiter)
        try:
            if seen_unfinished and run_id not in self._ended:
                await waiter.news_or_time()
            while waiter.ended is None:
                # Cleared first: what is signalled while the storage answers must cause another look.
                waiter.news.clear()
                with suppress(StorageUnavailable):
                    try:
                        run = await self._storage.run(run_id, thread_id)
                    except NotFound:
                        return None
                    if run.status in FINAL:
                        return run
                await waiter.news_or_time()
            return waiter.ended
        finally:
            self._waiters[run_id].discard(waiter)
            if not self._waiters[run_id]:
                del self._waiters[run_id]

    def ended_here(self, run: Run) -> None:
        """Hands a run whose end was stored just now to those who wait for it here: they need not ask the
        storage."""
        for waiter in self._waiters.get(run.run_id, ()):
            waiter.ended = run
        self.announce(Signal("finished", run.run_id))

    def announce(self, signal: Signal) -> None:
        """Hands a signal to those who wait for it here; the worker uses it for what it knows at first
        hand."""
        if signal.kind == "queued":
            for wake in self._on_queued:
                wake()
            if not signal.run_id:
                for look in self._on_gap:
                    look()
        elif signal.kind == "cancel":
            for stop in self._on_cancel:
                stop(signal.run_id)
        else:
            self._ended[signal.run_id] = None
            if len(self._ended) > REMEMBERED_ENDS:
                self._ended.popitem(last=False)
            for waiter in self._waiters.get(signal.run_id, ()):
                waiter.news.set()

    async def close(self) -> None:
        """Ends the subscription. Waiters go on by looking at the storage."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            try:
                async with self._storage.signals() as signals:
                    self._listening.set()
                    async for signal in signals:
                        self.announce(signal)
            except StorageUnavailable as gone:
                log.warning("signals.lost", reason=str(gone))
            await asyncio.sleep(RECONNECT_SECONDS)
