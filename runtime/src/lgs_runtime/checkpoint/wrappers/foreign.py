"""Adapts an application's own checkpointer (`checkpointer.path`) to the needs of the runtime.

LangGraph's interface says what a saver must do for a graph. Rolling a run back and pruning are optional
there. If the saver has these methods, they are used; otherwise a run is rolled back by storing the state
before it once more as the latest, and pruning is refused. The runtime accesses the checkpoints only through
the interface.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.base.id import uuid6

from lgs_runtime.checkpoint.configs import (
    checkpoint_config,
    checkpoint_id_of,
    namespace_of,
    parent_id_of,
)
from lgs_runtime.checkpoint.failures import lost_connection
from lgs_runtime.checkpoint.id_order import advance_ids_past
from lgs_runtime.checkpoint.upkeep import Amount, StorageUse
from lgs_runtime.checkpoint.wrappers.delegation import DelegatingSaver
from lgs_runtime.checks import kind_of
from lgs_runtime.errors import ConfigError, StorageUnavailable

REQUIRED: Final = ("aget_tuple", "alist", "aput", "aput_writes", "adelete_thread")
_Result = TypeVar("_Result")


def has(saver: BaseCheckpointSaver[Any], method: str) -> bool:
    """Whether the saver implements a method, rather than inheriting the interface's, which refuses."""
    return getattr(type(saver), method, None) is not getattr(BaseCheckpointSaver, method, None)


def check_saver(found: Any, where: str) -> BaseCheckpointSaver[Any]:
    """The saver, checked. Raises `ConfigError` for anything else, or if required methods are missing."""
    if not isinstance(found, BaseCheckpointSaver):
        raise ConfigError(
            f"{where}: it gives {kind_of(found)}: must be a BaseCheckpointSaver, or a function or "
            "context manager that gives one"
        )
    if missing := [method for method in REQUIRED if not has(found, method)]:
        raise ConfigError(f"{where}: {type(found).__name__}: must implement {', '.join(missing)}")
    return found


class ForeignSaver(DelegatingSaver):
    """The application's saver. It keeps the state of the runs, so a connection that it loses becomes a
    `StorageUnavailable`, as with our own savers: the run waits for the database. Whatever a deletion raises
    becomes one too, as it is tried again later. Any other exception ends the run, like a graph's own
    error."""

    @property
    def inner(self) -> BaseCheckpointSaver[Any]:
        """The application's saver itself."""
        return self._saver

    def before(self, saver: BaseCheckpointSaver[Any]) -> ForeignSaver:
        """The same wrapper in front of another saver."""
        return ForeignSaver(saver)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See LangGraph's interface, also for the methods that follow."""
        with _reached():
            return await super().aput(config, checkpoint, metadata, new_versions)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        with _reached():
            return super().put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        with _reached():
            await super().aput_writes(config, writes, task_id, task_path)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        with _reached():
            super().put_writes(config, writes, task_id, task_path)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with _reached():
            return super().get_tuple(config)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with _reached():
            return await super().aget_tuple(config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        with _reached():
            yield from super().list(config, filter=filter, before=before, limit=limit)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        with _reached():
            async for entry in super().alist(config, filter=filter, before=before, limit=limit):
                yield entry

    async def adelete_thread(self, thread_id: str) -> None:
        await _surely(self._saver.adelete_thread(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await _surely(self._saver.adelete_for_runs(run_ids))

    async def adelete_run(self, thread_id: str, run_ids: Sequence[str]) -> None:
        """Rolls runs of a thread back: deletes their checkpoints if the saver can; otherwise stores the state
        before them once more as the latest."""
        if has(self._saver, "adelete_for_runs"):
            await self.adelete_for_runs(run_ids)
        else:
            await self._step_back(thread_id, frozenset(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        if has(self._saver, "acopy_thread"):
            await _surely(self._saver.acopy_thread(source_thread_id, target_thread_id))
        else:
            await copy_checkpoints(self, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        if strategy == "delete":
            for thread_id in thread_ids:
                await self.adelete_thread(thread_id)
            return
        if not has(self._saver, "aprune"):
            raise NotImplementedError(f"the checkpointer, {kind_of(self._saver)}, has no aprune")
        await _surely(self._saver.aprune(thread_ids, strategy=strategy))

    async def _step_back(self, thread_id: str, run_ids: frozenset[str]) -> None:
        latest: CheckpointTuple | None = None
        async for entry in self.alist(checkpoint_config(thread_id)):
            latest = latest or entry
            if entry.metadata.get("run_id") not in run_ids:
                if entry is not latest:
                    await self._put_last(entry, latest)
                return
        if latest is not None:
            await self.adelete_thread(thread_id)

    async def _put_last(self, entry: CheckpointTuple, latest: CheckpointTuple) -> None:
        thread_id = str(entry.config["configurable"]["thread_id"])
        advance_ids_past(checkpoint_id_of(latest.config))
        again: Any = {**entry.checkpoint, "id": str(uuid6()), "ts": datetime.now(UTC).isoformat()}
        metadata: Any = {**entry.metadata, "source": "fork"}
        onto = checkpoint_config(thread_id, "", parent_id_of(entry.parent_config))
        await self.aput(onto, again, metadata, {})


class ForeignUpkeep:
    """The `Upkeep` of checkpoints that only a saver can reach."""

    def __init__(self, saver: ForeignSaver) -> None:
        self._saver = saver

    async def use(self, thread_id: str) -> StorageUse:
        """The storage that a thread uses; sizes are those that the saver's serialiser gives the values."""
        checkpoints, sizes, writes, waiting = 0, 0, 0, 0
        async for entry in self._saver.alist({"configurable": {"thread_id": thread_id}}):
            checkpoints, sizes = checkpoints + 1, sizes + self._size(entry.checkpoint)
            for _, _, value in entry.pending_writes or ():
                writes, waiting = writes + 1, waiting + self._size(value)
        return StorageUse(Amount(checkpoints, sizes), Amount(writes, waiting))

    async def prune(self, thread_id: str, floor: str) -> int:
        """Deletes nothing (0): LangGraph's interface can delete only a whole thread, a run, or everything
        except the latest checkpoint."""
        return 0

    async def namespaces(self, thread_id: str) -> Sequence[str]:
        everywhere = self._saver.alist({"configurable": {"thread_id": thread_id}})
        return sorted({namespace_of(entry.config) async for entry in everywhere})

    async def adopt(self, source: str, thread_id: str) -> None:
        """In three steps, which are not atomic: if interrupted, the next import repeats them."""
        await self._saver.adelete_thread(thread_id)
        await self._saver.acopy_thread(source, thread_id)
        await self._saver.adelete_thread(source)

    def _size(self, value: Any) -> int:
        return len(self._saver.serde.dumps_typed(value)[1])


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except Exception as gone:
        if isinstance(gone, StorageUnavailable) or not lost_connection(gone):
            raise
        raise _unavailable(gone) from gone


async def _surely(work: Awaitable[_Result]) -> _Result:
    """Awaits `work` and turns any exception into `StorageUnavailable` (except `NotImplementedError`): the
    saver may raise anything, which must not end the background cleanup."""
    try:
        return await work
    except (NotImplementedError, StorageUnavailable):
        raise
    except Exception as raised:
        raise _unavailable(raised) from raised


def _unavailable(raised: Exception) -> StorageUnavailable:
    return StorageUnavailable(
        f"the checkpointer of checkpointer.path failed: {type(raised).__name__}: {raised}"
    )


async def copy_checkpoints(saver: BaseCheckpointSaver[Any], source: str, target: str) -> None:
    """Copies every checkpoint of a thread, in all namespaces, with its pending writes, through LangGraph's
    interface."""
    history = [entry async for entry in saver.alist({"configurable": {"thread_id": source}})]
    for entry in reversed(history):
        onto = checkpoint_config(target, namespace_of(entry.config), parent_id_of(entry.parent_config))
        versions = entry.checkpoint["channel_versions"]
        stored = await saver.aput(onto, entry.checkpoint, entry.metadata, versions)
        writes: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        for task_id, channel, value in entry.pending_writes or ():
            writes[task_id].append((channel, value))
        for task_id, pending in writes.items():
            await saver.aput_writes(stored, pending, task_id)
