"""An administrator takes a right from the role of the service, or a key from a table, while runs execute.

Clients are told to try again, no run and no part of the replica ends of it, and all goes on once it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from api_graphs import entrance, gate
from api_replicas import open_replica, settings_of

from support.waiting import until

TABLES = (
    "lgs_replica",
    "lgs_run",
    "lgs_thread",
    "lgs_assistant",
    "checkpoints",
    "checkpoint_writes",
    "store",
)
ROLE = "lgs_trusted"
KEYS = {
    "checkpoints": "thread_id, checkpoint_ns, checkpoint_id",
    "checkpoint_writes": "thread_id, checkpoint_ns, checkpoint_id, task_id, idx",
}


def admin(uri: str, *statements: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def trusted(postgres_uri: str) -> Iterator[str]:
    """The database, for a role that may do all with the tables that it makes."""
    admin(postgres_uri, f"DROP ROLE IF EXISTS {ROLE}", f"CREATE ROLE {ROLE} LOGIN")
    admin(postgres_uri, f"GRANT CREATE, USAGE ON SCHEMA public TO {ROLE}")
    yield postgres_uri.replace("postgres@", f"{ROLE}@")
    admin(postgres_uri, f"DROP OWNED BY {ROLE} CASCADE", f"DROP ROLE {ROLE}")


@pytest.mark.parametrize("table", TABLES)
async def test_a_right_that_is_taken_away_for_a_while_costs_no_run(
    postgres_uri: str, trusted: str, tmp_path: Path, table: str
) -> None:
    await outlived(
        postgres_uri,
        trusted,
        tmp_path,
        f"REVOKE ALL ON {table} FROM {ROLE}",
        f"GRANT ALL ON {table} TO {ROLE}",
    )


@pytest.mark.parametrize("table", KEYS)
async def test_a_key_that_is_taken_from_a_table_for_a_while_costs_no_run(
    postgres_uri: str, trusted: str, tmp_path: Path, table: str
) -> None:
    await outlived(
        postgres_uri,
        trusted,
        tmp_path,
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey",
        f"ALTER TABLE {table} ADD PRIMARY KEY ({KEYS[table]})",
    )


async def outlived(postgres_uri: str, trusted: str, folder: Path, fault: str, repair: str) -> None:
    """A session that is in the middle of a node, and clients, live through a fault of the database."""
    settings = settings_of(folder, {"database_uri": trusted})
    async with open_replica(settings) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        key = (await replica.client.threads.create())["thread_id"]
        run = await replica.client.runs.create(key, "slow", input={"text": key})
        await entrance(key).wait()

        # In a thread: the statement waits for transactions of this process.
        await asyncio.to_thread(admin, postgres_uri, fault)
        gate(key).set()

        async def is_told() -> bool:
            return (await http.get("/ready")).status_code == 503

        await until(is_told)
        asked = [
            await http.post("/threads", json={}),
            await http.get(f"/threads/{key}/state"),
            await http.post("/runs", json={"assistant_id": "steps", "input": {}}),
            await http.post("/store/items/search", json={}),
            await http.post("/assistants/search", json={}),
        ]
        assert {answer.status_code for answer in asked} <= {200, 503}
        assert all("retry-after" in answer.headers for answer in asked if answer.status_code == 503)
        await asyncio.to_thread(admin, postgres_uri, repair)

        async def is_ready() -> bool:
            return (await http.get("/ready")).status_code == 200

        await until(is_ready)
        await replica.client.runs.join(key, run["run_id"])
        assert (await replica.client.runs.get(key, run["run_id"]))["status"] == "success"
        assert await replica.client.runs.wait(None, "steps", input={}) == {"steps": ["first", "second"]}
