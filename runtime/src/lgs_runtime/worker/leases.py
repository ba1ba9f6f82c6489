"""The heartbeat of this replica, in a thread with an event loop of its own.

A node that blocks the replica's event loop for longer than the lease must not cost the lease: the runs would
be given to others while they still execute here. When the lease has run out all the same, `on_lost` is
called on the replica's event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import structlog

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.storage.contract import Leases, Storage

BEATS_PER_LEASE = 3
RETRY_SECONDS = 0.5
log = structlog.get_logger(__name__)


class Heartbeat:
    """Holds the lease from `start` to `close`."""

    def __init__(
        self,
        storage: Storage,
        replica: str,
        lease_seconds: float,
        on_lost: Callable[[], None],
        on_held: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`on_held` is told, in any thread, until when the lease is held (seconds of `time.monotonic`)."""
        self._storage = storage
        self._replica = replica
        self._lease_seconds = lease_seconds
        self._on_lost = on_lost
        self._on_held = on_held
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
        """Gives the lease up and waits for the thread."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    async def _beat(self, home: asyncio.AbstractEventLoop, taken: asyncio.Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            lease = await self._storage.leases(self._replica)
        except StorageUnavailable as gone:
            home.call_soon_threadsafe(taken.set_exception, gone)
            return
        home.call_soon_threadsafe(taken.set_result, None)
        try:
            await self._renew(lease, home, self._stop)
        finally:
            try:
                await lease.close()
            except StorageUnavailable as gone:
                log.warning("lease.not_given_up", reason=str(gone))

    async def _renew(self, lease: Leases, home: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        held_until = time.monotonic() + self._lease_seconds
        self._on_held(held_until)
        pause = self._lease_seconds / BEATS_PER_LEASE
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), pause)
                return
            except TimeoutError:
                pass
            asked = time.monotonic()
            # A beat that hangs leaves time for another one, on a new connection; and what executes here must
            # be stopped as soon as others may take it, whether or not the answer comes.
            left = held_until - asked
            patience = min(left, self._lease_seconds / BEATS_PER_LEASE) if left > 0 else self._lease_seconds
            try:
                async with asyncio.timeout(patience):
                    held = await lease.renew()
            except (StorageUnavailable, TimeoutError) as gone:
                log.warning("lease.not_renewed", reason=str(gone))
                pause = RETRY_SECONDS
                if time.monotonic() >= held_until:
                    # Others may take the runs from now on: what executes here must not go on beside them, nor
                    # what was claimed since.
                    home.call_soon_threadsafe(self._on_lost)
                continue
            held_until = asked + self._lease_seconds
            if held:
                self._on_held(held_until)
            else:
                # In this order: what executed under the old lease must not write under the new one.
                home.call_soon_threadsafe(self._on_lost)
                home.call_soon_threadsafe(self._on_held, held_until)
            pause = self._lease_seconds / BEATS_PER_LEASE
