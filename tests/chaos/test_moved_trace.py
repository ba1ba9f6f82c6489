"""The trace of a run whose replica is killed, as a real collector receives it: whole, from both replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from chaos.field import Fleet, Replica
from lgs_runtime.tracing.langchain import SCOPE
from support.collector import Collector, Span, of_attempt, orphans, program
from support.leases import end_lease
from support.servers import running

STEPS = (24, 100, 400)
"""Of a run, each 0.15 s: one that ended before its replica was killed is played again with more."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    if program() is None:
        pytest.skip("otel-collector not found: run tools/setup/collector.sh")
    with running(Collector()) as server:
        yield server


@pytest.fixture
def fleet(tmp_path: Path, postgres_uri: str, redis_uri: str, collector: Collector) -> Iterator[Fleet]:
    """Two replicas whose runs are traced."""
    traced = {
        "DATABASE_URI": postgres_uri,
        "REDIS_URI": redis_uri,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "LGS_LEASE_SECONDS": "30",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
    }
    opened = Fleet(tmp_path, traced)
    try:
        opened.start(2)
        opened.wait_ready()
        yield opened
    finally:
        opened.close()


async def test_a_run_whose_replica_is_killed_has_one_whole_trace(fleet: Fleet, collector: Collector) -> None:
    run_id, killed = await moved(fleet, collector)

    spans = await asyncio.to_thread(collector.whole, run_id)

    attempts = {of_attempt(each): each for each in spans if of_attempt(each)}
    (other,) = (each.name for each in fleet.replicas)
    assert orphans(spans) == []
    assert len([each for each in spans if not each.parent_id]) == 1
    assert set(attempts) == {"lost", "success"}
    assert attempts["success"].links == (attempts["lost"].span_id,)
    assert replicas_of(spans, under=attempts["lost"]) == {killed}
    assert replicas_of(spans, under=attempts["success"]) == {other}
    # Runs alone are traced: not each probe, and each other request.
    assert {each.scope for each in collector.spans()} == {"lgs_runtime", SCOPE}
    assert {each.resource["deployment.environment"] for each in spans} == {"test"}


def replicas_of(spans: list[Span], under: Span) -> set[str]:
    """Who sent the spans of the nodes of an attempt."""
    return {
        each.resource["service.instance.id"]
        for each in spans
        if each.parent_id == under.span_id and each.name == "think"
    }


async def moved(fleet: Fleet, collector: Collector) -> tuple[str, str]:
    """A run that ended on another replica than it began on, and the name of that one, which was killed."""
    for steps in STEPS:
        run_id, killed, alive = await played(fleet, collector, steps)
        if alive:
            return run_id, killed.name
        fleet.start(1)
        fleet.wait_ready()
    raise AssertionError("each run ended before its replica could be killed")


async def played(fleet: Fleet, collector: Collector, steps: int) -> tuple[str, Replica, bool]:
    async with get_client(url=fleet.url, api_key=None, timeout=httpx.Timeout(120)) as client:
        thread_id = (await client.threads.create())["thread_id"]
        asks: Any = {"messages": [("user", "hi")], "steps": steps, "step_seconds": 0.15}
        run = await client.runs.create(thread_id, "agent", input=asks)
        run_id = run["run_id"]
        # What a replica has not sent goes with it: some of its nodes' spans are to be there.
        spans = await asyncio.to_thread(collector.wait_for, run_id, has_node)
        by = next(each.resource["service.instance.id"] for each in spans if each.name == "think")
        replica = next(each for each in fleet.replicas if each.name == by)
        fleet.end(replica)
        alive = (await client.runs.get(thread_id, run_id))["status"] == "running"
        end_lease(fleet.environment["DATABASE_URI"], replica.name)
        await client.runs.join(thread_id, run_id)
    return run_id, replica, alive


def has_node(spans: list[Span]) -> bool:
    return {"think", "run agent"} <= {each.name for each in spans}
