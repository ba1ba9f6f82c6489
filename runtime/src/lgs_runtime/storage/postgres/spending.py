"""The spending of budgets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from lgs_runtime.database.json_columns import escape, unescape
from lgs_runtime.database.postgres import Database
from lgs_runtime.model import Spent
from lgs_runtime.storage.postgres.statements.spending import ADD_SPENT, EXPIRE_SPENT, SPENT


class PostgresSpending:
    """Implements `Spending` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, writer: str, number: int, spent: Sequence[Spent], at: datetime | None = None) -> None:
        columns = (
            [escape(each.who) for each in spent],
            [each.seconds for each in spent],
            [each.tokens for each in spent],
            [each.cost for each in spent],
        )
        await self._database.rows(ADD_SPENT, *columns, at, writer, number)

    async def of(
        self,
        who: Collection[str],
        seconds: Collection[int],
        at: datetime | None = None,
        *,
        since: float | None = None,
    ) -> tuple[datetime, Sequence[Spent]]:
        names = [escape(each) for each in who]
        found = await self._database.rows(SPENT, names, list(seconds), at, since)
        moment: datetime = found[0]["at"]
        return moment, [
            Spent(unescape(row["who"]), row["seconds"], row["tokens"], row["cost"], row["bucket"])
            for row in found
            if row["who"] is not None
        ]

    async def expire(self, seconds: Collection[int], at: datetime | None = None) -> int:
        expired: int = await self._database.value(EXPIRE_SPENT, list(seconds), at)
        return expired
