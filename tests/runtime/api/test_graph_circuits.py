"""The circuit breaker around a graph: when it opens, what it refuses then, and what waits until it closes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_dependency import FAILURES, POLICY, guarded, outside
from api_replicas import Replica, open_replica, settings_of
from redis import Redis

from lgs_runtime.background.cron_scheduler import CronScheduler
from lgs_runtime.breaker.redis_sharing import RedisSharing
from lgs_runtime.breaker.state_machine import Phase, Result, changed
from lgs_runtime.graphs.circuits import GraphCircuits
from lgs_runtime.settings import Settings
from support.clock import Clock
from support.redis import RedisServer
from support.servers import running
from support.waiting import until

AWAY = partial(ConnectionError, "the model is away")


@pytest.fixture
def clock() -> Clock:
    outside.reset()
    return Clock(1000.0)


@pytest.fixture
def breaking(circuits: Replica, clock: Clock) -> Replica:
    """A replica whose circuits are closed, and go by the test's clock."""
    return on(clock, circuits)


def on(clock: Clock, replica: Replica) -> Replica:
    for circuit in replica.services.circuits.all():
        circuit.clock = clock
        circuit.change(lambda state, now: changed(state, Phase.CLOSED, now))
    return replica


def phase_of(replica: Replica, graph: str = "dependent") -> Phase:
    return next(one.phase for one in replica.services.circuits.all() if one.name == graph)


async def run_to_its_end(replica: Replica, graph: str, **asked: Any) -> str:
    """How a run ended, on a thread of its own."""
    thread = (await replica.client.threads.create())["thread_id"]
    run = await replica.client.runs.create(thread, graph, **{"input": {}, **asked})
    await replica.client.runs.join(thread, run["run_id"])
    return (await replica.client.runs.get(thread, run["run_id"]))["status"]


async def opened(replica: Replica) -> None:
    """What the graph depends on becomes sick, and its circuit opens."""
    outside.error = AWAY
    for _ in range(POLICY.minimum_calls):
        assert await run_to_its_end(replica, "dependent") == "error"
    assert phase_of(replica) is Phase.OPEN


async def refused(replica: Replica) -> str:
    """When a run that was refused may be tried again."""
    async with httpx.AsyncClient(base_url=replica.url) as http:
        answer = await http.post("/runs", json={"assistant_id": "dependent", "input": {}})
    assert answer.status_code == 503
    return answer.headers["Retry-After"]


async def stored(replica: Replica) -> int:
    """Threads and runs that there are."""
    threads = await replica.client.threads.search(limit=100)
    runs = [await replica.client.runs.list(thread["thread_id"]) for thread in threads]
    return len(threads) + sum(map(len, runs))


WAYS: dict[str, Any] = {
    "background": ("/threads/{thread}/runs", {"assistant_id": "dependent", "input": {}}),
    "wait": ("/threads/{thread}/runs/wait", {"assistant_id": "dependent", "input": {}}),
    "stream": ("/threads/{thread}/runs/stream", {"assistant_id": "dependent", "input": {}}),
    "made with its thread": (
        "/threads/00000000-0000-4000-8000-000000000001/runs",
        {"assistant_id": "dependent", "input": {}, "if_not_exists": "create"},
    ),
    "stateless": ("/runs", {"assistant_id": "dependent", "input": {}}),
    "stateless wait": ("/runs/wait", {"assistant_id": "dependent", "input": {}}),
    "stateless stream": ("/runs/stream", {"assistant_id": "dependent", "input": {}}),
    "batch": ("/runs/batch", [{"assistant_id": one, "input": {}} for one in ("beside", "dependent")]),
    "interrupt": (
        "/threads/{thread}/runs",
        {"assistant_id": "dependent", "input": {}, "multitask_strategy": "interrupt"},
    ),
    "later": ("/threads/{thread}/runs", {"assistant_id": "dependent", "input": {}, "after_seconds": 60}),
}


async def test_an_open_circuit_refuses_runs_made_in_any_way_before_anything_is_stored(
    breaking: Replica,
) -> None:
    await opened(breaking)
    thread = (await breaking.client.threads.create())["thread_id"]
    before, calls = await stored(breaking), outside.calls

    async with httpx.AsyncClient(base_url=breaking.url) as http:
        answers = {
            way: await http.post(path.format(thread=thread), json=body) for way, (path, body) in WAYS.items()
        }

    assert {way: answer.status_code for way, answer in answers.items()} == dict.fromkeys(WAYS, 503)
    assert {answer.headers["Retry-After"] for answer in answers.values()} == {"30"}
    detail = answers["wait"].json()["detail"]
    assert detail == (
        "graph 'dependent': too many of its runs have failed; its circuit breaker is open: try again in 30 s"
    )
    assert (await stored(breaking), outside.calls) == (before, calls)


async def test_protocols_say_it_in_their_own_words(breaking: Replica) -> None:
    await opened(breaking)
    before = await stored(breaking)
    tool = {"name": "dependent", "arguments": {}}
    message = {"message": {"role": "user", "messageId": "1", "parts": [{"kind": "data", "data": {}}]}}
    agent = next(
        one["assistant_id"]
        for one in await breaking.client.assistants.search()
        if one["graph_id"] == "dependent"
    )

    async with httpx.AsyncClient(base_url=breaking.url) as http:
        headers = {"Accept": "application/json, text/event-stream"}
        mcp, a2a, streamed = [
            await http.post(path, json={"jsonrpc": "2.0", "id": 1, **call}, headers=headers)
            for path, call in (
                ("/mcp/", {"method": "tools/call", "params": tool}),
                (f"/a2a/{agent}", {"method": "message/send", "params": message}),
                (f"/a2a/{agent}", {"method": "message/stream", "params": message}),
            )
        ]

    for answer in (mcp, a2a, streamed):
        assert "circuit breaker is open: try again in 30 s" in answer.text, answer.text
    assert await stored(breaking) == before


async def fails_elsewhere(replica: Replica) -> None:
    """The circuit opens while runs of its graph are held."""
    for _ in range(POLICY.minimum_calls):
        permit = replica.services.circuits.admit("dependent")
        assert permit is not None
        permit.end(Result.FAILURE)
    assert phase_of(replica) is Phase.OPEN


async def test_runs_that_wait_are_kept_and_executed_when_it_closes_by_bounded_probes(
    alone: Settings, clock: Clock
) -> None:
    async with open_replica(replace(guarded(alone), concurrency=4)) as replica:
        client, runs = on(clock, replica).client, replica.client.runs
        outside.free.clear()
        threads = [(await client.threads.create())["thread_id"] for _ in range(10)]
        made = [(await runs.create(thread, "dependent", input={}))["run_id"] for thread in threads]
        await until(lambda: outside.under_way == 4)
        await fails_elsewhere(replica)
        outside.free.set()
        for thread, run in list(zip(threads, made, strict=True))[:4]:
            await runs.join(thread, run)

        # Slots are free, and other graphs' runs are claimed past those that wait.
        assert await runs.wait(None, "beside", input={}) == {"steps": ["stood"]}
        depth = await replica.services.storage.queue.depth()
        assert (outside.calls, depth.unserved, depth.normal.waiting) == (4, {"dependent": 6}, 0)

        outside.most = 0
        outside.free.clear()
        clock.now += 30
        await until(lambda: outside.under_way == POLICY.probes)
        assert phase_of(replica) is Phase.HALF_OPEN
        assert await refused(replica) == "1"
        assert await runs.wait(None, "beside", input={}) == {"steps": ["stood"]}
        assert outside.most == POLICY.probes
        outside.free.set()
        for thread, run in zip(threads, made, strict=True):
            await runs.join(thread, run)

        ended = [(await runs.get(thread, run))["status"] for thread, run in zip(threads, made, strict=True)]
        assert ended == ["success"] * 10
        assert (await replica.services.storage.queue.depth()).unserved == {}
        assert await run_to_its_end(replica, "dependent") == "success"


async def test_a_probe_that_fails_opens_it_again_for_the_whole_recovery_time(
    breaking: Replica, clock: Clock
) -> None:
    await opened(breaking)
    clock.now += 30

    assert await run_to_its_end(breaking, "dependent") == "error"

    assert phase_of(breaking) is Phase.OPEN
    assert await refused(breaking) == "30"


async def test_a_probe_that_is_cancelled_gives_its_place_to_the_next(breaking: Replica, clock: Clock) -> None:
    await opened(breaking)
    clock.now += 30
    outside.error = None
    for _ in range(2 * POLICY.probes):
        outside.free.clear()
        thread = (await breaking.client.threads.create())["thread_id"]
        run = await breaking.client.runs.create(thread, "dependent", input={})
        await until(lambda: outside.under_way == 1)
        await breaking.client.runs.cancel(thread, run["run_id"], wait=True)
    outside.free.set()

    assert phase_of(breaking) is Phase.HALF_OPEN
    for _ in range(POLICY.probes):
        assert await run_to_its_end(breaking, "dependent") == "success"
    assert phase_of(breaking) is Phase.CLOSED


async def test_what_a_user_got_wrong_is_no_failure_of_the_graph(breaking: Replica) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("dependent", {"input": {"kind": "bad question"}}, "error"),  # An error that is ignored.
        ("dependent", {"input": {"kind": "refused"}}, "error"),  # A server's 400.
        ("dependent", {"input": {"kind": "asks"}}, "success"),  # It waits for a person.
        ("dependent", {"input": "text"}, "error"),
        ("dependent", {"input": {}, "config": {"recursion_limit": 1}}, "error"),
        ("dependent", {"input": {"kind": "goes in a circle"}}, "error"),
        ("dependent", {"input": {"kind": "raises what the limit does"}}, "error"),
        ("strict", {"input": {"number": "many"}}, "error"),
        # An edge from the start has the input read, as if a node did it.
        ("strict_at_once", {"input": {"number": "many"}}, "error"),
        ("told", {"input": {"messages": [{"role": "nobody", "content": "hi"}]}}, "error"),
        ("told", {"input": {"messages": [{"type": "remove", "id": "none", "content": ""}]}}, "error"),
    ]
    for graph, asked, status in wrong:
        for _ in range(POLICY.minimum_calls):
            assert await run_to_its_end(breaking, graph, **asked) == status, asked

    for circuit in breaking.services.circuits.all():
        assert circuit.phase is Phase.CLOSED, circuit.name
        assert sum(bucket.counts.failures for bucket in circuit.state.window) == 0, circuit.name


@pytest.mark.parametrize("how", sorted(FAILURES))
async def test_what_a_node_raises_is_a_failure_with_its_own_words_though_it_can_not_be_asked(
    breaking: Replica, how: str
) -> None:
    """And a cancellation that nobody asked for."""
    client = breaking.client
    for _ in range(POLICY.minimum_calls):
        thread = (await client.threads.create())["thread_id"]
        run = await client.runs.create(thread, "dependent", input={"kind": how})
        await client.runs.join(thread, run["run_id"])

    said = str((await client.threads.get(thread))["error"])
    assert FAILURES[how].__name__ in said
    assert phase_of(breaking) is Phase.OPEN


async def test_a_run_that_is_cancelled_or_handed_back_is_no_failure(alone: Settings) -> None:
    outside.reset()
    outside.free.clear()
    async with open_replica(guarded(alone)) as replica:
        for _ in range(POLICY.minimum_calls):
            thread = (await replica.client.threads.create())["thread_id"]
            run = await replica.client.runs.create(thread, "dependent", input={})
            await until(lambda: outside.under_way == 1)
            await replica.client.runs.cancel(thread, run["run_id"], wait=True)
        for _ in range(POLICY.minimum_calls):
            await replica.client.runs.create(None, "dependent", input={})
        await until(lambda: outside.under_way == POLICY.minimum_calls)

        await replica.services.worker.drain(0.0)

        assert outside.under_way == 0
        assert phase_of(replica) is Phase.CLOSED


async def test_a_graph_that_takes_too_long_or_can_not_be_made_has_failed(alone: Settings) -> None:
    outside.reset()
    outside.error = AWAY
    async with open_replica(guarded(alone)) as replica:
        for _ in range(POLICY.minimum_calls):
            assert await run_to_its_end(replica, "made") == "error"
        replica.services.worker._executor._timeout_seconds = 0.2
        outside.error = None
        outside.free.clear()
        for _ in range(POLICY.minimum_calls):
            assert await run_to_its_end(replica, "dependent") == "timeout"

        assert (phase_of(replica, "made"), phase_of(replica)) == (Phase.OPEN, Phase.OPEN)


async def test_a_cron_that_is_due_waits_and_makes_its_run_later(breaking: Replica, clock: Clock) -> None:
    cron: Any = await breaking.client.crons.create("dependent", schedule="0 0 1 1 *", input={})
    await opened(breaking)
    before = await stored(breaking)
    held = await breaking.services.storage.crons.get(cron["cron_id"])
    due = replace(held, next_run_date=datetime.now(UTC))
    scheduler = CronScheduler(breaking.services)

    assert await scheduler._fire(due) is False
    assert await stored(breaking) == before
    assert (await breaking.services.storage.crons.get(cron["cron_id"])).next_run_date == held.next_run_date
    outside.error = None
    clock.now += 30
    circuit = next(one for one in breaking.services.circuits.all() if one.name == "dependent")
    succeeded = circuit.results[Result.SUCCESS]

    assert await scheduler._fire(due) is True
    await until(lambda: circuit.results[Result.SUCCESS] == succeeded + 1)
    # Its thread goes with it, and other tests count threads.
    await until(lambda: not breaking.services.worker.running())


async def test_the_metrics_tell_state_transitions_results_and_refusals(
    breaking: Replica, clock: Clock
) -> None:
    async def shown() -> dict[str, float]:
        async with httpx.AsyncClient(base_url=breaking.url) as http:
            page = (await http.get("/metrics")).text
        lines = [
            line for line in page.splitlines() if line.startswith("lgs_circuit") and '"dependent"' in line
        ]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    before = await shown()
    await opened(breaking)
    await refused(breaking)
    after = await shown()

    of = 'circuit="dependent",kind="graph"'
    assert (
        after[f'lgs_circuit_state{{{of},state="open"}}'],
        after[f'lgs_circuit_state{{{of},state="closed"}}'],
    ) == (1, 0)
    gained = {
        name: after[name] - before[name] for name in after if "_total" in name and after[name] > before[name]
    }
    assert gained == {
        f'lgs_circuit_transitions_total{{{of},state="open"}}': 1,
        f'lgs_circuit_calls_total{{{of},result="failure"}}': POLICY.minimum_calls,
        f"lgs_circuit_rejected_total{{{of}}}": 1,
    }


async def test_a_run_of_the_streaming_protocol_is_refused_too(breaking: Replica) -> None:
    await opened(breaking)
    before = await stored(breaking)
    start = {"id": 1, "method": "run.start", "params": {"assistant_id": "dependent", "input": {}}}

    async with httpx.AsyncClient(base_url=breaking.url) as http:
        answer = await http.post("/threads/00000000-0000-4000-8000-000000000002/commands", json=start)

    assert answer.status_code == 503, answer.text
    assert await stored(breaking) == before


RECOVERY = 3000
"""Seconds. Replicas measure by Redis' clock, which no test sets, how long a circuit has been open."""


def recovering_slowly(settings: Settings) -> Settings:
    slow = replace(POLICY, recovery_timeout=RECOVERY)
    return replace(
        settings, circuits={name: replace(each, policy=slow) for name, each in settings.circuits.items()}
    )


async def test_replicas_with_a_redis_open_and_close_together(
    postgres_uri: str, redis_uri: str, tmp_path: Path, clock: Clock
) -> None:
    settings = settings_of(tmp_path, {"database_uri": postgres_uri, "redis_uri": redis_uri})
    service = recovering_slowly(guarded(settings))
    async with open_replica(service) as one, open_replica(replace(service, replica_id="b")) as two:
        on(clock, one)
        on(clock, two)
        await opened(one)

        await until(lambda: phase_of(two) is Phase.OPEN)
        assert RECOVERY // 2 <= int(await refused(two)) <= RECOVERY
        outside.error = None
        clock.now += RECOVERY + 1
        for _ in range(POLICY.probes):
            assert await run_to_its_end(two, "dependent") == "success"

        await until(lambda: phase_of(one) is Phase.CLOSED)
        assert await run_to_its_end(one, "dependent") == "success"


@pytest.fixture
def late_exchanges(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis whose answer comes after all that a start does meanwhile."""
    exchange = RedisSharing.exchange

    async def late(sharing: RedisSharing) -> None:
        await asyncio.sleep(0.3)
        await exchange(sharing)

    monkeypatch.setattr(RedisSharing, "exchange", late)


@pytest.mark.usefixtures("late_exchanges")
async def test_runs_that_wait_outlive_a_restart_and_a_redis_that_goes_while_the_circuit_is_open(
    postgres_uri: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.opening.GraphCircuits", partial(GraphCircuits, clock=clock))
    with running(RedisServer()) as redis:
        settings = settings_of(tmp_path, {"database_uri": postgres_uri, "redis_uri": redis.uri})
        service = replace(recovering_slowly(guarded(settings)), concurrency=3)

        async with open_replica(service) as replica:
            outside.free.clear()
            threads = [(await replica.client.threads.create())["thread_id"] for _ in range(9)]
            for thread in threads:
                await replica.client.runs.create(thread, "dependent", input={})
            await until(lambda: outside.under_way == 3)
            await fails_elsewhere(replica)
            outside.free.set()
            await until(lambda: agreed(redis, service) == "open" and not replica.services.worker.running())

        async with (
            open_replica(replace(service, replica_id="b")) as one,
            open_replica(replace(service, replica_id="c")) as two,
        ):
            assert (phase_of(one), phase_of(two)) == (Phase.OPEN, Phase.OPEN)
            assert await one.client.runs.wait(None, "beside", input={}) == {"steps": ["stood"]}
            depth = await one.services.storage.queue.depth()
            assert (outside.calls, depth.unserved) == (3, {"dependent": 6})

            redis.stop()
            outside.free.clear()
            clock.now += RECOVERY + 1
            await until(lambda: outside.under_way == 2 * POLICY.probes)
            outside.free.set()
            await until(lambda: succeeded(one, threads))
            assert (outside.calls, outside.most) == (9, 2 * POLICY.probes)

            redis.start()
            await until(lambda: agreed(redis, service) == "closed")
            assert (phase_of(one), phase_of(two)) == (Phase.CLOSED, Phase.CLOSED)


def agreed(redis: RedisServer, service: Settings) -> str | None:
    """What Redis has of the circuit."""
    with Redis.from_url(redis.uri, decode_responses=True) as client:
        return client.hget(f"lgs:{{{service.service}}}:circuit:graph:dependent", "phase")


async def succeeded(replica: Replica, threads: list[str]) -> bool:
    """Whether the one run of each thread has, so far."""
    runs = [run for thread in threads for run in await replica.client.runs.list(thread)]
    return [run["status"] for run in runs] == ["success"] * len(threads)
