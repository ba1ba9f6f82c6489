"""The saver's operations on an asyncpg pool: groups of writes, groups of reads, and the setup of the tables.

They raise `StorageUnavailable` if the database can't be reached; a transaction that lost a race is run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.checkpoint.postgres import statements
from lgs_runtime.checkpoint.postgres.row_encoding import Group
from lgs_runtime.checkpoint.rows import Address, Rows
from lgs_runtime.database.postgres import Database
from lgs_runtime.database.postgres_setup import SETUP_SECONDS, setup_turn

SETUP_LOCK: Final = 0x6C67735F63686B70
"""Key of the advisory lock: `lgs_chkp` in ASCII."""


class Tables:
    """The tables of checkpoints in a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def write(self, works: Sequence[Rows]) -> Sequence[None]:
        """Stores all rows, in the given order, or none."""
        group = Group()
        for rows in works:
            group.add(rows)
        parts, columns = group.columns()
        if parts:
            statement = statements.group_statement(parts)
            await self.database.retried(lambda: self.database.rows(statement, *columns))
        return [None] * len(works)

    async def read(self, works: Sequence[Address]) -> Sequence[Mapping[str, Any] | None]:
        """The rows of checkpoints, in the order of `works`; None for one that does not exist."""
        rows: list[Mapping[str, Any] | None] = [None] * len(works)
        latest = [place for place, work in enumerate(works) if work[2] is None]
        exact = [place for place, work in enumerate(works) if work[2] is not None]
        for statement, places, width in ((statements.LATEST, latest, 2), (statements.EXACT, exact, 3)):
            if places:
                columns = list(zip(*(works[place] for place in places), strict=True))[:width]
                for row in await self.database.rows(statement, *columns):
                    rows[places[row["place"] - 1]] = row
        return rows

    async def setup(self) -> None:
        """Migrates the tables to what this version needs; replicas that start together take turns. Tables
        that are up to date are only read."""
        async with self.database.connection() as connection:
            if await _version(connection) >= len(statements.MIGRATIONS) - 1:
                return
            # On another connection: an index can't be built concurrently inside a transaction.
            async with self.database.connection() as holding, setup_turn(holding, SETUP_LOCK):
                for number in range(await _version(connection) + 1, len(statements.MIGRATIONS)):
                    await connection.execute(statements.MIGRATIONS[number], timeout=SETUP_SECONDS)
                    await connection.execute(statements.NOTE_MIGRATION, number)


async def _version(connection: asyncpg.Connection) -> int:
    """The number of the last applied migration; -1 if there is none."""
    if not await connection.fetchval(statements.HAS_MIGRATIONS):
        return -1
    version = await connection.fetchval(statements.MIGRATED)
    return -1 if version is None else int(version)
