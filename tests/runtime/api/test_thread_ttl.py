"""Threads are kept as long as they are given: by themselves, or by `checkpointer.ttl` of langgraph.json."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk.errors import NotFoundError

from lgs_runtime.checkpoint.options import CheckpointerOptions, parse_checkpointer
from lgs_runtime.settings import Settings

MOMENT = 0.0005
"""In minutes."""


@pytest.fixture
async def forgetful(alone: Settings) -> AsyncIterator[Replica]:
    """A replica whose threads live a moment after their last change."""
    options: CheckpointerOptions = parse_checkpointer({"ttl": {"default_ttl": MOMENT}}, "checkpointer")
    async with open_replica(replace(alone, checkpointer=options)) as replica:
        yield replica


async def expired(replica: Replica, *thread_ids: str) -> None:
    """Waits until the service has let these threads go."""
    async with asyncio.timeout(20):
        while await replica.client.threads.search(ids=list(thread_ids)):
            await replica.services.storage.expire_threads()
            await asyncio.sleep(0.05)


async def test_the_default_counts_for_every_way_a_thread_is_made(forgetful: Replica) -> None:
    client = forgetful.client
    plain = (await client.threads.create())["thread_id"]
    kept = (await client.threads.create(ttl=60))["thread_id"]
    by_run = str(uuid4())
    await client.runs.wait(by_run, "steps", input={}, if_not_exists="create")

    await expired(forgetful, plain, by_run)

    for thread_id in (plain, by_run):
        with pytest.raises(NotFoundError):
            await client.threads.get(thread_id)
    assert (await client.threads.get(kept))["thread_id"] == kept


async def test_a_thread_that_was_changed_lives_longer(forgetful: Replica) -> None:
    client = forgetful.client
    thread_id = (await client.threads.create())["thread_id"]

    await client.threads.update(thread_id, metadata={}, ttl=60)

    short = (await client.threads.create())["thread_id"]
    await expired(forgetful, short)
    assert (await client.threads.get(thread_id))["thread_id"] == thread_id


async def test_without_a_default_threads_are_kept(replica: Replica) -> None:
    thread_id = (await replica.client.threads.create())["thread_id"]
    short = (await replica.client.threads.create(ttl=MOMENT))["thread_id"]

    await expired(replica, short)

    assert (await replica.client.threads.get(thread_id))["thread_id"] == thread_id
