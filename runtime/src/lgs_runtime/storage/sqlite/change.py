"""One transaction on the queue: its connection, which has the file to itself, its time, and the signals it
makes, which are sent after the commit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lgs_runtime.database.json_columns import escape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Run, Scope, Signal
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.scope import document_list
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.signals import SqliteSignals
from lgs_runtime.storage.sqlite.statements.runs import RUN

_Result = TypeVar("_Result")


class Change:
    """The transaction that the steps of the queue work with. Every statement may name `:now` and
    `:steady`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        notifications: list[Signal],
        asker: str | None,
        options: StorageOptions,
    ) -> None:
        self.connection = connection
        self.notifications = notifications
        self.asker = escape(asker)
        self.options = options
        self.now = time.time()
        self.steady = time.monotonic()
        self.kept: str | None = None
        """The thread that is about to get a run: it stays, even if the last of its other runs ends for that
        run."""

    def run(self, statement: str, **values: Any) -> None:
        """Runs a statement whose rows nobody needs."""
        self.connection.execute(statement, {"now": self.now, "steady": self.steady, **values})

    def all(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        """All rows of a statement."""
        return self.connection.execute(
            statement, {"now": self.now, "steady": self.steady, **values}
        ).fetchall()

    def one(self, statement: str, **values: Any) -> sqlite3.Row | None:
        """The first row. All rows are fetched: a statement left half-read would keep the transaction from
        ending."""
        found = self.all(statement, **values)
        return found[0] if found else None

    def value(self, statement: str, **values: Any) -> Any:
        """The first column of the first row; None if there is no row."""
        row = self.one(statement, **values)
        return None if row is None else row[0]

    def named(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> sqlite3.Row:
        """The run with this id. Raises `NotFound`."""
        row = self.one(RUN, run_id=run_id, thread_id=thread_id, scope=document_list(scope))
        if row is None:
            raise NotFound("run", run_id)
        return row

    def afterwards(self, before: Iterable[sqlite3.Row]) -> list[Run]:
        """The runs as they are now; a deleted one as it was."""
        now = [(row, self.one(RUN, run_id=row["run_id"], thread_id=None, scope=None)) for row in before]
        return [rows.run(was if found is None else found) for was, found in now]


class Changes:
    """Runs changes of the queue, each in its own transaction."""

    def __init__(self, database: Database, signals: SqliteSignals, options: StorageOptions) -> None:
        self.database = database
        self._signals = signals
        self._options = options

    async def run(self, work: Callable[[Change], _Result]) -> _Result:
        """Runs `work`, and sends the signals it makes after the commit."""
        notifications: list[Signal] = []
        asker, options = who(), self._options
        result = await self.database.write(lambda c: work(Change(c, notifications, asker, options)))
        self._signals.send(*notifications)
        return result
