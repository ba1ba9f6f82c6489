"""One contract, two databases: every test that asks for `storage` runs over SQLite and over Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from lgs_runtime.storage import Storage, StorageOptions, open_storage
from support.service import Service, at_work
from support.unhurried import OF_STORAGES, lengthen

LEASE_SECONDS = 600.0
"""Longer than any test, however busy the machine is: `lease_runs_out` ends one."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the tests is there, though the machine may stand still."""
    lengthen(monkeypatch, OF_STORAGES)


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
