"""The turn of a replica that makes tables: replicas that start together take turns.

An index that is built concurrently waits for the end of each transaction that was in a statement when it
looked. So nobody waits for the turn inside of a statement, and each try is a transaction of its own: a
transaction left open until it gets the turn would wait for the index, and the index for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]
from asyncpg.transaction import Transaction  # type: ignore[import-untyped]

from lgs_runtime.database.postgres_connections import translated

SETUP_SECONDS: Final = 120.0
"""Seconds to wait for a turn, and at most for an index."""
_PAUSE_SECONDS: Final = 0.05
_HOLD_ON: Final = "SET LOCAL idle_in_transaction_session_timeout = '150s'"
"""For the transaction that holds the lock while another connection works."""
_TRY: Final = "SELECT WHERE pg_try_advisory_xact_lock({key})"
"""A query without parameters, so that it is a simple query: another kind would keep its snapshot, and the
holder's own indexes would wait for its transaction. The lock belongs to a transaction, as behind a pooler the
session may be another client's."""
_TAKEN: Final = "SELECT 1"
"""The driver's status of `_TRY` when it returned a row."""


@asynccontextmanager
async def setup_turn(connection: asyncpg.Connection, key: int) -> AsyncIterator[None]:
    """Holds the advisory lock `key` while the context is open, through `connection`, which must not be used
    for anything else meanwhile. Raises `StorageUnavailable`, also when the turn did not come within
    `SETUP_SECONDS`."""
    with translated():
        async with asyncio.timeout(SETUP_SECONDS):
            while (turn := await _taken(connection, key)) is None:  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        if not connection.is_closed():
            with translated():
                await turn.rollback()


async def _taken(connection: asyncpg.Connection, key: int) -> Transaction | None:
    turn: Transaction = connection.transaction()
    await turn.start()
    await connection.execute(_HOLD_ON)
    if await connection.execute(_TRY.format(key=key)) == _TAKEN:
        return turn
    await turn.rollback()
    return None
