"""Checkpointers and stores of an application's own, as langgraph.json names them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.store.memory import InMemoryStore

closed: list[str] = []
"""What was closed."""


class Bare(BaseCheckpointSaver[Any]):
    """A saver with what is always needed, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = InMemorySaver()

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self._kept.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._kept.aget_tuple(config)

    async def alist(self, config: Any, **options: Any) -> AsyncIterator[CheckpointTuple]:
        async for entry in self._kept.alist(config, **options):
            yield entry

    async def aput(self, *what: Any) -> RunnableConfig:
        return await self._kept.aput(*what)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._kept.aput_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await self._kept.adelete_thread(thread_id)


@asynccontextmanager
async def managed() -> AsyncIterator[Bare]:
    yield Bare()
    closed.append("managed")


@asynccontextmanager
async def official() -> AsyncIterator[AsyncSqliteSaver]:
    with TemporaryDirectory() as folder:
        async with AsyncSqliteSaver.from_conn_string(f"{folder}/own.db") as saver:
            yield saver


class Whole(Bare):
    """One that can prune, too."""

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        for thread_id in thread_ids:
            spaces = self._kept.storage[thread_id]
            for namespace in spaces:
                latest = max(spaces[namespace])
                spaces[namespace] = {latest: spaces[namespace][latest]}


def whole() -> Whole:
    return Whole()


async def store() -> InMemoryStore:
    return InMemoryStore()


class Lacking(InMemorySaver):
    """A saver that can't delete."""

    adelete_thread = BaseCheckpointSaver.adelete_thread


def broken() -> None:
    raise RuntimeError("no such cluster")


nothing = 7
