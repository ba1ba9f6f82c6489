"""What PostgreSQL does for a statement does not grow with the tables that grow with use.

A plan is kept for as long as a connection lives. One made while a table is empty reads it as a whole, and
does so still when there are ten thousand rows in it. One made for short threads reads a long one as a whole.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from langgraph.checkpoint.base import empty_checkpoint

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


async def test_a_checkpoint_of_a_long_thread_among_short_ones_is_read_by_its_keys(postgres_uri: str) -> None:
    channels = [f"channel{number}" for number in range(6)]

    async def thread(saver: FastPostgresSaver, thread_id: str, steps: int) -> None:
        at: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        for step in range(steps):
            versions: Any = dict.fromkeys(channels, str(step))
            checkpoint = {**empty_checkpoint(), "channel_versions": versions}
            checkpoint["channel_values"] = {channel: ["value"] for channel in channels}
            at = await saver.aput(at, checkpoint, {"step": step}, versions)  # type: ignore[arg-type]
            await saver.aput_writes(at, [(channels[0], ["value"])], f"task {step}")

    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        for first in range(0, 600, 100):
            await asyncio.gather(*(thread(saver, f"short {first + number}", 2) for number in range(100)))
        await thread(saver, "long", 300)
        last = await saver.aget_tuple({"configurable": {"thread_id": "long"}})
    assert last is not None

    connection = await opened(Access(postgres_uri), PLANNED_ONCE)
    try:
        await connection.execute("ANALYZE")
        for statement, key in (
            (checkpoint_statements.LATEST, ["long", ""]),
            (checkpoint_statements.EXACT, ["long", "", last.config["configurable"]["checkpoint_id"]]),
        ):
            await connection.execute(f"PREPARE tried AS {statement}")
            values = ", ".join(f"ARRAY['{value}']" for value in key)
            lines = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) EXECUTE tried({values})")
            await connection.execute("DEALLOCATE tried")
            plan = "\n".join(line[0] for line in lines)
            scans = re.findall(r"Index (?:Only )?Scan.*actual rows=([\d.]+) loops=(\d+)", plan)
            read = sum(float(rows) * int(loops) for rows, loops in scans)
            left_out = sum(int(number) for number in re.findall(r"Rows Removed by Filter: (\d+)", plan))
            assert scans and "Bitmap" not in plan and "Seq Scan" not in plan
            assert read + left_out <= 20, plan
    finally:
        await connection.close()
