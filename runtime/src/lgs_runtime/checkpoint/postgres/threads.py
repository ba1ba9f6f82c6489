"""Operations of LangGraph's interface on whole threads: deleting, rolling runs back, copying, and keeping
only the latest checkpoints. Each is atomic, in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.checkpoint.postgres import thread_statements as statements
from lgs_runtime.database.postgres import Database


async def delete_threads(database: Database, thread_ids: Sequence[str]) -> None:
    """Deletes all checkpoints of threads."""
    await database.retried(lambda: database.rows(statements.DELETE_THREADS, thread_ids))


async def delete_runs(database: Database, thread_id: str | None, run_ids: Sequence[str]) -> None:
    """Deletes the checkpoints whose metadata names one of the runs, in one thread or in all (None), and the
    data that only they needed."""

    async def work(connection: asyncpg.Connection) -> None:
        if thread_id is None:
            await connection.execute(statements.DELETE_WRITES_OF_RUNS_ANYWHERE, list(run_ids))
            await connection.execute(statements.DELETE_RUNS_ANYWHERE, list(run_ids))
        else:
            await connection.execute(statements.DELETE_WRITES_OF_RUNS, list(run_ids), thread_id)
            await connection.execute(statements.DELETE_RUNS, list(run_ids), thread_id)

    await database.transact(work)


async def copy_thread(database: Database, source: str, target: str) -> None:
    """Copies all checkpoints of a thread to another; existing rows of the target stay."""
    await database.retried(lambda: database.rows(statements.COPY_THREAD, source, target))


async def keep_latest(database: Database, thread_id: str) -> None:
    """Deletes all checkpoints of a thread except the latest of each namespace and those of its ancestors that
    its delta channels are built from. Checkpoints of subgraph calls are deleted with the checkpoint that the
    call was made from. Data that a run stores meanwhile is neither seen nor deleted.

    Raises `NotImplementedError` for a thread with delta channels of LangGraph.js, which don't say what they
    are built from."""

    async def once() -> None:
        async with (
            database.connection() as connection,
            connection.transaction(isolation="repeatable_read"),
        ):
            await _prune(connection, thread_id)

    await database.retried(once)


async def _prune(connection: asyncpg.Connection, thread_id: str) -> None:
    heads = await connection.fetch(statements.PRUNE_HEADS, thread_id)
    if any(head["foreign_deltas"] for head in heads):
        raise NotImplementedError(f"thread {thread_id} uses delta channels of LangGraph.js: can't be pruned")
    kept = {head["checkpoint_ns"]: await _needed(connection, thread_id, head) for head in heads}
    calls = [
        head["checkpoint_ns"]
        for head in heads
        # The namespace of a subgraph call ends with the id of its task. A call may be stored before the
        # checkpoint that it was made from; then it is kept.
        if ":" in head["checkpoint_ns"] and head["root_saved"] and head["root"] not in kept.get("", ())
    ]
    if calls:
        await connection.execute(statements.PRUNE_CALLS, thread_id, calls)
    for namespace, ids in kept.items():
        if namespace not in calls:
            await _prune_namespace(connection, thread_id, namespace, ids)


async def _needed(connection: asyncpg.Connection, thread_id: str, head: Mapping[str, Any]) -> Sequence[str]:
    ids = {head["head"], head["sends_parent"]}
    if head["deltas"]:
        address = (thread_id, head["checkpoint_ns"], head["head"])
        walked = await connection.fetch(statements.ANCESTORS_NEEDED, *address, head["deltas"])
        ids.update(row["checkpoint_id"] for row in walked)
    return [checkpoint_id for checkpoint_id in ids if checkpoint_id is not None]


async def _prune_namespace(
    connection: asyncpg.Connection, thread_id: str, namespace: str, kept: Sequence[str]
) -> None:
    gone = await connection.fetch(statements.PRUNE_CHECKPOINTS, thread_id, namespace, kept)
    if not gone:
        return
    ids = [row["checkpoint_id"] for row in gone]
    await connection.execute(statements.PRUNE_WRITES, thread_id, namespace, ids)
    await connection.execute(statements.PRUNE_PARENTS, thread_id, namespace, kept)
    freed = {pair for row in gone for pair in zip(row["channels"], row["versions"], strict=True)}
    referenced = await connection.fetch(statements.PRUNE_REFERENCED, thread_id, namespace)
    if unreferenced := freed - {(row["channel"], row["version"]) for row in referenced}:
        channels, versions = zip(*unreferenced, strict=True)
        await connection.execute(statements.PRUNE_BLOBS, thread_id, namespace, channels, versions)
