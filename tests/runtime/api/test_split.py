"""Replicas that answer and replicas that execute, apart: what a client sees of it, with Redis and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from api_apart import answering, executing
from api_dependency import POLICY, guarded, outside
from api_graphs import entrance, gate
from api_replicas import Replica, settings_of

from lgs_operator.scaling.exposition import parse
from lgs_operator.scaling.samples import ReplicaSample
from lgs_runtime import server
from lgs_runtime.background.reaper import Reaper
from lgs_runtime.breaker.state_machine import Phase
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.graphs.warmup_section import Warmup, WarmupInput
from lgs_runtime.model import QueueLimits
from lgs_runtime.settings import Settings
from support.leases import end_lease
from support.postgres import fresh_database
from support.waiting import until

pytestmark = pytest.mark.usefixtures("unhurried")
WHOLE = {"steps": ["first", "second"]}
SLOW = ["first", "waited", "second"]


@pytest.fixture(scope="module", params=["redis", "no redis"])
def apart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of replicas on different machines, over one PostgreSQL."""
    folder = tmp_path_factory.mktemp("split")
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        redis = request.getfixturevalue("redis_service") if request.param == "redis" else None
        found = settings_of(folder, {"database_uri": uri, "redis_uri": redis})
        inside = {name: GraphSpec(f"api_inside:{name}") for name in ("in_node", "child")}
        yield replace(found, graphs={**found.graphs, **inside}, reuse_port=False)


@pytest.fixture(scope="module")
async def pair(apart: Settings) -> AsyncIterator[tuple[Replica, Replica]]:
    """A replica that answers, and one that executes."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(answering(apart))
        yield api, await stack.enter_async_context(executing(apart))


@pytest.fixture
def api(pair: tuple[Replica, Replica]) -> Replica:
    return pair[0]


@pytest.fixture
def worker(pair: tuple[Replica, Replica]) -> Replica:
    return pair[1]


@pytest.fixture
def alone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """The settings of a service of the test's own, with nothing in it, and without Redis."""
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        yield replace(settings_of(tmp_path, {"database_uri": uri}), reuse_port=False)


async def metrics_of(replica: Replica) -> ReplicaSample:
    """What the operator reads of it."""
    async with httpx.AsyncClient(base_url=replica.url) as http:
        return parse((await http.get("/metrics")).text, replica.url, at=0.0)


async def test_a_run_is_acknowledged_without_a_worker_counts_as_demand_and_ends_once_one_comes(
    alone: Settings,
) -> None:
    async with answering(alone) as api:
        thread = (await api.client.threads.create())["thread_id"]
        run = await api.client.runs.create(thread, "steps", input={})
        sample = await metrics_of(api)
        waits = (await api.client.runs.get(thread, run["run_id"]))["status"]
        async with executing(alone):
            values = await api.client.runs.join(thread, run["run_id"])

    assert waits == "pending"
    assert (sample.slots, sample.waiting, sample.arrived) == (0, 1, 1)
    assert values == WHOLE


async def test_what_executes_answers_the_probes_and_nothing_else(api: Replica, worker: Replica) -> None:
    async with httpx.AsyncClient() as http:
        statuses = [
            [(await http.get(f"{replica.url}{path}")).status_code for replica in (api, worker)]
            for path in ("/ok", "/ready", "/metrics", "/info", "/openapi.json")
        ]
        refused = await http.post(f"{worker.url}/threads", json={})

    assert statuses == [[200, 200], [200, 200], [200, 200], [200, 404], [200, 404]]
    assert refused.status_code == 404
    assert "only executes runs" in refused.text


async def test_a_run_is_executed_by_the_worker_and_its_slots_are_the_only_ones(
    api: Replica, worker: Replica
) -> None:
    key = (await api.client.threads.create())["thread_id"]
    run = await api.client.runs.create(key, "slow", input={"text": key})
    await entrance(key).wait()
    samples = [await metrics_of(each) for each in (api, worker)]
    gate(key).set()

    values = await api.client.runs.join(key, run["run_id"])

    assert values["steps"] == SLOW
    assert [(each.slots, each.in_use) for each in samples] == [(0, 0), (50, 1)]


async def test_a_stream_brings_each_step_where_there_is_redis_and_else_the_result(
    apart: Settings, api: Replica, worker: Replica
) -> None:
    key = (await api.client.threads.create())["thread_id"]
    gate(key).set()

    stream = api.client.runs.stream(key, "slow", input={"text": key}, stream_mode=["updates"])
    parts = [part async for part in stream]

    if apart.redis_uri is None:
        assert [(part.event, part.data.get("steps")) for part in parts] == [("values", SLOW)]
    else:
        assert [part.event for part in parts] == ["metadata", "updates", "updates", "updates"]


async def test_who_waits_gets_the_result_and_who_cancels_ends_the_run(api: Replica, worker: Replica) -> None:
    values = await api.client.runs.wait(None, "steps", input={})
    key = (await api.client.threads.create())["thread_id"]
    run = await api.client.runs.create(key, "slow", input={"text": key})
    await entrance(key).wait()

    await api.client.runs.cancel(key, run["run_id"], wait=True)

    assert values == WHOLE
    assert (await api.client.runs.get(key, run["run_id"]))["status"] == "interrupted"


async def test_who_waits_at_a_replica_that_stops_gets_the_result(
    apart: Settings, worker: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LAST_ANSWERS_SECONDS", 0)
    key = str(uuid4())

    async def closed(url: str) -> bool:
        try:
            async with httpx.AsyncClient(base_url=url) as http:
                await http.get("/ok")
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            return False  # taken by the listener, and cut as that was closed
        return False

    async with httpx.AsyncClient(timeout=60) as http:
        async with answering(replace(apart, drain_seconds=60.0), "leaving") as leaving:
            asked = {"assistant_id": "slow", "input": {"text": key}}
            waiting = asyncio.create_task(http.post(f"{leaving.url}/runs/wait", json=asked))
            await entrance(key).wait()

            async def goes_on() -> None:
                await until(lambda: closed(leaving.url), "the replica takes no more requests")
                gate(key).set()

            going = asyncio.create_task(goes_on())
        values = (await waiting).json()
        await going

    assert values["steps"] == SLOW


async def test_a_graph_asks_its_own_service_from_where_it_is_executed(api: Replica, worker: Replica) -> None:
    values = await api.client.runs.wait(None, "in_node", input={"times": 2})

    assert len(values["told"]) == 2


async def test_urgent_runs_that_came_without_a_worker_are_executed_first(alone: Settings) -> None:
    async with answering(alone) as api:
        keys = {}
        async with httpx.AsyncClient(base_url=api.url) as http:
            for priority in ("low", "normal", "high"):
                keys[priority] = (await http.post("/threads", json={})).json()["thread_id"]
                asked = {"assistant_id": "slow", "input": {"text": keys[priority]}}
                headers = {"X-LGS-Priority": priority}
                await http.post(f"/threads/{keys[priority]}/runs", json=asked, headers=headers)
        async with executing(replace(alone, concurrency=1)):
            begun = []
            for priority in ("high", "normal", "low"):
                await entrance(keys[priority]).wait()
                begun.append([each for each in keys if entrance(keys[each]).is_set()])
                gate(keys[priority]).set()
            for key in keys.values():
                await until(lambda key=key: ended(api, key), "the run ends")

    assert begun == [["high"], ["normal", "high"], ["low", "normal", "high"]]


async def ended(api: Replica, thread: str) -> bool:
    (run,) = await api.client.runs.list(thread)
    return run["status"] == "success"


async def test_what_a_full_queue_refuses_is_told_without_a_worker(alone: Settings) -> None:
    async with answering(replace(alone, queue_limits=QueueLimits(normal=1))) as api:
        await api.client.runs.create(None, "steps", input={})
        async with httpx.AsyncClient(base_url=api.url) as http:
            refused = await http.post("/runs", json={"assistant_id": "steps", "input": {}})
        sample = await metrics_of(api)

    assert refused.status_code == 429
    assert (sample.arrived, sample.rejected, sample.waiting) == (1, 1, 1)


async def test_a_cron_that_is_to_come_is_told_and_one_that_is_due_becomes_demand_without_a_worker(
    alone: Settings,
) -> None:
    async with answering(alone) as api:
        cron = await api.client.crons.create("steps", schedule="0 0 1 1 *", input={})
        to_come = (await api.services.storage.queue.depth()).next_due_seconds
        past = await api.services.storage.now() - timedelta(seconds=1)
        await api.services.storage.crons.update(cron["cron_id"], {"next_run_date": past})
        await until(lambda: stored(api), "the cron's run waits")

        sample = await metrics_of(api)

    assert to_come is not None and to_come > 0
    assert (sample.waiting, sample.arrived) == (1, 1)


async def stored(api: Replica) -> bool:
    return (await api.services.storage.queue.depth()).normal.waiting == 1


async def test_what_a_lost_worker_left_waits_again_without_another_one(alone: Settings) -> None:
    # Its only slot stays taken, and no heartbeat of it comes before its lease is found to have run out.
    lost = replace(alone, concurrency=1, lease_seconds=3600.0)
    async with answering(alone) as api, executing(lost, "lost"):
        key = (await api.client.threads.create())["thread_id"]
        run = await api.client.runs.create(key, "slow", input={"text": key})
        await entrance(key).wait()
        end_lease(alone.database_uri, "lost")
        reaper = Reaper(
            api.services.storage,
            api.services.checkpointer,
            api.services.streams,
            api.services.notifier,
            api.services.metrics,
            replica="answers",
            max_attempts=3,
        )
        await reaper.reap_once()
        status = (await api.client.runs.get(key, run["run_id"]))["status"]
        gate(key).set()

    assert status == "pending"


async def test_only_what_executes_is_warmed_up(alone: Settings) -> None:
    warmed = replace(alone, warmup=Warmup((WarmupInput("inputs[0]", {}, "steps"),)))

    async with answering(warmed) as api, executing(warmed) as worker:
        done = [each.services.cache.warmup for each in (api, worker)]

    assert [(each.state, each.done) for each in done] == [("none", 0), ("done", 1)]


@pytest.mark.parametrize("shared", [True, False], ids=["redis", "no redis"])
async def test_a_circuit_that_opens_where_runs_fail_refuses_new_ones_where_they_come(
    alone: Settings, redis_service: str, shared: bool
) -> None:
    alone = replace(alone, redis_uri=redis_service if shared else None)
    outside.reset()
    outside.error = partial(ConnectionError, "the model is away")
    settings = guarded(alone)
    async with answering(settings) as api, executing(settings) as worker:
        for _ in range(POLICY.minimum_calls):
            await api.client.runs.wait(None, "dependent", input={}, raise_error=False)
        await until(lambda: is_open(worker), "the circuit opens")
        if shared:
            await until(lambda: is_open(api), "the circuit is open where requests come")
        async with httpx.AsyncClient(base_url=api.url) as http:
            answer = await http.post("/runs", json={"assistant_id": "dependent", "input": {}})
    outside.reset()

    # Without Redis only those that execute know: the run is kept until the circuit lets it through.
    assert answer.status_code == (503 if shared else 200)


async def is_open(replica: Replica) -> bool:
    circuits = replica.services.circuits.all()
    return any(each.name == "dependent" and each.phase is Phase.OPEN for each in circuits)
