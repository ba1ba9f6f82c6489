"""One contract, two databases: every test that asks for `storage` runs over SQLite and over Postgres."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing

import psycopg
import pytest

from lgs_runtime.storage import Storage, StorageOptions, open_storage
from support.service import Service, at_work

LEASE_SECONDS = 600.0
"""Longer than any test, however busy the machine is: `lease_runs_out` ends one."""


@pytest.fixture
async def open_another(database_uri: str) -> AsyncIterator[Callable[..., Awaitable[Storage]]]:
    """Opens the test's database once more, as another replica does."""
    async with AsyncExitStack() as stack:

        async def another() -> Storage:
            storage = await open_storage(database_uri, StorageOptions(lease_seconds=LEASE_SECONDS))
            stack.push_async_callback(storage.close)
            return storage

        yield another


@pytest.fixture
async def storage(open_another: Callable[..., Awaitable[Storage]]) -> Storage:
    """The storage of a new service."""
    return await open_another()


@pytest.fixture
async def service(storage: Storage) -> AsyncIterator[Service]:
    """A service with one assistant and no replica yet."""
    async with at_work(storage) as service:
        yield service


@pytest.fixture
def lease_runs_out(database_uri: str) -> Callable[[str], None]:
    """Lets the lease of a replica run out now: a short one could run out before the story has come there."""

    def now(replica: str) -> None:
        if database_uri.startswith("sqlite:///"):
            file = database_uri.removeprefix("sqlite:///")
            with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
                changed = connection.execute(
                    "UPDATE lgs_replica SET expires_at = ?, held_until = ? WHERE replica = ?",
                    (time.time(), time.monotonic(), replica),
                )
        else:
            with psycopg.connect(database_uri) as beside:
                changed = beside.execute(
                    "UPDATE lgs_replica SET expires_at = now() WHERE replica = %s", (replica,)
                )
        assert changed.rowcount == 1, replica

    return now
