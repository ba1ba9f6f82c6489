"""A replica knows its database from an empty one and from another service's, and says which it met."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from lgs_runtime.errors import ConfigError, DatabaseReplaced, StorageUnavailable
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from lgs_runtime.storage.identity import ANOTHER, EMPTY
from lgs_runtime.storage.queries import ThreadQuery
from lgs_runtime.storage.tables import OWN
from support.database_edits import administer, drop
from support.service import Service

Another = Callable[..., Awaitable[Storage]]
ON_POSTGRES = pytest.mark.parametrize("database_uri", ["postgres"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("database_uri", ["sqlite"], indirect=True)


def options(known: str | None) -> StorageOptions:
    return StorageOptions(lease_seconds=10, database_id=known)


async def test_the_id_is_made_once_and_is_the_same_to_every_replica(
    storage: Storage, open_another: Another
) -> None:
    another = await open_another()

    assert storage.database_id == another.database_id
    await storage.ping()


async def test_a_database_that_is_emptied_under_a_replica_is_noticed(
    storage: Storage, database_uri: str
) -> None:
    drop(database_uri, *OWN)

    with pytest.raises(DatabaseReplaced, match=EMPTY):
        await storage.ping()


async def test_another_database_in_its_place_is_noticed(storage: Storage, database_uri: str) -> None:
    administer(database_uri, "UPDATE lgs_database SET id = 'theirs'")

    with pytest.raises(DatabaseReplaced, match=f"{ANOTHER}: its id is theirs"):
        await storage.ping()


@ON_POSTGRES
async def test_what_is_asked_of_an_emptied_database_is_unavailable_and_no_error_of_ours(
    storage: Storage, database_uri: str
) -> None:
    administer(database_uri, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

    with pytest.raises(StorageUnavailable, match="lost its tables"):
        await storage.threads.count(ThreadQuery())
    with pytest.raises(StorageUnavailable, match="lost its tables"):
        await storage.threads.get("t")
    with pytest.raises(DatabaseReplaced, match=EMPTY):
        await storage.ping()


@ON_POSTGRES
async def test_a_service_that_knows_its_database_makes_no_tables_in_an_empty_one(database_uri: str) -> None:
    with pytest.raises(ConfigError, match=f"^DATABASE_URI: .*: {EMPTY}: .* its id was known"):
        await open_storage(database_uri, options("known"))

    with psycopg.connect(database_uri) as admin:
        assert admin.execute("SELECT to_regclass('lgs_run')").fetchone() == (None,)


@ON_POSTGRES
async def test_a_service_that_knows_its_database_takes_no_other(storage: Storage, database_uri: str) -> None:
    with pytest.raises(ConfigError, match=f"{ANOTHER}: its id is {storage.database_id}"):
        await open_storage(database_uri, options("known"))


@ON_POSTGRES
async def test_two_services_that_share_a_database_on_purpose_both_know_it(
    storage: Storage, database_uri: str
) -> None:
    second = await open_storage(database_uri, options(storage.database_id))

    await second.ping()
    await storage.ping()
    await second.close()


@ON_POSTGRES
async def test_a_replica_whose_address_leads_to_another_database_claims_nothing_there(
    service: Service, database_uri: str
) -> None:
    storage, waiting = service.storage, await service.enqueue()
    lease, known = await storage.leases.take("lost"), storage.database_id
    administer(database_uri, "DELETE FROM lgs_replica", "UPDATE lgs_database SET id = 'theirs'")

    with pytest.raises(DatabaseReplaced, match=ANOTHER):
        await lease.renew()

    assert not await storage.queue.claim("lost", 1)
    administer(database_uri, f"UPDATE lgs_database SET id = '{known}'")
    assert await lease.renew() is False, "its own is back: the lease is new, what it held is not its own"
    assert await lease.renew() is True
    assert [run.run_id for run in await storage.queue.claim("lost", 1)] == [waiting.run.run_id]
    await lease.close()


@ON_SQLITE
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_removed_or_replaced_under_a_replica_is_noticed(
    storage: Storage, database_uri: str, replaced: bool
) -> None:
    file = Path(database_uri.removeprefix("sqlite:///"))
    file.rename(file.with_suffix(".gone"))
    if replaced:
        file.touch()

    with pytest.raises(DatabaseReplaced, match=f"{ANOTHER}: {file} was removed or replaced"):
        await storage.ping()

    file.with_suffix(".gone").rename(file)
    await storage.ping()
