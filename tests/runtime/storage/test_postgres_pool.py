"""The pool of connections: never more than it may have, each one's alone, in the order of those who came."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]
import pytest

from lgs_runtime.checkpoint.postgres.saver import FastPostgresSaver
from lgs_runtime.database import postgres_pool
from lgs_runtime.database.postgres import Database
from lgs_runtime.database.postgres_access import probe
from lgs_runtime.database.postgres_connections import Access
from lgs_runtime.database.postgres_pool import ConnectionPool
from lgs_runtime.errors import StorageUnavailable
from support.ports import PATIENCE_SECONDS
from support.postgres import PostgresServer


class Connection:
    """One to no server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._closed = False
        self.in_transaction = False

    def is_closed(self) -> bool:
        return self._closed

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    async def execute(self, statement: str) -> None:
        await self._server.answers.wait()

    async def reset(self) -> None:
        await self.execute("ROLLBACK")
        self.in_transaction = False

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.terminate()

    def terminate(self) -> None:
        if not self._closed:
            self._closed = True
            self._server.open.discard(self)


class Server:
    """Opens connections, and counts them."""

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self.opened = 0
        self.takes = asyncio.Event()
        self.takes.set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.refuses = 0

    async def connect(self) -> Connection:
        await self.takes.wait()
        if self.refuses:
            self.refuses -= 1
            raise ConnectionRefusedError
        connection = Connection(self)
        self.open.add(connection)
        self.opened += 1
        return connection


@asynccontextmanager
async def pool_on(
    server: Server, *, most: int = 2, idle_seconds: float = 300.0
) -> AsyncIterator[ConnectionPool]:
    pool = ConnectionPool(server.connect, most=most, idle_seconds=idle_seconds)
    yield pool
    async with asyncio.timeout(PATIENCE_SECONDS):
        await pool.close()
    assert not server.open


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await asyncio.sleep(0.001)


async def others_go() -> None:
    """Lets the other tasks go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_connection_that_was_used_last_is_used_next() -> None:
    server = Server()
    async with pool_on(server) as pool:
        first, second = await pool.acquire(), await pool.acquire()
        await pool.release(second)
        await pool.release(first)

        assert await pool.acquire() is first
        assert await pool.acquire() is second
        assert server.opened == 2
        await pool.release(first)
        await pool.release(second)


async def test_who_waits_is_served_before_who_comes_later() -> None:
    server = Server()
    async with pool_on(server, most=1) as pool:
        held = await pool.acquire()
        served: list[int] = []

        async def wait_for_one(number: int) -> None:
            connection = await pool.acquire()
            served.append(number)
            await asyncio.sleep(0)
            await pool.release(connection)

        waiting = [asyncio.create_task(wait_for_one(number)) for number in range(5)]
        await others_go()
        await pool.release(held)
        late = asyncio.create_task(wait_for_one(5))
        await asyncio.gather(*waiting, late)

        assert served == [0, 1, 2, 3, 4, 5]
        assert server.opened == 1


@pytest.mark.parametrize("given", ["a connection", "a place"])
async def test_what_was_given_to_one_who_is_cancelled_goes_to_the_next(given: str) -> None:
    server = Server()
    async with pool_on(server, most=1) as pool:
        held = await pool.acquire()
        cancelled, patient = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
        await others_go()
        if given == "a place":
            held.terminate()
        await pool.release(held)
        cancelled.cancel()

        async with asyncio.timeout(PATIENCE_SECONDS):
            connection = await patient
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert (connection is held) == (given == "a connection")
        await pool.release(connection)


async def test_a_connection_that_can_not_be_opened_leaves_its_place_to_who_waits() -> None:
    server = Server()
    async with pool_on(server, most=1) as pool:
        server.refuses = 1
        server.takes.clear()
        refused, patient = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
        await others_go()
        server.takes.set()

        with pytest.raises(ConnectionRefusedError):
            await refused
        async with asyncio.timeout(PATIENCE_SECONDS):
            await pool.release(await patient)


async def test_an_impatient_one_gets_a_time_out_and_takes_nothing_with_it() -> None:
    server = Server()
    async with pool_on(server, most=1) as pool:
        held = await pool.acquire()
        with pytest.raises(TimeoutError):
            await pool.acquire(timeout=0.01)
        await pool.release(held)

        assert await pool.acquire(timeout=10) is held
        await pool.release(held)


async def test_expired_connections_are_made_anew_also_those_in_use_and_those_being_opened() -> None:
    server = Server()
    async with pool_on(server, most=3) as pool:
        free, lent = await pool.acquire(), await pool.acquire()
        await pool.release(free)
        server.takes.clear()
        assert await pool.acquire() is free
        opening = asyncio.create_task(pool.acquire())
        await others_go()
        await pool.release(free)
        await pool.expire_connections()
        server.takes.set()
        old = await opening
        await pool.release(lent)
        await pool.release(old)
        await until(lambda: free.is_closed() and lent.is_closed() and old.is_closed())

        new = await pool.acquire()
        assert new not in (free, lent, old)
        await pool.release(new)


@pytest.mark.parametrize("fault", ["closed", "in a transaction", "given up"])
async def test_only_a_sound_connection_is_lent_again(fault: str) -> None:
    server = Server()
    async with pool_on(server, most=1) as pool:
        connection = await pool.acquire()
        connection.in_transaction = fault == "in a transaction"
        if fault == "closed":
            connection.terminate()
        server.answers.clear()
        await pool.release(connection, settled=fault != "given up")
        following = asyncio.create_task(pool.acquire())
        await others_go()
        assert following.done() == (fault == "closed")
        server.answers.set()

        async with asyncio.timeout(PATIENCE_SECONDS):
            again = await following
        assert (again is connection) == (fault != "closed")
        assert not again.is_in_transaction()
        await pool.release(again)


async def test_a_statement_that_never_ends_costs_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_pool, "SETTLE_SECONDS", 0.01)
    server = Server()
    async with pool_on(server, most=1) as pool:
        connection = await pool.acquire()
        server.answers.clear()
        await pool.release(connection, settled=False)

        async with asyncio.timeout(PATIENCE_SECONDS):
            another = await pool.acquire()
        assert another is not connection
        assert connection.is_closed()
        await pool.release(another)


async def test_a_connection_that_nobody_uses_is_closed() -> None:
    server = Server()
    async with pool_on(server, idle_seconds=0.01) as pool:
        first, second = await pool.acquire(), await pool.acquire()
        await pool.release(first)
        await pool.release(second)
        await until(lambda: not server.open)

        assert pool.get_size() == 0
        await pool.release(await pool.acquire())


async def test_a_connection_that_is_old_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_pool, "LIFETIME_SECONDS", -1.0)
    server = Server()
    async with pool_on(server) as pool:
        old = await pool.acquire()
        await pool.release(old)

        new = await pool.acquire()
        assert new is not old
        await until(old.is_closed)
        await pool.release(new)


async def test_closing_waits_for_those_in_use_and_refuses_those_who_wait() -> None:
    server = Server()
    pool = ConnectionPool(server.connect, most=1, idle_seconds=300.0)
    held = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await others_go()
    closing = asyncio.create_task(pool.close())
    await others_go()
    assert not closing.done()
    await pool.release(held)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await closing

    assert held.is_closed()
    for asked in (waiting, pool.acquire()):
        with pytest.raises(asyncpg.InterfaceError, match="closing"):
            await asked


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_each_has_one_alone_and_all_are_served(seed: int) -> None:
    """Two hundred at a time, of whom some are cancelled, some end with a broken connection, and some meet a
    server that refuses; all connections expire now and then."""
    chance = random.Random(seed)
    server, most = Server(), chance.randint(1, 4)
    in_use: set[asyncpg.Connection] = set()
    served = refused = 0

    async def use(pool: ConnectionPool) -> None:
        nonlocal served, refused
        try:
            connection = await pool.acquire(timeout=chance.choice([None, 600.0]))
        except ConnectionRefusedError:
            refused += 1
            return
        assert connection not in in_use
        in_use.add(connection)
        settled = False
        try:
            assert len(in_use) <= most
            assert not connection.is_in_transaction()
            connection.in_transaction = chance.random() < 0.2
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                connection.terminate()
            settled = chance.random() < 0.9
            served += 1
        finally:
            in_use.discard(connection)
            await pool.release(connection, settled=settled)

    async with pool_on(server, most=most) as pool:
        tasks = []
        for _ in range(200):
            tasks.append(asyncio.create_task(use(pool)))
            if chance.random() < 0.3:
                await asyncio.sleep(0)
            if chance.random() < 0.2:
                chance.choice(tasks).cancel()
            if chance.random() < 0.05:
                await pool.expire_connections()
            if chance.random() < 0.05:
                server.refuses += 1
        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [end for end in ended if isinstance(end, Exception)]
        cancelled = sum(isinstance(end, asyncio.CancelledError) for end in ended)
        assert served + refused + cancelled >= 200
        assert served > 50


async def test_a_statement_that_is_cancelled_leaves_a_connection_that_answers(
    postgres_server: PostgresServer,
) -> None:
    """And the next statement is not cancelled in its place: a cancellation has a connection of its own."""
    database = await Database.open(await probe(postgres_server.uri), connections=1)
    try:
        process = await database.value("SELECT pg_backend_pid()")
        for round_ in range(20):
            slow = asyncio.create_task(_slow(database, within=round_ % 2 == 0))
            await asyncio.sleep(0.005)
            slow.cancel()
            assert await database.value("SELECT 7") == 7
            with pytest.raises(asyncio.CancelledError):
                await slow
        assert await database.value("SELECT pg_backend_pid()") == process
        assert await database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 0
    finally:
        await database.close()


@pytest.mark.parametrize("borrowed", [False, True], ids=["session", "pooler"])
@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_transaction_that_is_given_up_as_it_begins_spoils_no_connection(
    postgres_server: PostgresServer, borrowed: bool, turns: int
) -> None:
    """The driver still takes it for begun: the next one there would be a savepoint in none."""
    access = await probe(postgres_server.uri)
    access = Access(access.uri, pooled=True, names=False) if borrowed else access
    database = await Database.open(access, connections=1)
    try:
        process = await database.value("SELECT pg_backend_pid()")
        task = asyncio.ensure_future(database.transact(lambda connection: connection.fetchval("SELECT 1")))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        assert await database.transact(lambda connection: connection.fetchval("SELECT 7")) == 7
        assert await database.value("SELECT pg_backend_pid()") == process
    finally:
        await database.close()


async def test_whoever_has_a_connection_that_was_cut_is_told_that_the_database_is_away(
    postgres_server: PostgresServer,
) -> None:
    database = await Database.open(await probe(postgres_server.uri), connections=2)
    statements = [
        asyncio.ensure_future(database.value("SELECT pg_sleep(60)")),
        asyncio.ensure_future(_slow(database, within=True)),
    ]
    while database.pool.get_size() < 2:
        await asyncio.sleep(0.01)
    database.pool.terminate()
    for statement in statements:
        with pytest.raises(StorageUnavailable):
            await statement
    async with asyncio.timeout(PATIENCE_SECONDS):
        await database.pool.close()
    await database.close()


def _slow(database: Database, *, within: bool) -> Awaitable[object]:
    statement = "SELECT pg_sleep(60)"
    if within:
        return database.transact(lambda connection: connection.fetchval(statement))
    return database.value(statement)


async def test_a_pool_of_the_drivers_serves_a_saver(postgres_server: PostgresServer) -> None:
    async with asyncpg.create_pool(postgres_server.uri, min_size=1, max_size=2) as pool:
        saver = FastPostgresSaver(pool)
        await saver.setup()
        assert await saver.aget_tuple({"configurable": {"thread_id": "nobody's"}}) is None
        await saver.aclose()
        assert pool.get_size()


async def test_a_pool_that_is_closed_says_that_the_database_can_not_be_reached(
    postgres_server: PostgresServer,
) -> None:
    database = await Database.open(await probe(postgres_server.uri), connections=1)
    await database.close()
    with pytest.raises(StorageUnavailable, match="closing"):
        await database.value("SELECT 1")
