"""Signals between replicas: by NOTIFY and LISTEN, or by polling behind a pooler, which lets nobody listen.

They are sent after the change is committed, many in one statement: a NOTIFY inside of the change would make
all commits of the database wait for each other. A signal may be lost on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.backoff import Backoff
from lgs_runtime.database.postgres import TAKES_WRITES, Database
from lgs_runtime.database.postgres_connections import Access, connect
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.model import Signal
from lgs_runtime.storage.notifications import KEPT, Inbox, packed, unpacked
from lgs_runtime.storage.postgres.statements.replicas import ASKED_TO_STOP, NOTIFY

CHANNEL: Final = "lgs"
GAP: Final = Signal("queued", "")
_BACKOFF: Final = Backoff(first_seconds=0.05, longest_seconds=0.9)
_CHECK_SECONDS: Final = 5.0
POLL_SECONDS: Final = 1.0
"""Seconds between polls behind a pooler, give or take a tenth: how late a signal is at most, beside the time
of a statement."""
GATHER_SECONDS: Final = 0.005
THREAD_SECONDS: Final = 0.03
"""Seconds for which a signal of a thread waits for others to go with: if its run ends soon, it needs no
statement of its own."""


class PostgresSignals:
    """Implements `Signals` of the contract. Signals to send are collected while a round trip is under way,
    and go with the next."""

    def __init__(self, database: Database, direct: Access | None = None) -> None:
        """`direct`: the database without a pooler, if it has such an address."""
        self._database = database
        self._direct = direct
        self._waiting: list[Signal] = []
        self._due = asyncio.Event()
        self._pressing = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._send_forever(), name="lgs-signals-sender")

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        if self._direct is not None:
            return Listener(self._direct)
        if self._database.access.pooled:
            return Poller(self._database)
        return Listener(self._database.access)

    def send(self, *signals: Signal) -> None:
        """When the database is away for long, the oldest signals are dropped."""
        self._waiting = (self._waiting + list(signals))[-KEPT:]
        kinds = {signal.kind for signal in signals}
        if kinds <= {"thread"}:
            if self._later is None:
                self._later = asyncio.get_running_loop().call_later(THREAD_SECONDS, self._due.set)
            return
        self._due.set()
        if not kinds <= {"finished", "thread"}:
            self._pressing.set()

    async def close(self) -> None:
        """Sends what is left, if possible, and ends."""
        await _end(self._task)
        with contextlib.suppress(StorageUnavailable):
            await self._flush()

    async def _send_forever(self) -> None:
        while True:
            await self._due.wait()
            # Waiters on other replicas can wait a moment more for the end of a run; runs end by the hundred.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._pressing.wait()
            self._due.clear()
            self._pressing.clear()
            # A lost signal costs a little time, and the listeners get the gap: nothing to repeat here.
            with contextlib.suppress(StorageUnavailable, asyncpg.PostgresError):
                await self._flush()

    async def _flush(self) -> None:
        signals, self._waiting = self._waiting, []
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if signals:
            await self._database.rows(NOTIFY, packed(signals))


class Listener:
    """Listens on its own connection, and on a new one after that was lost."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._inbox = Inbox()
        self._connection: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AsyncIterator[Signal]:
        await self._listen()
        self._task = asyncio.create_task(self._stay_connected(), name="lgs-signals-listener")
        return self._inbox

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await _end(self._task)
        if self._connection is not None:
            self._connection.terminate()

    async def _listen(self) -> None:
        connection = await connect(self._access)
        try:
            await connection.add_listener(CHANNEL, self._received)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            connection.terminate()
            raise StorageUnavailable(f"the database can't be listened to: {error}") from error
        self._connection = connection

    def _received(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._inbox.put(*unpacked(str(payload)))

    async def _stay_connected(self) -> None:
        while True:
            await self._lost()
            for failures in itertools.count(1):
                try:
                    await self._listen()
                    break
                except StorageUnavailable:
                    await asyncio.sleep(_BACKOFF.pause(failures))
            self._inbox.put(GAP)

    async def _lost(self) -> None:
        """Returns when the connection is gone. A statement every few seconds detects what the network does
        not report, and a server that is no longer a primary, which sends no notifications any more."""
        connection = self._connection
        assert connection is not None
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        while not (gone.is_set() or connection.is_closed()):
            try:
                await asyncio.wait_for(gone.wait(), _CHECK_SECONDS)
            except TimeoutError:
                try:
                    if await connection.fetchval(TAKES_WRITES, timeout=_CHECK_SECONDS):
                        continue
                    connection.terminate()
                    return
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                    connection.terminate()
                    return


class Poller:
    """Takes the place of a listener behind a pooler, where no session belongs to one client. Every second it
    yields the running runs newly asked to stop, and a signal that anything may have happened."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inbox = Inbox()
        self._task: asyncio.Task[None] | None = None
        self._reported: frozenset[str] = frozenset()

    async def __aenter__(self) -> AsyncIterator[Signal]:
        self._task = asyncio.create_task(self._poll(), name="lgs-signals-poller")
        return self._inbox

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await _end(self._task)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS * random.uniform(0.9, 1.1))
            # The waiters ask the database themselves, and find out that it is away.
            with contextlib.suppress(StorageUnavailable):
                found = await self._database.rows(ASKED_TO_STOP)
                asked = frozenset(row["run_id"] for row in found)
                self._inbox.put(*(Signal("cancel", run_id) for run_id in asked - self._reported))
                self._reported = asked
            self._inbox.put(GAP)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
