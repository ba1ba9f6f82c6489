"""One SQLite file: a thread that writes and a thread that reads, each with its connection.

A write is a function of a connection that runs inside of `BEGIN IMMEDIATE`, so it sees and changes everything
alone, whatever other processes do. Writes that arrive while one is under way share the next transaction, each
in its own savepoint: a write that raises leaves nothing, and the others stay. WAL lets reads go on beside it;
a commit is on disk before any of its writes returns. Errors of the file leave as `StorageUnavailable`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

from lgs_runtime.database import json_columns as encoding
from lgs_runtime.database.batch_thread import BatchThread, Failed
from lgs_runtime.errors import ConfigError, StorageUnavailable

BUSY_SECONDS: Final = 30.0
_Result = TypeVar("_Result")
_Work = Callable[[sqlite3.Connection], Any]

_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or -1 for errors of the driver."""
    return int(getattr(error, "sqlite_errorcode", -1)) & 0xFF if hasattr(error, "sqlite_errorcode") else -1


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns errors of the file into `StorageUnavailable`."""
    try:
        yield
    except sqlite3.Error as error:
        if code_of(error) not in _UNAVAILABLE:
            raise
        raise StorageUnavailable(f"the database {path} can't be used now: {error}") from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection set up for a file that several processes use. Only one thread may use it at a time."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.row_factory = sqlite3.Row
    connection.create_function("lgs_contains", 2, _contains, deterministic=True)
    connection.create_function("lgs_within", 2, _within, deterministic=True)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    _write_ahead(connection)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its start. If it raises, or its commit does, nothing of it
    stays."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back if the disk was full or failed.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@dataclass(frozen=True, slots=True)
class Function:
    """A pure function with a number of `arguments`, for the statements of one user of the file."""

    arguments: int
    of: Callable[..., Any]


class Database:
    """The file. Opened by `open`, which also migrates it through `prepare`. Belongs to one event loop."""

    def __init__(self, path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._writing: BatchThread[_Work] = BatchThread("lgs-sqlite-write", self._write)
        self._reading: BatchThread[_Work] = BatchThread("lgs-sqlite-read", self._read)

    @classmethod
    async def open(
        cls,
        path: Path,
        prepare: Callable[[sqlite3.Connection], None],
        functions: Mapping[str, Function] = MappingProxyType({}),
    ) -> Database:
        """Opens or makes the file; its statements may call `functions`. Raises `ConfigError` when the path
        can't hold a database, and `StorageUnavailable`."""
        connections = await asyncio.to_thread(_opened, path, prepare)
        for connection in connections:
            for name, function in functions.items():
                connection.create_function(name, function.arguments, function.of, deterministic=True)
        return cls(path, *connections)

    async def write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Runs `work` on the writing thread, in a transaction: all of it is committed when this returns, and
        nothing of it stays when this raises."""
        return cast(_Result, await self._ask(self._writing, work))

    async def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Runs `work`, which changes nothing, on the reading thread."""
        return cast(_Result, await self._ask(self._reading, work))

    async def close(self) -> None:
        """Waits for what is under way and closes the file."""
        for thread in (self._writing, self._reading):
            await thread.close()
        for connection in (self._writer, self._reader):
            connection.close()

    def _ask(self, thread: BatchThread[_Work], work: _Work) -> asyncio.Future[Any]:
        if thread.closed:
            raise StorageUnavailable(f"the database {self.path} is closed")
        return thread.ask(work)

    def _write(self, works: Sequence[_Work]) -> Sequence[Any]:
        try:
            with translated(self.path), transaction(self._writer):
                if len(works) == 1:
                    return [works[0](self._writer)]
                return [_by_itself(self._writer, work) for work in works]
        except StorageUnavailable as unavailable:
            return [Failed(StorageUnavailable(str(unavailable))) for _ in works]

    def _read(self, works: Sequence[_Work]) -> Sequence[Any]:
        return [self._read_one(work) for work in works]

    def _read_one(self, work: _Work) -> Any:
        try:
            with translated(self.path):
                return work(self._reader)
        except Exception as failed:  # noqa: BLE001 - it reaches who asked
            return Failed(failed)


def _opened(
    path: Path, prepare: Callable[[sqlite3.Connection], None]
) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    shown = f"DATABASE_URI: sqlite:///{path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = connect(path)
    except OSError as error:
        raise ConfigError(f"{shown}: the folder must exist or be one that can be made: {error}") from error
    except sqlite3.DatabaseError as error:
        if code_of(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise ConfigError(f"{shown}: must be a SQLite file that can be written: {error}") from error
        raise StorageUnavailable(f"the database {path} can't be opened: {error}") from error
    try:
        with translated(path):
            with transaction(writer):
                prepare(writer)
            return writer, connect(path)
    except BaseException:
        writer.close()
        raise


def _by_itself(connection: sqlite3.Connection, work: _Work) -> Any:
    """What one work of a group returns, or `Failed` with what it raised. Errors of the file are not the
    work's own: they are raised and end the group."""
    connection.execute("SAVEPOINT lgs_work")
    try:
        result = work(connection)
    except Exception as failed:
        if isinstance(failed, sqlite3.Error) and code_of(failed) in _UNAVAILABLE:
            raise
        connection.execute("ROLLBACK TO lgs_work")
        result = Failed(failed)
    connection.execute("RELEASE lgs_work")
    return result


def _contains(whole: str | None, part: str) -> bool:
    return whole is not None and encoding.contains(encoding.load(whole), encoding.load(part))


def _within(whole: str | None, parts: str) -> bool:
    """Whether the document `whole` contains one of the documents in the list `parts`."""
    if whole is None:
        return False
    found = encoding.load(whole)
    return any(encoding.contains(found, part) for part in encoding.load(parts))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turns on WAL. SQLite doesn't wait by itself when another process is doing the same."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if code_of(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > end:
                raise
            time.sleep(0.02)
