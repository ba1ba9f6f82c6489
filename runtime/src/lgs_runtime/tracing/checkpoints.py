"""The saver of a traced attempt: each checkpoint has a span, from the moment when it is put to the moment
when it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import time_ns
from typing import Any, Protocol, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, Checkpoint, CheckpointMetadata

from lgs_runtime.checkpoint.wrappers.attempt import AttemptSaver


class Spans(Protocol):
    """Where the spans go."""

    def child(
        self, name: str, began: int, attributes: Mapping[str, Any], failed: BaseException | None = None
    ) -> None:
        """Makes a span that began at `began` and ends now."""


class TracedSaver(AttemptSaver):
    """See `AttemptSaver`."""

    spans: Spans | None = None

    def before(self, saver: BaseCheckpointSaver[Any]) -> Self:
        """See `DelegatingSaver`."""
        made = super().before(saver)
        made.spans = self.spans
        return made

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        began, before = time_ns(), self.on_its_way
        said = {
            "lgs.checkpoint.id": checkpoint["id"],
            "lgs.checkpoint.step": metadata.get("step", -1),
            "lgs.checkpoint.namespace": config["configurable"].get("checkpoint_ns", ""),
        }
        stored = await super().aput(config, checkpoint, metadata, new_versions)
        put = self.on_its_way
        if put is None or put is before:
            self._stored(began, said)
        else:
            put.add_done_callback(lambda done: self._arrived(done, began, said))
        return stored

    def _arrived(self, put: asyncio.Future[Any], began: int, said: Mapping[str, Any]) -> None:
        # A cancelled put stores no checkpoint: its thread goes together with its run.
        if not put.cancelled():
            self._stored(began, said, put.exception())

    def _stored(self, began: int, said: Mapping[str, Any], failed: BaseException | None = None) -> None:
        if self.spans is not None:
            self.spans.child("checkpoint", began, said, failed)
