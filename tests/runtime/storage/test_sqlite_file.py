"""The SQLite file behind the storage: what was acknowledged is there for the next caller, whatever becomes
of concurrent callers; what failed leaves nothing behind, not even an open transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import StorageUnavailable
from support.ports import PATIENCE_SECONDS

TABLES = """
CREATE TABLE thread (name TEXT PRIMARY KEY) STRICT;
CREATE TABLE run (name TEXT, thread TEXT REFERENCES thread DEFERRABLE INITIALLY DEFERRED) STRICT;
"""


def prepare(connection: sqlite3.Connection) -> None:
    for statement in filter(str.strip, TABLES.split(";")):
        connection.execute(statement)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "file.db", prepare)
    yield opened
    await opened.close()


def thread(name: str) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: connection.execute("INSERT INTO thread VALUES (?)", (name,)) and None


def run(name: str, of: str) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: connection.execute("INSERT INTO run VALUES (?, ?)", (name, of)) and None


async def threads(database: Database) -> list[str]:
    found = await database.read(lambda c: c.execute("SELECT name FROM thread ORDER BY name").fetchall())
    return [row["name"] for row in found]


class Busy:
    """Work that is under way from `begun` on, and goes on when `may_end` is set."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO thread VALUES (?)", (self._name,))
        self.begun.set()
        assert self.may_end.wait(PATIENCE_SECONDS)
        connection.execute("INSERT INTO run VALUES ('of it', ?)", (self._name,))


async def test_a_commit_that_fails_leaves_nothing_and_keeps_nobody_from_writing(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(run("r", of="nobody"))

    await database.write(thread("after"))

    assert await threads(database) == ["after"]
    assert await database.read(lambda c: c.execute("SELECT * FROM run").fetchall()) == []


async def test_a_full_disk_is_told_as_such_and_what_comes_when_there_is_room_is_stored(
    database: Database,
) -> None:
    def no_more_room(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connection.execute("INSERT INTO thread VALUES (?)", ("x" * 100_000,))

    with pytest.raises(StorageUnavailable, match="full"):
        await database.write(no_more_room)
    await database.read(lambda c: c.execute("SELECT 1").fetchall())
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall())

    await database.write(thread("small"))

    assert await threads(database) == ["small"]


async def test_who_gives_up_while_waiting_takes_nothing_of_the_others_along(database: Database) -> None:
    busy = Busy("busy")
    first = asyncio.ensure_future(database.write(busy))
    await asyncio.to_thread(busy.begun.wait, PATIENCE_SECONDS)
    waiting = {name: asyncio.ensure_future(database.write(thread(name))) for name in "abcd"}
    await asyncio.sleep(0)

    for name in "bd":
        waiting[name].cancel()
    busy.may_end.set()
    await asyncio.gather(first, waiting["a"], waiting["c"])

    assert set(await threads(database)) >= {"busy", "a", "c"}


async def test_who_gives_up_in_the_middle_leaves_all_or_nothing_and_the_next_is_stored(
    database: Database,
) -> None:
    busy = Busy("busy")
    given_up = asyncio.ensure_future(database.write(busy))
    await asyncio.to_thread(busy.begun.wait, PATIENCE_SECONDS)

    given_up.cancel()
    busy.may_end.set()
    await database.write(thread("next"))

    found = await threads(database)
    runs = await database.read(lambda c: c.execute("SELECT thread FROM run").fetchall())
    assert "next" in found
    assert [row["thread"] for row in runs] == [name for name in found if name == "busy"]


async def test_one_that_fails_takes_nothing_of_those_beside_it_along(database: Database) -> None:
    busy = Busy("busy")
    first = asyncio.ensure_future(database.write(busy))
    await asyncio.to_thread(busy.begun.wait, PATIENCE_SECONDS)
    asked = [thread("a"), thread("a"), thread("b"), thread("busy"), thread("c")]
    beside = [asyncio.ensure_future(database.write(work)) for work in asked]
    await asyncio.sleep(0)

    busy.may_end.set()
    await first
    found = await asyncio.gather(*beside, return_exceptions=True)

    assert [type(each) for each in found] == [
        type(None),
        sqlite3.IntegrityError,
        type(None),
        sqlite3.IntegrityError,
        type(None),
    ]
    assert await threads(database) == ["a", "b", "busy", "c"]


async def test_what_was_acknowledged_is_read_by_whoever_asks_next(database: Database) -> None:
    async def asks(number: int) -> bool:
        name = f"{number:03}"
        await database.write(thread(name))
        return name in await threads(database)

    asking = [asyncio.ensure_future(asks(number)) for number in range(200)]
    for number, each in enumerate(asking):
        if number % 3 == 0:
            # At a different point of its way each time: before its turn, in it, between write and read.
            await asyncio.sleep(0)
            each.cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)

    assert {each for each in found if not isinstance(each, asyncio.CancelledError)} == {True}
    assert sum(each is True for each in found) >= 133
