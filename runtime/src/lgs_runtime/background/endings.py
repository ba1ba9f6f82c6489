"""Publishes the end of a run that no worker has ended to its followers and waiters."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.model import Run, Signal
from lgs_runtime.notifier import Notifier
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.worker.cleanup import delete_checkpoints
from lgs_runtime.worker.publisher import publish_failure


async def publish_ending(
    run: Run,
    error: str,
    *,
    storage: Storage,
    checkpointer: BaseCheckpointSaver[Any],
    streams: StreamBroker,
    notifier: Notifier,
) -> None:
    """Ends the stream of a run whose end is stored, wakes its waiters, and deletes its checkpoints if its
    thread was made for it alone. `error`: name of its failure."""
    await publish_failure(streams, run, error, run.error or run.status)
    notifier.announce(Signal("finished", run.run_id))
    if RunKwargs.from_json(run.kwargs).temporary:
        await delete_checkpoints(storage.orphans, checkpointer, [run.thread_id])
