"""Every operation, called with whatever its description lets one think of: none answers 500, all answers are
as described, and afterwards nothing is stuck, leaked or lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import httpx
import pytest
from api_replicas import Replica, open_replica

from lgs_runtime.model import Page
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings
from lgs_runtime.storage.queries import ThreadQuery
from support.api_fuzz import Known, fuzzed
from support.ports import PATIENCE_SECONDS


async def stuck(services: Services) -> list[str]:
    """Threads that are neither idle, interrupted nor failed."""
    busy = await services.storage.threads.search(ThreadQuery(page=Page(limit=1000), status="busy"))
    return [thread.thread_id for thread in busy]


async def known(replica: Replica) -> Known:
    """A thread with a history and an ended run, a cron and an assistant. A stream was read and the cache
    was emptied, which opens the connections for all that come."""
    await replica.client.http.delete("/cache")
    assert [part async for part in replica.client.runs.stream(None, "steps", input={"text": "x"})]
    thread_id = (await replica.client.threads.create())["thread_id"]
    run = await replica.client.runs.create(thread_id, "steps", input={"text": "x"})
    await replica.client.runs.join(thread_id, run["run_id"])
    cron = await replica.client.crons.create("steps", schedule="0 0 1 1 *", input={})
    assistant = await replica.client.assistants.create("steps")
    state = await replica.client.threads.get_state(thread_id)
    return Known(
        thread_id,
        run["run_id"],
        cron["cron_id"],
        assistant["assistant_id"],
        str(state["checkpoint"]["checkpoint_id"]),
    )


def tasks() -> Counter[str]:
    """What goes on in this process, by the name of the code."""
    coroutines = (task.get_coro() for task in asyncio.all_tasks())
    return Counter(getattr(each, "__qualname__", type(each).__name__) for each in coroutines)


async def hears_of_others(replica: Replica, settings: Settings) -> None:
    """A run that does not begin was followed until its stream was silent for so long that this replica
    listened to what others publish: the connection for that is opened once, and stays."""
    if settings.redis_uri is None:
        return
    runs = replica.client.runs
    thread_id = (await replica.client.threads.create())["thread_id"]
    run = await runs.create(thread_id, "steps", input={"text": "x"}, after_seconds=3600)

    async def follow() -> None:
        async for _ in runs.join_stream(thread_id, run["run_id"]):
            pass

    following = asyncio.create_task(follow())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not tasks()["RedisPubSub._read_forever"]:
            await asyncio.sleep(0.05)
        await runs.cancel(thread_id, run["run_id"], wait=True)
        await following


async def answers_many_at_once(http: httpx.AsyncClient, there: Known) -> bool:
    """More requests at once than there are connections in any pool: a connection that was not given back
    would be missing."""
    paths = ("/threads/{}", "/threads/{}/state", "/store/items?namespace=a&key={}")
    asked = [http.get(path.format(there.thread_id)) for path in paths for _ in range(40)]
    return all(answer.status_code in (200, 404) for answer in await asyncio.gather(*asked))


async def settled(services: Services, before: Counter[str]) -> tuple[list[str], Counter[str]]:
    """The threads that are busy and the tasks that are left when everything has had time to end."""
    left = await stuck(services), tasks() - before
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(left):
                await asyncio.sleep(0.05)
                left = await stuck(services), tasks() - before
    return left


@pytest.mark.timeout(1800)
async def test_whatever_is_asked_nothing_breaks_or_stays_behind(alone: Settings) -> None:
    async with open_replica(alone) as replica:
        there = await known(replica)
        await hears_of_others(replica, alone)
        before = tasks()

        wrong = await fuzzed(replica.url, there)

        assert not wrong, "\n\n".join(wrong)
        async with httpx.AsyncClient(base_url=replica.url, timeout=PATIENCE_SECONDS) as http:
            assert (await http.post("/runs/cancel", json={"status": "all"})).status_code == 204
            assert await answers_many_at_once(http, there)
        assert await settled(replica.services, before) == ([], Counter())
        assert await replica.client.runs.wait(None, "steps", input={"text": "still"})
