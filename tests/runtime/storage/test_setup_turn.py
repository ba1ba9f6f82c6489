"""Replicas that start together on an empty database take turns at making its tables, and none of them keeps
another's index from being built."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import pytest

from lgs_runtime.checkpoint.postgres.tables import SETUP_LOCK as OF_CHECKPOINTS
from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.database import postgres_setup
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.store.backends import open_store
from lgs_runtime.store.postgres import SETUP_LOCK as OF_STORE
from support.ports import wait_until

Opening = Callable[[str], AbstractAsyncContextManager[Any]]

_TRANSACTIONS = """
SELECT pid, xact_start FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


@contextmanager
def another_at_work(uri: str, lock: int) -> Iterator[Callable[[], set[tuple[int, datetime]]]]:
    """Another replica has its turn; gives the transactions that are open besides its own."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (lock,))
        yield lambda: set(connection.execute(_TRANSACTIONS).fetchall())


@asynccontextmanager
async def opening(open_it: Opening, uri: str) -> AsyncIterator[asyncio.Task[None]]:
    """Opens and closes it beside what is done here."""

    async def whole() -> None:
        async with open_it(uri):
            pass

    task = asyncio.create_task(whole())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(("open_it", "lock"), [(open_checkpointer, OF_CHECKPOINTS), (open_store, OF_STORE)])
async def test_who_waits_for_its_turn_leaves_no_transaction_open_that_an_index_would_wait_for(
    open_it: Opening, lock: int, postgres_uri: str
) -> None:
    async with opening(open_it, postgres_uri) as opened:
        with another_at_work(postgres_uri, lock) as transactions:
            seen: set[tuple[int, datetime]] = set()

            def waits() -> bool:
                seen.update(transactions())
                return bool(seen)

            await asyncio.to_thread(wait_until, waits, "it waits for its turn")
            await asyncio.to_thread(
                wait_until,
                lambda: not seen & transactions(),
                "what it had open has ended, and it still waits",
            )
            assert not opened.done()

        await opened


async def test_a_turn_that_does_not_come_is_a_database_that_is_not_there_yet(
    postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_setup, "SETUP_SECONDS", 0.2)
    with (
        another_at_work(postgres_uri, OF_CHECKPOINTS),
        pytest.raises(StorageUnavailable, match="TimeoutError: no answer in time"),
    ):
        async with open_checkpointer(postgres_uri):
            pass


async def test_a_turn_ends_with_its_replica(postgres_uri: str) -> None:
    first = await asyncpg.connect(postgres_uri)
    await first.execute("BEGIN")
    await first.execute("SELECT pg_advisory_xact_lock($1)", OF_STORE)
    async with opening(open_store, postgres_uri) as opened:
        first.terminate()

        await opened
