"""Crons in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump_optional
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Cron, Scope
from lgs_runtime.storage.contract.crons import CHANGEABLE
from lgs_runtime.storage.postgres.statements.crons import (
    ADVANCE,
    CLAIM,
    COUNT,
    CREATE,
    CRON,
    CRONS,
    DELETE,
    LOCK_CRON,
    UPDATE,
)
from lgs_runtime.storage.queries import CronQuery
from lgs_runtime.storage.scope import documents


class PostgresCrons:
    """Implements `Crons` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, cron: Cron) -> Cron:
        named = (cron.cron_id, cron.assistant_id, cron.thread_id)
        return _cron(await self._database.row(CREATE, *named, *_values(cron)), cron.cron_id)

    async def get(self, cron_id: str, scope: Scope | None = None) -> Cron:
        return _cron(await self._database.row(CRON, cron_id, documents(scope)), cron_id)

    async def update(self, cron_id: str, changes: Mapping[str, Any], scope: Scope | None = None) -> Cron:

        async def work(connection: asyncpg.Connection) -> Cron:
            stored = _cron(await connection.fetchrow(LOCK_CRON, cron_id, documents(scope)), cron_id)
            values = _values(stored, changes)
            return _cron(await connection.fetchrow(UPDATE, cron_id, *values), cron_id)

        return await self._database.transact(work)

    async def delete(self, cron_id: str, scope: Scope | None = None) -> None:
        if await self._database.value(DELETE, cron_id, documents(scope)) is None:
            raise NotFound("cron", cron_id)

    async def search(self, query: CronQuery) -> Sequence[Cron]:
        statement, page = CRONS.format(order=query.order), query.page
        found = await self._database.rows(statement, *_wanted(query), page.limit, page.offset)
        return [_cron(row, "") for row in found]

    async def count(self, query: CronQuery) -> int:
        return int(await self._database.value(COUNT, *_wanted(query)))

    async def claim(self, limit: int, hold_seconds: float) -> Sequence[Cron]:
        """One statement."""
        return [_cron(row, "") for row in await self._database.rows(CLAIM, limit, hold_seconds)]

    async def advance(self, cron_id: str, due: datetime, following: datetime | None) -> bool:
        return await self._database.value(ADVANCE, cron_id, due, following) is not None


def _wanted(query: CronQuery) -> tuple[Any, ...]:
    """The conditions of a search, as the statements take them."""
    named = (query.assistant_id, query.thread_id, query.enabled)
    return (*named, dump_optional(query.metadata), documents(query.scope))


def _values(cron: Cron, changes: Mapping[str, Any] | None = None) -> list[Any]:
    """The changeable columns, in their order."""
    changed = {name: (changes or {}).get(name, getattr(cron, name)) for name in CHANGEABLE}
    for name in ("payload", "metadata", "caller"):
        changed[name] = dump_optional(changed[name])
    return list(changed.values())


def _cron(row: asyncpg.Record | None, cron_id: str) -> Cron:
    if row is None:
        raise NotFound("cron", cron_id)
    return Cron(**{name: row[name] for name in Cron.__dataclass_fields__})
