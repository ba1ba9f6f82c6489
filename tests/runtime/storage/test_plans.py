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
READ_AS_A_WHOLE = {
    "COUNT_THREADS",
    "UNFINISHED_RUNS",
    "DELETE_WRITES_OF_RUNS_ANYWHERE",
    "DELETE_RUNS_ANYWHERE",
}
"""How many there are, every run that is to be cancelled, and runs whose thread is not known, which this
runtime never has."""
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


CHANNELS = [f"channel{number}" for number in range(6)]


async def make_thread(saver: FastPostgresSaver, thread_id: str, steps: int) -> None:
    """A thread whose every step is a run of its own, changes one channel, and has a write."""
    at: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    versions: Any = dict.fromkeys(CHANNELS, "0")
    for step in range(steps):
        changed = {CHANNELS[step % len(CHANNELS)]: str(step)} if step else versions
        versions = {**versions, **changed}
        values = {channel: ["value"] for channel in CHANNELS}
        checkpoint: Any = {**empty_checkpoint(), "channel_versions": versions, "channel_values": values}
        metadata: Any = {"step": step, "run_id": f"run {step}"}
        at = await saver.aput(at, checkpoint, metadata, changed)
        await saver.aput_writes(at, [(CHANNELS[0], ["value"])], f"task {step}")


async def rows_read(uri: str, statement: str, values: str) -> tuple[float, str]:
    """How many rows PostgreSQL looks at for a statement, and the plan."""
    connection = await opened(Access(uri), PLANNED_ONCE)
    try:
        await connection.execute("ANALYZE")
        await connection.execute(f"PREPARE tried AS {statement}")
        lines = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) EXECUTE tried({values})")
    finally:
        await connection.close()
    plan = "\n".join(line[0] for line in lines)
    # A node's rows stand for each of its loops, and so do those that its filter leaves out.
    read, loops = 0.0, 0
    for line in plan.splitlines():
        if found := re.search(r"actual rows=([\d.]+) loops=(\d+)", line):
            loops = int(found[2])
            read += float(found[1]) * loops if "Scan" in line else 0
        elif found := re.search(r"Rows Removed by (?:Join |Index )?(?:Filter|Recheck): (\d+)", line):
            read += int(found[1]) * loops
    return read, plan


@pytest.mark.parametrize("statement", ["LATEST", "EXACT", "DELTA_HISTORY", "ANCESTORS_NEEDED"])
async def test_a_checkpoint_of_a_long_thread_among_short_ones_is_read_by_its_keys(
    postgres_uri: str, statement: str
) -> None:
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        for first in range(0, 600, 100):
            await asyncio.gather(*(make_thread(saver, f"short {first + at}", 2) for at in range(100)))
        await make_thread(saver, "long", 300)
        last = await saver.aget_tuple({"configurable": {"thread_id": "long"}})
    assert last is not None

    checkpoint_id = last.config["configurable"]["checkpoint_id"]
    walked = f"'long', '', '{checkpoint_id}', ARRAY['channel0']"
    text, values = {
        "LATEST": (checkpoint_statements.LATEST, "ARRAY['long'], ARRAY['']"),
        "EXACT": (checkpoint_statements.EXACT, f"ARRAY['long'], ARRAY[''], ARRAY['{checkpoint_id}']"),
        "DELTA_HISTORY": (thread_statements.DELTA_HISTORY, walked),
        "ANCESTORS_NEEDED": (thread_statements.ANCESTORS_NEEDED, walked),
    }[statement]
    read, plan = await rows_read(postgres_uri, text, values)

    assert read <= 30, plan


async def test_what_a_run_leaves_in_a_long_thread_is_deleted_without_a_look_for_each_value(
    postgres_uri: str,
) -> None:
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        await make_thread(saver, "long", 300)
        for first in range(0, 600, 100):
            await asyncio.gather(*(make_thread(saver, f"short {first + at}", 2) for at in range(100)))

    of_runs = "ARRAY['run 299', 'run 7'], 'long'"
    read, plan = await rows_read(postgres_uri, thread_statements.DELETE_WRITES_OF_RUNS, of_runs)
    assert read <= 2 * 300, plan
    read, plan = await rows_read(postgres_uri, thread_statements.DELETE_RUNS, of_runs)
    # Of each checkpoint the versions of six channels, which pass two nodes of the plan.
    assert read <= 20 * 300, plan

    connection = await opened(Access(postgres_uri), NO_SETTINGS)
    left = await connection.fetchval("SELECT count(*) FROM checkpoint_blobs WHERE thread_id = 'long'")
    await connection.close()
    # Six values to begin with and one for each later step; what the seventh run wrote is still the value of
    # the checkpoints after it.
    assert left == 6 + 299 - 1
