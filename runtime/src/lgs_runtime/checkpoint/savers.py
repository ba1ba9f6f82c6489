"""Opens the checkpointer of a `DATABASE_URI` and its upkeep; deletes and prunes checkpoints with any saver.

Values are encoded by LangGraph's own serialiser: msgpack, without pickle. `LANGGRAPH_STRICT_MSGPACK=true` in
the environment makes it refuse every type that neither LangGraph nor the schemas of the graphs name.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol

from lgs_runtime.checkpoint.serializer import Serializer
from lgs_runtime.checkpoint.upkeep import Upkeep
from lgs_runtime.database.addresses import address


@runtime_checkable
class DeletesRuns(Protocol):
    """A saver that can delete the checkpoints of runs without reading other threads."""

    async def adelete_run(self, thread_id: str | None, run_ids: list[str]) -> None:
        """Deletes the checkpoints of runs; `thread_id` None means in every thread."""


def open_checkpointer(
    uri: str, *, serde: SerializerProtocol | None = None
) -> AbstractAsyncContextManager[BaseCheckpointSaver[Any]]:
    """The saver of a database, set up, while the context is open. `serde` encodes and decodes values; by
    default it is LangGraph's own. Raises `ConfigError`, `StorageUnavailable`."""
    where = address(uri)
    if where.path is not None:
        from lgs_runtime.checkpoint.sqlite.saver import FastSqliteSaver  # noqa: PLC0415 - load one driver only

        return FastSqliteSaver.from_conn_string(f"{where.path}-checkpoints", serde=serde or Serializer())
    from lgs_runtime.checkpoint.postgres.saver import FastPostgresSaver  # noqa: PLC0415

    return FastPostgresSaver.from_conn_string(where.uri, serde=serde or Serializer())


def open_upkeep(uri: str) -> Upkeep:
    """The upkeep of the checkpoints in a database. Raises `ConfigError`."""
    where = address(uri)
    if where.path is not None:
        from lgs_runtime.checkpoint.upkeep_sqlite import SqliteUpkeep  # noqa: PLC0415 - load one driver only

        return SqliteUpkeep(where.path)
    from lgs_runtime.checkpoint.upkeep_postgres import PostgresUpkeep  # noqa: PLC0415

    return PostgresUpkeep(where.uri)


async def delete_run_checkpoints(saver: BaseCheckpointSaver[Any], thread_id: str, run_id: str) -> None:
    """Rolls a run back: deletes the checkpoints that have its `run_id` in their metadata. The config that the
    run was started with must have `run_id` in its metadata or its configurable."""
    if isinstance(saver, DeletesRuns):
        await saver.adelete_run(thread_id, [run_id])
    else:
        await saver.adelete_for_runs([run_id])


async def keep_latest_checkpoints(saver: BaseCheckpointSaver[Any], thread_id: str) -> None:
    """Deletes all checkpoints of a thread except the latest of each namespace. Raises `NotImplementedError`
    if the saver can tell that the thread needs the others (`DeltaChannel`)."""
    await saver.aprune([thread_id], strategy="keep_latest")
