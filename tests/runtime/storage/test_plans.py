"""What PostgreSQL does for a statement does not grow with the tables that grow with use.

A plan is kept for as long as a connection lives. One made while a table is empty reads it as a whole, and
does so still when there are ten thousand rows in it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import asyncpg
import pytest
import pytest_asyncio

import lgs_runtime.storage.postgres.statements as storage_statements
from lgs_runtime.checkpoint import FastPostgresSaver
from lgs_runtime.checkpoint.postgres import statements as checkpoint_statements
from lgs_runtime.checkpoint.postgres import thread_statements
from lgs_runtime.database.postgres import PLANNED_ONCE
from lgs_runtime.database.postgres_connections import NO_SETTINGS, Access, opened
from lgs_runtime.storage import StorageOptions, open_storage

GROWING = {
    "lgs_run",
    "lgs_thread",
    "lgs_version",
    "lgs_audit",
    "checkpoints",
    "checkpoint_blobs",
    "checkpoint_writes",
}
READ_AS_A_WHOLE = {"COUNT_THREADS", "UNFINISHED_RUNS"}
"""How many there are, and every run that is to be cancelled."""
MODULES: tuple[ModuleType, ...] = (
    checkpoint_statements,
    thread_statements,
    *(
        import_module(f"{storage_statements.__name__}.{found.name}")
        for found in iter_modules(storage_statements.__path__)
    ),
)
STATEMENT = re.compile(r"\s*(WITH|SELECT|UPDATE|DELETE)\b")
SCAN = re.compile(r"Seq Scan on (\w+)")


def statements() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for name, text in vars(module).items():
            is_public = name.isupper() and not name.startswith("_") and isinstance(text, str)
            if is_public and STATEMENT.match(text) and "{" not in re.sub(r"'[^']*'", "", text):
                yield name, text
    every_part = tuple(range(len(checkpoint_statements.GROUP)))
    yield "group_statement", checkpoint_statements.group_statement(every_part)


@pytest_asyncio.fixture
async def empty(postgres_uri: str) -> AsyncIterator[str]:
    """A database of ours whose tables PostgreSQL knows to be empty."""
    storage = await open_storage(postgres_uri, StorageOptions(lease_seconds=60))
    await storage.close()
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        await saver.setup()
    connection = await asyncpg.connect(postgres_uri)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    yield postgres_uri


async def whole_scans(uri: str, settings: Mapping[str, str]) -> tuple[int, set[str]]:
    """How many statements were planned without their values, and which of them read a growing table as a
    whole."""
    connection = await opened(Access(uri), settings)
    planned, reading = 0, set()
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for name, text in statements():
            await connection.execute(f"PREPARE tried AS {text}")
            count = max((int(number) for number in re.findall(r"\$(\d+)", text)), default=0)
            values = f"({', '.join(['NULL'] * count)})" if count else ""
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE tried{values}"))
            await connection.execute("DEALLOCATE tried")
            planned += 1
            if GROWING & set(SCAN.findall(plan)):
                reading.add(name)
    finally:
        await connection.close()
    return planned, reading


@pytest.mark.parametrize("settings", [NO_SETTINGS, PLANNED_ONCE])
async def test_no_statement_reads_a_growing_table_as_a_whole(empty: str, settings: Mapping[str, str]) -> None:
    planned, reading = await whole_scans(empty, settings)

    assert planned > 100
    assert reading <= READ_AS_A_WHOLE
