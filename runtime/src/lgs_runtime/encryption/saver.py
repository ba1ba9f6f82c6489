"""A checkpointer around another, official or not: values reach the inner one sealed, and it needs to know
nothing about that.

A value's serialised form is sealed by the handlers for bytes, and stored in a form that every saver can keep:
an object for values that savers store separately, a text for plain values, which they store inside of the
checkpoint. Metadata are sealed by the handlers for documents, except the keys by which checkpoints are found.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from lgs_runtime.checkpoint.blocking import BlockingSaver
from lgs_runtime.checkpoint.configs import address_of
from lgs_runtime.checkpoint.savers import DeletesRuns
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.context import encryption_context

SEALED: Final = "__lgs_sealed__"
INLINE: Final = "lgs-sealed:"
_PLAIN: Final = (str, int, float)


class EncryptedSaver(BlockingSaver):
    """A saver behind a cipher. Its methods also raise `EncryptionFailed`; then nothing is stored."""

    def __init__(
        self, inner: BaseCheckpointSaver[Any], cipher: Cipher, *, keeps_versions: bool = False
    ) -> None:
        """`keeps_versions`: the saver stores each version of a channel once, so only new values need to be
        sealed; otherwise every checkpoint holds all of them."""
        super().__init__(serde=inner.serde)
        self._inner = inner
        self._cipher = cipher
        self._keeps_versions = keeps_versions

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[Any]:
        """See LangGraph's interface, as for all that follow."""
        inner = self._inner.with_allowlist(extra_allowlist)
        return EncryptedSaver(inner, self._cipher, keeps_versions=self._keeps_versions)

    @property
    def config_specs(self) -> list[Any]:
        return self._inner.config_specs

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self._inner.get_next_version(current, channel)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        values = checkpoint["channel_values"]
        kept = [name for name in values if not self._is_stored(values[name], name in new_versions)]
        sealed = await asyncio.gather(*(self._seal(values[name], "channel_values") for name in kept))
        about = await self._cipher.seal(
            "checkpoint", "metadata", cast("Mapping[str, Any]", _whole_metadata(config, metadata))
        )
        whole: Any = {**checkpoint, "channel_values": {**values, **dict(zip(kept, sealed, strict=True))}}
        return await self._inner.aput(
            address_of(config), whole, cast(CheckpointMetadata, about), new_versions
        )

    def _is_stored(self, value: Any, new: bool) -> bool:
        """Whether the saver has the value already, and does not read it now."""
        return self._keeps_versions and not new and not isinstance(value, (*_PLAIN, _DeltaSnapshot))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        values = await asyncio.gather(*(self._seal(value, "writes") for _, value in writes))
        sealed = [(channel, value) for (channel, _), value in zip(writes, values, strict=True)]
        await self._inner.aput_writes(address_of(config), sealed, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await self._inner.aget_tuple(config)
        return None if found is None else await self._opened(found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        wanted = await self._cipher.wanted("checkpoint", "metadata", filter)
        async for found in self._inner.alist(config, filter=wanted, before=before, limit=limit):
            yield await self._opened(found)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        histories = await self._inner.aget_delta_channel_history(config=config, channels=channels)
        return {channel: await self._history(history) for channel, history in histories.items()}

    async def _history(self, history: DeltaChannelHistory) -> DeltaChannelHistory:
        opened: dict[str, Any] = {**history, "writes": await self._writes(history["writes"])}
        if "seed" in history:
            opened["seed"] = await self._open(history["seed"], "channel_values")
        return cast(DeltaChannelHistory, opened)

    async def adelete_thread(self, thread_id: str) -> None:
        await self._inner.adelete_thread(thread_id)

    async def adelete_run(self, thread_id: str | None, run_ids: list[str]) -> None:
        if isinstance(self._inner, DeletesRuns):
            await self._inner.adelete_run(thread_id, run_ids)
        else:
            await self._inner.adelete_for_runs(run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._inner.adelete_for_runs(run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._inner.acopy_thread(source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self._inner.aprune(thread_ids, strategy=strategy)

    async def _opened(self, found: CheckpointTuple) -> CheckpointTuple:
        values = found.checkpoint["channel_values"]
        opened = await asyncio.gather(*(self._open(value, "channel_values") for value in values.values()))
        whole: Any = {**found.checkpoint, "channel_values": dict(zip(values, opened, strict=True))}
        about = await self._cipher.open("checkpoint", "metadata", cast("Mapping[str, Any]", found.metadata))
        writes = found.pending_writes
        return found._replace(
            checkpoint=whole,
            metadata=cast(CheckpointMetadata, about),
            pending_writes=None if writes is None else await self._writes(writes),
        )

    async def _writes(self, writes: Iterable[PendingWrite]) -> list[PendingWrite]:
        kept = list(writes)
        opened = await asyncio.gather(*(self._open(value, "writes") for _, _, value in kept))
        return [(task, channel, value) for (task, channel, _), value in zip(kept, opened, strict=True)]

    async def _seal(self, value: Any, field: str) -> Any:
        if value is None or not self._cipher.seals_blobs:
            return value
        if isinstance(value, _DeltaSnapshot):
            # Savers use this type to find where a history begins.
            return _DeltaSnapshot(await self._seal(value.value, field))
        context = encryption_context()
        kind, data = self.serde.dumps_typed(value)
        sealed = await self._cipher.seal_blob("checkpoint", field, data, context)
        if not isinstance(value, _PLAIN):
            return {SEALED: {"kind": kind, "context": context}, "data": sealed}
        header = {"kind": kind, "context": context, "data": base64.b64encode(sealed).decode()}
        return INLINE + orjson.dumps(header).decode()

    async def _open(self, value: Any, field: str) -> Any:
        if isinstance(value, _DeltaSnapshot):
            return _DeltaSnapshot(await self._open(value.value, field))
        if isinstance(value, dict) and SEALED in value:
            header, sealed = value[SEALED], value["data"]
        elif isinstance(value, str) and value.startswith(INLINE):
            header = orjson.loads(value.removeprefix(INLINE))
            sealed = base64.b64decode(header["data"])
        else:
            return value
        data = await self._cipher.open_blob("checkpoint", field, sealed, header["context"])
        return self.serde.loads_typed((header["kind"], data))


def _whole_metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
    """The metadata that savers make from the metadata and the config, so that both are sealed."""
    return get_serializable_checkpoint_metadata(config, metadata)
