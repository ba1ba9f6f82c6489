"""The turn of a replica that makes tables: those that start together take one after the other.

An index that is built concurrently waits for the end of each transaction that was in a statement when it
looked. So nobody waits for the turn inside of a statement, and each try is a transaction of its own: one that
stayed open until it has the turn would wait for the index, and the index for it.
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
"""For so long a turn is waited for, and an index may take."""
_PAUSE_SECONDS: Final = 0.05
_HOLD_ON: Final = "SET LOCAL idle_in_transaction_session_timeout = '150s'"
"""For the transaction that holds the lock while another connection works."""
_TRY: Final = "SELECT WHERE pg_try_advisory_xact_lock({key})"
"""Without parameters, so that it is a simple query: another kind would keep its snapshot, and the holder's
own indexes would wait for its transaction. The lock is a transaction's, as a session may be another's behind
a pooler."""
_TAKEN: Final = "SELECT 1"
"""What the driver says of it when it has a row."""


@asynccontextmanager
async def setup_turn(connection: asyncpg.Connection, key: int) -> AsyncIterator[None]:
    """Holds the advisory lock `key` by `connection`, which is for nothing else while the context is open.
    Raises `StorageUnavailable`, also when the turn did not come in `SETUP_SECONDS`."""
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
