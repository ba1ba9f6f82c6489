"""Threads are kept as long as they are given: by themselves, or by `checkpointer.ttl` of langgraph.json."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica
from langchain_core.runnables import RunnableConfig
from langgraph_sdk.errors import NotFoundError

from lgs_runtime.background.expiry import Expiry
from lgs_runtime.checkpoint.options import parse_checkpointer
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Ttl
from lgs_runtime.settings import Settings
from lgs_runtime.storage import StorageOptions, open_storage
from support.leases import LONG_SECONDS
from support.waiting import until

MOMENT = 0.0005
"""In minutes."""


def kept_for(settings: Settings, **ttl: Any) -> Settings:
    """Settings with `checkpointer.ttl` of a langgraph.json."""
    return replace(settings, checkpointer=parse_checkpointer({"ttl": ttl}, "checkpointer"))


@asynccontextmanager
async def swept(settings: Settings) -> AsyncIterator[Replica]:
    """A replica whose first sweep, with which each begins, is over: it finds no thread of the test's."""
    storage = await open_storage(settings.database_uri, StorageOptions(lease_seconds=LONG_SECONDS))
    await storage.threads.create("first", {}, ttl=Ttl(-1.0, "delete"))
    await storage.close()
    async with open_replica(settings) as replica:

        async def over() -> bool:
            with suppress(NotFound):
                await replica.services.storage.threads.get("first")
                return False
            return True

        await until(over, "the first sweep is not over")
        yield replica


@pytest.fixture
async def forgetful(alone: Settings) -> AsyncIterator[Replica]:
    """A replica whose threads live a moment after their last change."""
    async with swept(kept_for(alone, default_ttl=MOMENT)) as replica:
        yield replica


@pytest.fixture
async def thrifty(alone: Settings) -> AsyncIterator[Replica]:
    """A replica whose threads keep only their latest state a moment after their last change."""
    async with swept(kept_for(alone, default_ttl=MOMENT, strategy="keep_latest")) as replica:
        yield replica


async def expired(replica: Replica, *thread_ids: str) -> None:
    """Waits until the service has let these threads go."""

    async def gone() -> bool:
        await Expiry(replica.services).sweep_once()
        return not await replica.client.threads.search(ids=list(thread_ids))

    await until(gone, "the threads are kept")


async def wait_pruned(replica: Replica, thread_id: str) -> None:
    """Waits until the service has done what is due to a thread."""

    async def done() -> bool:
        await Expiry(replica.services).sweep_once()
        return (await replica.services.storage.threads.get(thread_id)).expires_at is None

    await until(done, "the thread's past is kept")


async def ttl_of(replica: Replica, thread_id: str) -> Any:
    """The time to live that the API answers of a thread."""
    return (await replica.client.threads.get(thread_id, include=["ttl"]))["ttl"]  # type: ignore[typeddict-item]


async def counted(replica: Replica, name: str) -> float:
    """A metric of the replica."""
    async with httpx.AsyncClient(base_url=replica.url) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


async def test_the_default_counts_for_every_way_a_thread_is_made(forgetful: Replica) -> None:
    client = forgetful.client
    plain = (await client.threads.create())["thread_id"]
    kept = (await client.threads.create(ttl=60))["thread_id"]
    by_run = str(uuid4())
    await client.runs.wait(by_run, "steps", input={}, if_not_exists="create")
    copied: Any = await client.threads.copy(kept)

    await expired(forgetful, plain, by_run, copied["thread_id"])

    for thread_id in (plain, by_run):
        with pytest.raises(NotFoundError):
            await client.threads.get(thread_id)
    assert (await client.threads.get(kept))["thread_id"] == kept
    assert await counted(forgetful, 'lgs_threads_expired_total{strategy="delete"}') >= 3


async def test_an_imported_thread_gets_the_default_unless_it_brings_its_own(
    replica: Replica, forgetful: Replica
) -> None:
    brings = (await replica.client.threads.create(ttl={"ttl": 60, "strategy": "keep_latest"}))["thread_id"]
    bare = (await replica.client.threads.create())["thread_id"]
    for thread_id in (brings, bare):
        async with httpx.AsyncClient() as http:
            document = (await http.get(f"{replica.url}/threads/{thread_id}/export")).content
            done = await http.post(f"{forgetful.url}/threads/import", content=document)
        assert done.status_code == 200

    await expired(forgetful, bare)

    assert (await ttl_of(forgetful, brings))["strategy"] == "keep_latest"


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
    assert await ttl_of(replica, thread_id) is None


async def test_the_service_sweeps_as_often_as_it_is_told(alone: Settings) -> None:
    settings = kept_for(alone, sweep_interval_minutes=MOMENT)
    async with open_replica(settings) as replica:
        await replica.client.threads.create()
        thread_id = (await replica.client.threads.create(ttl=MOMENT))["thread_id"]

        async def gone() -> bool:
            return not await replica.client.threads.search(ids=[thread_id])

        await until(gone, "the thread is kept")
        assert await replica.client.threads.count() == 1


async def test_a_sweep_deals_with_no_more_threads_than_it_may(alone: Settings) -> None:
    async with swept(kept_for(alone, sweep_limit=3)) as replica:
        storage = replica.services.storage
        for strategy in ("delete", "delete", "keep_latest", "keep_latest"):
            await storage.threads.create(str(uuid4()), {}, ttl=Ttl(-1.0, strategy))

        dealt_with = [await Expiry(replica.services).sweep_once() for _ in range(3)]

        assert dealt_with == [3, 1, 0]


async def test_a_thread_keeps_its_latest_state_and_goes_on(thrifty: Replica) -> None:
    client, thread_id = thrifty.client, str(uuid4())
    # Made with its run, so that it can't expire before it.
    before = dict(await client.runs.wait(thread_id, "steps", input={"text": "a"}, if_not_exists="create"))

    await wait_pruned(thrifty, thread_id)

    history = await client.threads.get_history(thread_id, limit=100)
    assert [state["values"] for state in history] == [before]
    assert await ttl_of(thrifty, thread_id) == {
        "strategy": "keep_latest",
        "ttl_minutes": pytest.approx(MOMENT),
        "expires_at": None,
    }
    assert await counted(thrifty, 'lgs_threads_expired_total{strategy="keep_latest"}') == 1
    assert await counted(thrifty, "lgs_checkpoints_pruned_total") == 3
    async with httpx.AsyncClient(base_url=thrifty.url) as http:
        (pruned, *_) = (await http.get(f"/threads/{thread_id}/audit")).json()
    assert (pruned["what"], pruned["details"]["reason"]) == ("thread.pruned", "ttl")
    after: Any = await client.runs.wait(thread_id, "steps", input={"text": "b"})
    assert after["steps"] == ["first", "second"] * 2
    assert (await ttl_of(thrifty, thread_id))["expires_at"] is not None


async def test_a_question_that_waits_is_kept_with_what_it_needs(thrifty: Replica) -> None:
    client = thrifty.client
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks_inside", input={"text": "a"})

    await wait_pruned(thrifty, thread_id)

    after: Any = await client.runs.wait(thread_id, "asks_inside", command={"resume": "left"})
    assert "told left" in after["steps"]


async def test_a_busy_thread_keeps_its_past(thrifty: Replica) -> None:
    client, past, key = thrifty.client, str(uuid4()), str(uuid4())
    thread_id = (await client.threads.create())["thread_id"]
    # The second waits for the first, so that the thread is not idle for a moment.
    await client.runs.create(thread_id, "slow", input={"text": past})
    running = await client.runs.create(thread_id, "slow", input={"text": key}, multitask_strategy="enqueue")
    gate(past).set()
    await entrance(key).wait()
    other = (await client.threads.create())["thread_id"]

    await wait_pruned(thrifty, other)

    assert len(await client.threads.get_history(thread_id, limit=100)) > 4
    gate(key).set()
    await client.runs.join(thread_id, running["run_id"])
    await wait_pruned(thrifty, thread_id)
    assert len(await client.threads.get_history(thread_id, limit=100)) == 1


@pytest.mark.parametrize("durability", ["sync", "exit"])
async def test_values_that_are_made_of_the_past_are_kept_without_it(
    replica: Replica, durability: Any
) -> None:
    client = replica.client
    thread_id = (await client.threads.create())["thread_id"]
    for text in ("a", "b", "ask"):
        last: Any = await client.runs.wait(thread_id, "deltas", input={"text": text}, durability=durability)
    before = await client.threads.get_state(thread_id)

    pruned = await client.threads.prune([thread_id], strategy="keep_latest")

    assert pruned == {"pruned_count": 1}
    after = await client.threads.get_state(thread_id)
    assert after["values"] == before["values"] and after["next"] == before["next"] == ["ask"]
    assert after["values"]["log"] == ["saw 0", "told nothing", "saw 2", "told nothing", "saw 4"]  # type: ignore[call-overload]
    assert len(await client.threads.get_history(thread_id, limit=100)) == 1
    last = await client.runs.wait(thread_id, "deltas", command={"resume": "that"})
    assert last["log"][-1] == "told that" and len(last["log"]) == 6
    again: Any = await client.runs.wait(thread_id, "deltas", input={"text": "c"})
    assert again["log"][-2:] == ["saw 6", "told nothing"]


async def test_encrypted_values_that_are_made_of_the_past_are_kept_without_it(alone: Settings) -> None:
    async with open_replica(replace(alone, encryption_path="support.ciphers:encryption")) as replica:
        client = replica.client
        thread_id = (await client.threads.create())["thread_id"]
        for text in ("a", "b"):
            before: Any = await client.runs.wait(thread_id, "deltas", input={"text": text})

        await client.threads.prune([thread_id], strategy="keep_latest")

        (left,) = await client.threads.get_history(thread_id, limit=100)
        assert left["values"] == before
        after: Any = await client.runs.wait(thread_id, "deltas", input={"text": "c"})
        assert after["log"] == [*before["log"], "saw 4", "told nothing"]


async def test_a_subgraph_that_remembers_by_its_past_remembers_without_it(replica: Replica) -> None:
    client = replica.client
    thread_id = (await client.threads.create())["thread_id"]
    for text in ("a", "b"):
        await client.runs.wait(thread_id, "deltas_inside", input={"text": text})

    await client.threads.prune([thread_id], strategy="keep_latest")

    await client.runs.wait(thread_id, "deltas_inside", input={"text": "c"})
    saver = replica.services.checkpointer
    wanted: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": "inner"}}
    inner = [entry async for entry in saver.alist(wanted)]
    namespaces = await replica.services.upkeep.namespaces(thread_id)
    assert list(namespaces) == ["", "inner"]
    written = [value for _, channel, value in inner[1].pending_writes or () if channel == "log"]
    assert written == [["told nothing"]]
    noted = [value for _, channel, value in inner[2].pending_writes or () if channel == "log"]
    assert noted == [["saw 4"]]


async def test_a_thread_whose_graph_is_gone_is_not_thinned_out_where_its_past_is_needed(
    alone: Settings,
) -> None:
    thread_id = str(uuid4())
    async with open_replica(alone) as replica:
        given: Any = {"input": {"text": "a"}, "if_not_exists": "create"}
        await replica.client.runs.wait(thread_id, "deltas", **given)
        before = await replica.client.threads.get_history(thread_id, limit=100)
    left = {name: spec for name, spec in alone.graphs.items() if name != "deltas"}

    async with open_replica(replace(alone, graphs=left)) as replica:
        ttl: Any = {"ttl": MOMENT, "strategy": "keep_latest"}
        await replica.client.threads.update(thread_id, metadata={}, ttl=ttl)
        await wait_pruned(replica, thread_id)

    async with open_replica(alone) as replica:
        assert await replica.client.threads.get_history(thread_id, limit=100) == before
