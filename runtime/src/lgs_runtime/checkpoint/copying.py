"""Copies a thread's checkpoints through LangGraph's interface, which every saver has."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.checkpoint.configs import checkpoint_config, namespace_of, parent_id_of


async def copy_checkpoints(saver: BaseCheckpointSaver[Any], source: str, target: str) -> None:
    """Copies every checkpoint of a thread, in all namespaces, with the writes that wait on it."""
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
