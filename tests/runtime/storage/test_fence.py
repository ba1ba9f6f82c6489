"""No write of a checkpoint passes the fence of a lease that has run out, whichever way it is made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from lgs_runtime.checkpoint.wrappers.fence import Fence, fenced
from lgs_runtime.errors import StorageUnavailable

FOR_EVER = float("inf")
CONFIG: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}}
PUT: Sequence[Any] = (CONFIG, {**empty_checkpoint(), "id": "c"}, {}, {})
PUT_WRITES: Sequence[Any] = (CONFIG, [("channel", "value")], "task")
WAYS = {"put": PUT, "aput": PUT, "put_writes": PUT_WRITES, "aput_writes": PUT_WRITES}


async def written(saver: Any, way: str) -> None:
    made = getattr(saver, way)(*WAYS[way])
    if isawaitable(made):
        await made


def has_something(saver: InMemorySaver) -> bool:
    return bool(saver.storage["t"]) or any(saver.writes.values())


@pytest.mark.parametrize("way", WAYS)
async def test_a_write_passes_while_the_lease_is_held(way: str) -> None:
    saver, fence = InMemorySaver(), Fence()
    fence.held_until(FOR_EVER)

    await written(fenced(saver, fence), way)

    assert has_something(saver)


@pytest.mark.parametrize("way", WAYS)
async def test_a_write_is_refused_when_the_lease_has_run_out(way: str) -> None:
    saver, fence = InMemorySaver(), Fence()
    fence.held_until(time.monotonic() - 1)

    with pytest.raises(StorageUnavailable, match="has run out"):
        await written(fenced(saver, fence), way)

    assert not has_something(saver)


@pytest.mark.parametrize("way", ["aput", "aput_writes"])
async def test_a_write_waits_for_the_renewal_of_a_lease_that_ran_out(way: str) -> None:
    saver, fence = InMemorySaver(), Fence(patience_seconds=60)
    fence.held_until(time.monotonic() - 1)
    write = asyncio.create_task(written(fenced(saver, fence), way))
    await asyncio.sleep(0)
    waited = not write.done()

    fence.held_until(FOR_EVER)
    await write

    assert waited and has_something(saver)


@pytest.mark.parametrize("way", ["aput", "aput_writes"])
async def test_what_was_executed_under_a_lost_lease_writes_nothing_under_the_next_one(way: str) -> None:
    saver, fence = InMemorySaver(), Fence(patience_seconds=60)
    fence.held_until(time.monotonic() - 1)
    write = asyncio.create_task(written(fenced(saver, fence), way))
    await asyncio.sleep(0)

    fence.lost()
    fence.held_until(FOR_EVER)

    with pytest.raises(StorageUnavailable, match="was lost"):
        await write
    assert not has_something(saver)
