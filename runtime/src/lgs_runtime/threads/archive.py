"""Export of a thread as a document, for a restore after a disaster or a move to another database
(`archive_import.py` reads it).

The document is lines of JSON: the thread, its runs that have ended, its versions, its audit trail, then its
checkpoints by namespace, newest first, and a last line that says how many there were. A value of the state is
a line of its own before the first checkpoint that has it. Values that JSON can't express are marked as in the
databases. Reader and writer keep one state in memory, never the whole thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from lgs_runtime.checkpoint.configs import checkpoint_config, checkpoint_id_of, parent_id_of
from lgs_runtime.checkpoint.upkeep import Upkeep
from lgs_runtime.database.json_columns import dump
from lgs_runtime.model import Ttl
from lgs_runtime.storage.contract import Storage
from lgs_runtime.threads.archive_values import ValueCodec

FORMAT: Final = 1
PAGE: Final = 20
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Archive:
    """The storage that threads are exported from, or imported into."""

    storage: Storage
    saver: BaseCheckpointSaver[Any]
    upkeep: Upkeep
    codec: ValueCodec
    ttl: Ttl | None = None
    """The time to live of imported threads that have none."""

    async def lines(self, thread_id: str) -> AsyncIterator[bytes]:
        """The document of a thread, line by line. Raises `NotFound`, `InvalidRequest`."""
        record = await self.storage.archives.record(thread_id)
        yield _line("thread", {"format": FORMAT, "row": record.thread})
        for kind, found in (("run", record.runs), ("version", record.versions), ("audit", record.audit)):
            for row in found:
                yield _line(kind, {"row": row})
        count = 0
        for namespace in await self.upkeep.namespaces(thread_id):
            sent: dict[str, Any] = {}
            async for entry in self._checkpoints(thread_id, namespace):
                for line in self._checkpoint_lines(entry, namespace, sent):
                    yield line
                count += 1
        yield _line("end", {"checkpoints": count})

    async def answer(self, thread_id: str) -> AsyncIterator[bytes]:
        """Like `lines`, for a transport that can't report a failure midway: the last line then has the kind
        `failed` and the reason."""
        begun = False
        try:
            async for line in self.lines(thread_id):
                yield line
                begun = True
        except Exception as failed:
            if not begun:
                raise
            log.exception("thread.export_failed", thread_id=thread_id)
            yield _line("failed", {"reason": f"{type(failed).__name__}: {failed}"})

    async def _checkpoints(self, thread_id: str, namespace: str) -> AsyncIterator[CheckpointTuple]:
        """All checkpoints of a namespace, newest first, a few at a time."""
        wanted = checkpoint_config(thread_id, namespace)
        before: RunnableConfig | None = None
        while True:
            page = [entry async for entry in self.saver.alist(wanted, before=before, limit=PAGE)]
            for entry in page:
                yield entry
            if len(page) < PAGE:
                return
            before = checkpoint_config(thread_id, namespace, checkpoint_id_of(page[-1].config))

    def _checkpoint_lines(self, entry: CheckpointTuple, namespace: str, sent: dict[str, Any]) -> list[bytes]:
        checkpoint = entry.checkpoint
        place = f"checkpoint {checkpoint['id']}"
        values, versions = checkpoint["channel_values"], checkpoint["channel_versions"]
        lines = []
        for channel, value in values.items():
            version = versions.get(channel)
            if version is None or sent.get(channel) != version:
                data = self.codec.dump(value, f"{place}: channel {channel}")
                lines.append(_line("value", {"channel": channel, "version": version, "data": data}))
                sent[channel] = version
        bare = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        record = {
            "namespace": namespace,
            "parent": parent_id_of(entry.parent_config),
            "checkpoint": self.codec.dump(bare, place),
            "metadata": self.codec.dump(dict(entry.metadata), place),
            "channels": list(values),
            "writes": [
                [task, channel, self.codec.dump(value, place)]
                for task, channel, value in entry.pending_writes or ()
            ],
        }
        return [*lines, _line("checkpoint", record)]


def _line(kind: str, content: Mapping[str, Any]) -> bytes:
    return dump({"kind": kind, **content}).encode() + b"\n"
