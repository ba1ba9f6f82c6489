"""The spending of budgets in SQLite."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Sequence
from datetime import datetime

from lgs_runtime.database.json_columns import escape, unescape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.model import Spent
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.statements.spending import (
    ADD_SPENT,
    EXPIRE_SPENDERS,
    EXPIRE_SPENT,
    NEW_NUMBER,
    SPENT,
)


class SqliteSpending:
    """Implements `Spending` of the contract. The clock of a file is that of its machine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, writer: str, number: int, spent: Sequence[Spent], at: datetime | None = None) -> None:
        now = _seconds(at)
        values = [
            {
                "who": escape(each.who),
                "seconds": each.seconds,
                "now": now,
                "tokens": float(each.tokens),
                "cost": float(each.cost),
            }
            for each in spent
        ]

        def added(connection: sqlite3.Connection) -> None:
            if connection.execute(NEW_NUMBER, {"writer": writer, "number": number, "now": now}).fetchall():
                connection.executemany(ADD_SPENT, values)

        await self._database.write(added)

    async def of(
        self,
        who: Collection[str],
        seconds: Collection[int],
        at: datetime | None = None,
        *,
        since: float | None = None,
    ) -> tuple[datetime, Sequence[Spent]]:
        now = _seconds(at)
        names = json.dumps([escape(each) for each in who])
        wanted = {"who": names, "seconds": json.dumps(list(seconds)), "now": now, "since": since or 0.0}
        found = await self._database.read(lambda connection: connection.execute(SPENT, wanted).fetchall())
        return rows.time(now), [
            Spent(unescape(row["who"]), row["seconds"], row["tokens"], row["cost"], row["bucket"])
            for row in found
        ]

    async def expire(self, seconds: Collection[int], at: datetime | None = None) -> int:
        now = _seconds(at)

        def expired(connection: sqlite3.Connection) -> int:
            connection.execute(EXPIRE_SPENDERS, {"now": now})
            return sum(
                connection.execute(EXPIRE_SPENT, {"seconds": each, "now": now}).rowcount for each in seconds
            )

        return await self._database.write(expired)


def _seconds(at: datetime | None) -> float:
    return time.time() if at is None else at.timestamp()
