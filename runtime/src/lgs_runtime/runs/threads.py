"""What concerns a thread's record and its checkpoints together, which live in different tables."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.model import Page, RunStatus
from lgs_runtime.services import Services

UNFINISHED: tuple[RunStatus, ...] = ("pending", "running")
STOP_SECONDS = 5.0
"""How long a deletion waits for the thread's running run to stop, so that it leaves no checkpoint behind."""


async def remove_thread(services: Services, thread_id: str) -> None:
    """Stops the thread's runs, then deletes runs, record and checkpoints. Raises `NotFound`."""
    await services.storage.thread(thread_id)
    unfinished = [
        run.run_id
        for status in UNFINISHED
        for run in await services.storage.runs(thread_id, Page(limit=1000), status=status)
    ]
    if unfinished:
        await services.storage.cancel(thread_id, unfinished, "rollback")
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                for run_id in unfinished:
                    await services.hub.finished(run_id)
    await services.storage.delete_thread(thread_id)
    await services.checkpointer.adelete_thread(thread_id)


async def copy_checkpoints(saver: BaseCheckpointSaver[Any], source: str, target: str) -> None:
    """Copies every checkpoint of a thread, in all namespaces, with the writes that wait on it."""
    history = [entry async for entry in saver.alist({"configurable": {"thread_id": source}})]
    for entry in reversed(history):
        named = entry.config["configurable"]
        parent = entry.parent_config["configurable"].get("checkpoint_id") if entry.parent_config else None
        onto: RunnableConfig = {
            "configurable": {
                "thread_id": target,
                "checkpoint_ns": named.get("checkpoint_ns", ""),
                **({"checkpoint_id": parent} if parent else {}),
            }
        }
        versions = entry.checkpoint["channel_versions"]
        stored = await saver.aput(onto, entry.checkpoint, entry.metadata, versions)
        writes: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        for task_id, channel, value in entry.pending_writes or ():
            writes[task_id].append((channel, value))
        for task_id, pending in writes.items():
            await saver.aput_writes(stored, pending, task_id)
