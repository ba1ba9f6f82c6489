"""The heartbeat of this replica: renews its lease, in a thread with its own event loop.

A node that blocks the replica's event loop for longer than the lease must not cause its loss: the runs would
be given to others while they still execute here. If this thread can't run either, the keeper extends the
lease. A replica that stood still as a whole (stopped, throttled, suspended) asks the storage when it
continues: if its lease ended but no replica took its runs, it goes on. If they were taken, or the storage
does not answer, `on_lost` is called on the replica's event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from lgs_runtime.background.keeper_process import KeeperProcess
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.model import Release
from lgs_runtime.storage.contract import NO_RELEASE, Lease, Leases

BEATS_PER_LEASE = 3
STILL = 0.1
"""Share of a beat by which the thread must be late to count as having stood still: calls that hold the
interpreter lock can follow each other with gaps too short to read an answer in."""
RETRY_SECONDS = 0.5
log = structlog.get_logger(__name__)


class Heartbeat:
    """Holds the lease from `start` to `close`."""

    def __init__(
        self,
        leases: Leases,
        replica: str,
        lease_seconds: float,
        on_lost: Callable[[], None],
        *,
        graphs: Sequence[str] | None = None,
        release: Release = NO_RELEASE,
        on_held: Callable[[float], None] = lambda _: None,
        keeper: KeeperProcess | None = None,
    ) -> None:
        """`graphs`: ids of the replica's graphs; `release`: the release that it runs. `on_held` is called, in
        any thread, with the time until which the lease is held (seconds of `time.monotonic`)."""
        self._leases = leases
        self._replica = replica
        self._lease_seconds = lease_seconds
        self._on_lost = on_lost
        self._graphs = graphs
        self._release = release
        self._on_held = on_held
        self._keeper = keeper
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Takes the lease; returns when it is held. Raises `StorageUnavailable`."""
        home = asyncio.get_running_loop()
        taken: asyncio.Future[None] = home.create_future()

        def live() -> None:
            with asyncio.Runner() as runner:
                runner.run(self._beat(home, taken))

        self._thread = threading.Thread(target=live, name="heartbeat", daemon=True)
        self._thread.start()
        await taken

    async def close(self) -> None:
        """Gives up the lease and waits for the thread to end."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # The loop is closed, as the lease could not be taken.
                self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    async def _beat(self, home: asyncio.AbstractEventLoop, taken: asyncio.Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            lease = await self._leases.take(self._replica, self._graphs, self._release)
        except Exception as failed:  # noqa: BLE001 - it reaches who starts, who would wait for ever
            home.call_soon_threadsafe(taken.set_exception, failed)
            return
        home.call_soon_threadsafe(taken.set_result, None)
        try:
            await self._renew(lease, home, self._stop)
        finally:
            if self._keeper is not None:
                self._keeper.close()
            try:
                await lease.close()
            except StorageUnavailable as gone:
                log.warning("lease.not_given_up", reason=str(gone))

    async def _renew(self, lease: Lease, home: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        held_until = time.monotonic() + self._lease_seconds
        self._held(held_until)
        beat = self._lease_seconds / BEATS_PER_LEASE
        still = beat * STILL
        pause, woke = beat, False
        while True:
            due = time.monotonic() + (0.0 if woke else pause)
            if not woke and await _stops_within(stop, pause):
                return
            asked = time.monotonic()
            # The timeout of a beat leaves time for another one, on a new connection. Runs that execute here
            # must be stopped as soon as others may take them, whether or not the answer comes.
            left = held_until - asked
            patience = min(left, beat) if left > 0 else self._lease_seconds
            answer = await _answer(lease, patience, still)
            if answer.kept is None:
                log.warning("lease.not_renewed", reason=answer.reason)
                # If the replica stood still, its connection may be broken, so it asks again on a new one
                # before it decides.
                woke, pause = answer.stood_still or asked - due > still, RETRY_SECONDS
                if time.monotonic() >= held_until and not woke:
                    # Others may take the runs from now on: neither what executes here, nor what was claimed
                    # since, may continue.
                    home.call_soon_threadsafe(self._on_lost)
                continue
            held_until, woke, pause = asked + self._lease_seconds, False, beat
            if answer.kept:
                self._held(held_until)
            else:
                # In this order: what executed under the old lease must not write under the new one.
                home.call_soon_threadsafe(self._on_lost)
                home.call_soon_threadsafe(self._on_held, held_until)

    def _held(self, until: float) -> None:
        self._on_held(until)
        if self._keeper is not None:
            self._keeper.held_until(until)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Result of a renewal. `kept` None: there was no answer. `stood_still`: this thread could not run for a
    while meanwhile."""

    kept: bool | None
    stood_still: bool = False
    reason: str = ""


async def _answer(lease: Lease, patience: float, still: float) -> _Answer:
    """Asks for a renewal, and waits up to `patience` seconds for the answer. If the thread stood still for
    more than `still` seconds meanwhile, it waits again, as the answer may have arrived."""
    renewal = asyncio.ensure_future(lease.renew())
    stood_still = waits = True
    while waits:
        asked = time.monotonic()
        await asyncio.wait({renewal}, timeout=patience)
        stood_still = time.monotonic() - asked > patience + still
        waits = stood_still and not renewal.done()
    if not renewal.done():
        renewal.cancel()
        await asyncio.wait({renewal})
    if renewal.cancelled():
        return _Answer(None, stood_still, f"no answer within {patience:.1f} s")
    if (failed := renewal.exception()) is None:
        return _Answer(renewal.result())
    if not isinstance(failed, StorageUnavailable):
        # A heartbeat that ended would tell nobody that the lease is lost.
        log.error("lease.failed", exc_info=failed)
    return _Answer(None, stood_still, str(failed))


async def _stops_within(stop: asyncio.Event, seconds: float) -> bool:
    """Waits up to `seconds`; returns whether the heartbeat is to end."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
