"""Passes events between the processes of one machine without Redis, through a SQLite file that need not
survive a power cut.

One thread owns the connection, and writes the events that have gathered in one transaction. A process with
listeners reads the file's version every `POLL_SECONDS`, which costs microseconds; of other processes' events
it reads nothing until one of them has written.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from lgs_runtime.streams.contract import Delivery
from lgs_runtime.streams.events import StreamEvent, position, up_to_end
from lgs_runtime.streams.subscribers import Subscriber, SubscriberRegistry

KEEP_SECONDS = 300.0
CLEAN_SECONDS = 30.0
POLL_SECONDS = 0.02
BUSY_SECONDS = 5.0
PAGE = 500
T = TypeVar("T")
log = structlog.get_logger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    run_id TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
    event TEXT NOT NULL, data BLOB NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (run_id, epoch, sequence)
) WITHOUT ROWID
"""
SCHEMA_AGE = "CREATE INDEX IF NOT EXISTS events_at ON events (at)"
LAST = "SELECT epoch, sequence FROM events WHERE run_id = ? ORDER BY epoch DESC, sequence DESC LIMIT 1"
APPEND = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)"
READ = """
SELECT epoch, sequence, event, data FROM events
WHERE run_id = ? AND (epoch, sequence) > (?, ?) ORDER BY epoch, sequence LIMIT ?
"""
DISCARD = "DELETE FROM events WHERE run_id = ?"
CLEAN = """
DELETE FROM events WHERE run_id IN (SELECT run_id FROM events GROUP BY run_id HAVING max(at) < ?)
"""


class LocalBroker:
    """A `StreamBroker` over a file. `failed` is called for each batch that could not be written."""

    def __init__(
        self, path: Path, failed: Callable[[], None] = lambda: None, keep_seconds: float = KEEP_SECONDS
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._failed = failed
        self._keep_seconds = keep_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="streams")
        self._database = self._thread.submit(_open, path).result()
        self._subscribers = SubscriberRegistry()
        self._waiting: list[tuple[str, Sequence[StreamEvent]]] = []
        self._delivery = Delivery()
        self._writer: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._cleaned_at = 0.0
        self._closed = False

    def publish(self, run_id: str, events: Sequence[StreamEvent]) -> Delivery:
        """Appends events, together with those of other runs. The delivery completes even if the file can't be
        written."""
        self._waiting.append((run_id, events))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="local-streams-writer")
        return self._delivery

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            delivery, self._delivery = self._delivery, Delivery()
            try:
                await self._do(lambda: self._append(batch))  # noqa: B023 - awaited at once
            except sqlite3.Error as failed:
                log.warning("streams.not_written", reason=str(failed))
                self._failed()
            finally:
                delivery.arrived()
            for run_id in {run_id for run_id, _ in batch}:
                self._subscribers.wake(run_id)

    async def subscribe(
        self, run_id: str, after: str | None = None, subscriber: Subscriber | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Events later than `after`, then live ones, until the end."""
        with self._subscribers.listening(run_id, subscriber) as listening:
            if self._watcher is None or self._watcher.done():
                self._watcher = asyncio.create_task(self._watch(), name="local-streams")
            seen = position(after) if after is not None else await self._do(lambda: self._last(run_id))
            ended = await self._do(lambda: self._is_over(run_id, seen))
            while not ended:
                events = await self._do(lambda: self._read(run_id, seen))  # noqa: B023 - awaited at once
                if found := up_to_end(events):
                    seen, ended = found[-1].position, found[-1].is_end
                    yield found
                elif self._closed or listening.over:
                    return
                else:
                    await listening.woken()

    async def discard(self, run_id: str) -> None:
        """Drops the kept events of a run."""
        await self._do(lambda: self._database.execute(DISCARD, (run_id,)))

    async def ping(self) -> None:
        """Raises `ConnectionError` when the file can't be read."""
        try:
            await self._do(lambda: self._last(""))
        except sqlite3.Error as failed:
            raise ConnectionError(f"the file of the streams can't be read: {failed}") from failed

    async def close(self) -> None:
        """Ends every subscription and closes the file."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        self._subscribers.end_all()
        await self._do(self._database.close)
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _watch(self) -> None:
        """Notifies all listeners when another process has written."""
        before = await self._do(self._version)
        while self._subscribers:
            await asyncio.sleep(POLL_SECONDS)
            now = await self._do(self._version)
            if now != before:
                before = now
                self._subscribers.wake_all()

    def _version(self) -> int:
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def _last(self, run_id: str) -> tuple[int, int]:
        row = self._database.execute(LAST, (run_id,)).fetchone()
        return (row[0], row[1]) if row else (-1, 0)

    def _is_over(self, run_id: str, seen: tuple[int, int]) -> bool:
        """Whether the run's last kept event is its end, and the listener has had that already."""
        last = self._last(run_id)
        if last > seen or last == (-1, 0):
            return False
        row = self._database.execute(
            "SELECT event FROM events WHERE run_id = ? AND epoch = ? AND sequence = ?", (run_id, *last)
        ).fetchone()
        return bool(row) and row[0] == "end"

    def _append(self, batch: Sequence[tuple[str, Sequence[StreamEvent]]]) -> None:
        now = time.time()
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            for run_id, events in batch:
                last = self._last(run_id)
                rows = [(run_id, *e.position, e.event, e.data, now) for e in events if e.position > last]
                self._database.executemany(APPEND, rows)
            if now - self._cleaned_at > CLEAN_SECONDS:
                self._cleaned_at = now
                self._database.execute(CLEAN, (now - self._keep_seconds,))

    def _read(self, run_id: str, after: tuple[int, int]) -> list[StreamEvent]:
        rows = self._database.execute(READ, (run_id, *after, PAGE)).fetchall()
        return [StreamEvent(f"{epoch}-{sequence}", event, data) for epoch, sequence, event, data in rows]


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")
    database.execute(SCHEMA)
    database.execute(SCHEMA_AGE)
    return database
