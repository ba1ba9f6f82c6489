"""What is pinned to revisions, in PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.postgres import Database
from lgs_runtime.model import Pinned, Signal
from lgs_runtime.storage.postgres.signals import PostgresSignals
from lgs_runtime.storage.postgres.statements.pins import (
    COUNT,
    COUNTED,
    FORGET,
    FREE_RUNS,
    FREE_THREADS,
    LOCK,
    LOCK_PINNED,
)


class PostgresPins:
    """Implements `Pins` of the contract."""

    def __init__(self, database: Database, signals: PostgresSignals) -> None:
        self._database = database
        self._signals = signals

    async def watch(
        self, wait_seconds: float, *, revision: str | None = None, period_seconds: float = 0.0
    ) -> Sequence[Pinned]:
        """One read while the last count is young; else a transaction, one at a time."""
        if found := await self._database.rows(COUNTED, period_seconds):
            return [Pinned(*row) for row in found]

        async def look(connection: asyncpg.Connection) -> list[Pinned]:
            await connection.execute(LOCK)
            if found := await connection.fetch(COUNTED, period_seconds):
                return [Pinned(*row) for row in found]
            counted = await connection.fetch(COUNT, revision)
            gone = [
                row["revision"]
                for row in counted
                if not row["is_there"] and row["absent_seconds"] >= wait_seconds
            ]
            moved = await _free(connection, gone) if gone else Counter[str]()
            done = [
                row["revision"]
                for row in counted
                if row["revision"] in gone and not (row["threads"] or row["runs"])
            ]
            await connection.execute(FORGET, done)
            return [
                Pinned(row["revision"], row["threads"], row["runs"], moved[row["revision"]])
                for row in sorted(counted, key=lambda row: str(row["revision"]))
                if row["revision"] not in done
            ]

        pinned = await self._database.transact(look)
        if any(each.moved for each in pinned):
            self._signals.send(Signal("queued", ""))
        return pinned


async def _free(connection: asyncpg.Connection, gone: Sequence[str]) -> Counter[str]:
    """Frees what is pinned to these revisions, a step of it; how much that was, by revision."""
    threads = await connection.fetch(LOCK_PINNED, gone)
    await connection.execute(FREE_THREADS, [row["thread_id"] for row in threads])
    runs = await connection.fetch(FREE_RUNS, gone)
    return Counter([*(row["pin"] for row in threads if row["waits"]), *(row["pin"] for row in runs)])
