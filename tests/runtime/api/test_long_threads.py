"""A thread of many checkpoints, or of large ones, costs what is asked for, not what there is."""

from __future__ import annotations

import tracemalloc
from uuid import uuid4

from api_replicas import Replica
from langgraph.checkpoint.base import empty_checkpoint

from lgs_runtime.checkpoint.configs import checkpoint_config

CHECKPOINTS, CHARACTERS = 60, 1_000_000


async def test_a_copy_of_a_thread_takes_no_memory_for_its_history(replica: Replica) -> None:
    thread = (await replica.client.threads.create(graph_id="chat"))["thread_id"]
    saver, at = replica.services.checkpointer, checkpoint_config(thread)
    for number in range(CHECKPOINTS):
        version = f"{number + 1:032}.0"
        checkpoint = {
            **empty_checkpoint(),
            "channel_values": {"text": f"{number} " * (CHARACTERS // 4)},
            "channel_versions": {"text": version},
        }
        at = await saver.aput(at, checkpoint, {"step": number}, {"text": version})
    await saver.aput_writes(at, [("text", "waits")], str(uuid4()))

    tracemalloc.start()
    try:
        copied = await replica.client.threads.copy(thread)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    listed = [entry async for entry in saver.alist(checkpoint_config(copied["thread_id"]))]
    assert peak < CHECKPOINTS * CHARACTERS // 4
    assert [entry.metadata["step"] for entry in listed] == list(reversed(range(CHECKPOINTS)))
    assert [write[1:] for write in listed[0].pending_writes or ()] == [("text", "waits")]
    assert listed[0].checkpoint["channel_values"]["text"].startswith(f"{CHECKPOINTS - 1} ")
