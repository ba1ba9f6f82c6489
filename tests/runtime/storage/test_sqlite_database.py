"""One SQLite file under many callers: they share transactions, and nobody pays for the others' faults."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import Conflict, StorageUnavailable


def prepare(connection: sqlite3.Connection) -> None:
    """A table of words."""
    connection.execute("CREATE TABLE IF NOT EXISTS word (word TEXT PRIMARY KEY) WITHOUT ROWID")


def add(connection: sqlite3.Connection, word: str) -> str:
    """Stores a word."""
    connection.execute("INSERT INTO word VALUES (?)", (word,))
    return word


async def words(database: Database) -> list[str]:
    """All that is stored."""
    found = await database.read(lambda c: c.execute("SELECT word FROM word ORDER BY word").fetchall())
    return [row["word"] for row in found]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "words.db", prepare)
    yield opened
    await opened.close()


async def test_writes_that_come_together_share_a_transaction_and_each_gets_its_own_answer(
    database: Database,
) -> None:
    done: list[str] = []
    await database.write(lambda c: c.set_trace_callback(done.append))
    done.clear()

    stored = await asyncio.gather(
        *(database.write(lambda c, word=f"w{number}": add(c, word)) for number in range(10))
    )

    assert stored == [f"w{number}" for number in range(10)]
    assert await words(database) == stored
    assert done.count("COMMIT") == 1


async def test_a_write_that_raises_leaves_nothing_and_the_others_stay(database: Database) -> None:
    def refused(connection: sqlite3.Connection) -> None:
        add(connection, "half done")
        raise Conflict("no")

    answers = await asyncio.gather(
        database.write(lambda c: add(c, "before")),
        database.write(refused),
        database.write(lambda c: add(c, "before")),
        database.write(lambda c: add(c, "after")),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [str, Conflict, sqlite3.IntegrityError, str]
    assert await words(database) == ["after", "before"]


async def test_a_full_disk_is_told_to_all_who_shared_a_transaction_and_is_not_the_end(
    database: Database,
) -> None:
    await database.write(lambda c: add(c, "first"))
    (pages,) = await database.read(lambda c: c.execute("PRAGMA page_count").fetchone())
    await database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())

    answers = await asyncio.gather(
        database.write(lambda c: add(c, "small")),
        database.write(lambda c: add(c, "large" * 10_000)),
        database.write(lambda c: add(c, "late")),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [StorageUnavailable] * 3
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall())
    await database.write(lambda c: add(c, "second"))
    assert await words(database) == ["first", "second"]


async def test_a_read_that_fails_fails_alone(database: Database) -> None:
    await database.write(lambda c: add(c, "word"))

    good, bad = await asyncio.gather(
        words(database),
        database.read(lambda c: c.execute("SELECT nonsense FROM word").fetchall()),
        return_exceptions=True,
    )

    assert good == ["word"]
    assert isinstance(bad, sqlite3.OperationalError)


async def test_what_was_given_up_before_its_turn_is_not_done(database: Database) -> None:
    kept, given_up = (
        asyncio.ensure_future(database.write(lambda c, word=word: add(c, word))) for word in ("kept", "gone")
    )
    await asyncio.sleep(0)

    given_up.cancel()
    await kept

    assert await words(database) == ["kept"]


async def test_closing_waits_for_what_was_asked_and_takes_nothing_more(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "words.db", prepare)
    asked = [
        asyncio.ensure_future(database.write(lambda c, word=f"w{number:03}": add(c, word)))
        for number in range(100)
    ]
    await asyncio.sleep(0)

    await database.close()

    assert [await each for each in asked] == [f"w{number:03}" for number in range(100)]
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.write(lambda c: add(c, "late"))


async def test_a_commit_is_on_the_disk_before_it_is_told(database: Database) -> None:
    modes = await database.write(
        lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    )

    # FULL: the log is synchronised at each commit. With NORMAL a loss of power would lose the last ones.
    assert modes == ["wal", 2]


WRITER = """
import asyncio, sys
from pathlib import Path
from lgs_runtime.database.sqlite import Database

def prepare(connection):
    connection.execute("CREATE TABLE IF NOT EXISTS word (word TEXT PRIMARY KEY) WITHOUT ROWID")

async def main(path, name, most):
    database = await Database.open(Path(path), prepare)

    async def one(caller):
        for number in range(int(most)):
            word = f"{name}-{caller}-{number}"
            await database.write(lambda c: c.execute("INSERT INTO word VALUES (?)", (word,)).rowcount)
            print(word, flush=True)

    await asyncio.gather(*(one(caller) for caller in range(8)))
    await database.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def writer(tmp_path: Path, name: str, most: int) -> asyncio.subprocess.Process:
    """A process with eight callers that write, and print each word when it is acknowledged."""
    arguments = ["-c", WRITER, str(tmp_path / "words.db"), name, str(most)]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    process = await writer(tmp_path, "w", 1_000_000)
    assert process.stdout is not None
    told = [await process.stdout.readline() for _ in range(200)]

    process.send_signal(signal.SIGKILL)
    told += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()

    database = await Database.open(tmp_path / "words.db", prepare)
    stored = await words(database)
    await database.close()
    # The last line may have been cut while it was printed.
    assert {line.decode().strip() for line in told if line.endswith(b"\n")} <= set(stored)


async def test_many_writers_in_several_processes_lose_nothing(tmp_path: Path) -> None:
    processes = [await writer(tmp_path, f"p{number}", 20) for number in range(4)]

    outputs = await asyncio.gather(*(process.communicate() for process in processes))

    assert [process.returncode for process in processes] == [0] * 4
    told = [word for output, _ in outputs for word in output.decode().split()]
    database = await Database.open(tmp_path / "words.db", prepare)
    assert await words(database) == sorted(told)
    await database.close()
    assert len(told) == 4 * 8 * 20
