"""A pool of connections to PostgreSQL.

Most statements find a connection free, and get it and give it back without a task, a future or a turn of the
event loop. The driver's own pool takes all of these, and more time than the rest of a short statement. Those
who must wait are served in the order in which they came.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

import asyncpg  # type: ignore[import-untyped]

LIFETIME_SECONDS: Final = 3600.0
"""Seconds, and up to a tenth more, after which a connection is replaced: an old server process holds in
memory the plans and the catalogue entries of all that it ever did."""
SETTLE_SECONDS: Final = 5.0
"""Seconds that a cancelled statement may take to end at the server before its connection is cut."""


class Pool(Protocol):
    """What a `Database` needs of its connections."""

    async def acquire(self, *, timeout: float | None = None) -> asyncpg.Connection:
        """A connection, which the caller must release. Raises `TimeoutError` after `timeout` seconds, and the
        driver's errors."""

    async def release(self, connection: asyncpg.Connection, *, settled: bool = True) -> None:
        """Takes a connection back. `settled` False: its last statement was given up before it was
        answered."""

    async def expire_connections(self) -> None:
        """Replaces every connection; those in use when they are released."""

    def get_size(self) -> int:
        """How many connections are open."""

    async def close(self) -> None:
        """Closes all connections; those in use when they are released."""

    def terminate(self) -> None:
        """Cuts all connections."""


class ConnectionPool:
    """A `Pool` of at most `most` connections, opened by `connect`; each is closed after `idle_seconds`
    without use. For one event loop."""

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, most: int, idle_seconds: float
    ) -> None:
        self._connect = connect
        self._most = most
        self._idle_seconds = idle_seconds
        self._places = 0
        """Places taken by connections that are open or are being opened."""
        self._members: dict[asyncpg.Connection, float] = {}
        """Connections that may still be used, each with the time until which. When all expire, a new dict
        replaces this one."""
        self._free: list[tuple[asyncpg.Connection, float]] = []
        """Connections that nobody uses, each with the time since when; the one used last stands last."""
        self._lent: set[asyncpg.Connection] = set()
        self._waiters: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        """Each waiter gets a connection, or None: a place for a connection that it opens itself."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._none_left: asyncio.Future[None] | None = None

    def get_size(self) -> int:
        """How many connections are open and may still be used."""
        return len(self._members)

    async def acquire(self, *, timeout: float | None = None) -> asyncpg.Connection:
        """See `Pool`. Raises the driver's `InterfaceError` when the pool is closing."""
        self._refuse_when_closing()
        while self._free:
            connection, _ = self._free.pop()
            if not connection.is_closed():
                self._lent.add(connection)
                return connection
            self._forget(connection)
        if timeout is None:
            return await self._waited_or_opened()
        async with asyncio.timeout(timeout):
            return await self._waited_or_opened()

    async def release(self, connection: asyncpg.Connection, *, settled: bool = True) -> None:
        """See `Pool`. Waits for nothing."""
        if connection not in self._lent:
            return
        if settled and not connection.is_in_transaction():
            self._lent.discard(connection)
            self._take_back(connection)
        else:
            self._in_background(self._settle(connection))

    async def expire_connections(self) -> None:
        """See `Pool`."""
        self._members = {}
        free, self._free = self._free, []
        for connection, _ in free:
            self._retire(connection)

    async def close(self) -> None:
        """See `Pool`. Callers that wait for a connection get the driver's `InterfaceError`."""
        self._closing = True
        while self._waiters:
            if not (waiter := self._waiters.popleft()).done():
                waiter.set_exception(_closing_error())
        await self.expire_connections()
        if self._places:
            self._none_left = asyncio.get_running_loop().create_future()
            await self._none_left
        while self._tasks:
            await asyncio.wait(self._tasks)

    def terminate(self) -> None:
        """See `Pool`."""
        self._closing = True
        self._members = {}
        for connection in [*self._lent, *(free for free, _ in self._free)]:
            connection.terminate()
        for task in self._tasks:
            task.cancel()

    async def _waited_or_opened(self) -> asyncpg.Connection:
        if self._places < self._most:
            self._places += 1
            connection = None
        else:
            connection = await self._granted()
        if connection is None:
            connection = await self._opened()
        self._lent.add(connection)
        return connection

    async def _granted(self) -> asyncpg.Connection | None:
        """Waits for a connection that is given back; None is a place for a new connection."""
        waiter: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It was granted, and the waiter is gone.
                if (connection := waiter.result()) is None:
                    self._give_place_up()
                else:
                    self._take_back(connection)
            raise

    async def _opened(self) -> asyncpg.Connection:
        members = self._members
        try:
            connection = await self._connect()
        except BaseException:
            self._give_place_up()
            raise
        if self._closing:
            self._retire(connection)
            self._refuse_when_closing()
        members[connection] = _now() + LIFETIME_SECONDS * random.uniform(1.0, 1.1)
        return connection

    def _take_back(self, connection: asyncpg.Connection) -> None:
        """Passes on a connection that nobody uses: to a waiter or to the free ones; or it is closed."""
        until, now = self._members.get(connection), _now()
        if until is None or until < now or connection.is_closed():
            self._retire(connection)
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._free.append((connection, now))
            if self._sweep_timer is None:
                self._sweep_in(self._idle_seconds)

    def _retire(self, connection: asyncpg.Connection) -> None:
        self._forget(connection)
        if not connection.is_closed():
            self._in_background(connection.close())

    def _forget(self, connection: asyncpg.Connection) -> None:
        self._members.pop(connection, None)
        if connection.is_closed():
            # The driver cleans up after a connection only on request.
            connection.terminate()
        self._give_place_up()

    def _give_place_up(self) -> None:
        self._places -= 1
        if self._places < self._most and (waiter := self._next_waiter()) is not None:
            self._places += 1
            waiter.set_result(None)
        if not self._places and self._none_left is not None and not self._none_left.done():
            self._none_left.set_result(None)

    def _next_waiter(self) -> asyncio.Future[asyncpg.Connection | None] | None:
        while self._waiters:
            if not (waiter := self._waiters.popleft()).done():
                return waiter
        return None

    async def _settle(self, connection: asyncpg.Connection) -> None:
        """Waits until a statement that was given up has ended, with its transaction."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await connection.execute("SELECT")
                if connection.is_in_transaction():
                    await connection.reset()
        except BaseException:
            connection.terminate()
            raise
        finally:
            self._lent.discard(connection)
            self._take_back(connection)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whatever the error is, the connection is cut, and nobody has it.
            task.exception()

    def _sweep_in(self, seconds: float) -> None:
        self._sweep_timer = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """Closes the connections that were not used for long, those unused longest first."""
        self._sweep_timer = None
        oldest_allowed = _now() - self._idle_seconds
        kept = [(connection, since) for connection, since in self._free if since > oldest_allowed]
        idle, self._free = self._free[: len(self._free) - len(kept)], kept
        for connection, _ in idle:
            self._retire(connection)
        if kept:
            self._sweep_in(kept[0][1] - oldest_allowed)

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise _closing_error()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _closing_error() -> asyncpg.InterfaceError:
    return asyncpg.InterfaceError("pool is closing")


def pool_of(pool: Pool | asyncpg.Pool) -> Pool:
    """The pool as a `Pool`: one made by the driver is wrapped."""
    return DriverPool(pool) if isinstance(pool, asyncpg.Pool) else pool


class DriverPool:
    """A pool made by the driver, as a `Pool`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def acquire(self, *, timeout: float | None = None) -> asyncpg.Connection:
        """See `Pool`."""
        return await self._pool.acquire(timeout=timeout)

    async def release(self, connection: asyncpg.Connection, *, settled: bool = True) -> None:
        """See `Pool`. The driver itself waits for a statement that was given up."""
        del settled
        await self._pool.release(connection)

    async def expire_connections(self) -> None:
        """See `Pool`."""
        await self._pool.expire_connections()

    def get_size(self) -> int:
        """See `Pool`."""
        return int(self._pool.get_size())

    async def close(self) -> None:
        """See `Pool`."""
        await self._pool.close()

    def terminate(self) -> None:
        """See `Pool`."""
        self._pool.terminate()
