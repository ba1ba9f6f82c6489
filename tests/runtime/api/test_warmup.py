"""The warm-up: what is run before a replica takes work, what it leaves, and what it never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import api_cached
import api_graphs
import httpx
import pytest
from api_replicas import Replica, open_replica
from structlog.testing import capture_logs

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.graphs.warmup_section import MOST_SECONDS, Warmup, WarmupInput
from lgs_runtime.settings import Settings
from lgs_runtime.warmup import warm_up
from support.caches import listening

pytestmark = pytest.mark.usefixtures("unhurried")
NODE = "cached/look_up"
ASKED = {"question": "a"}


@pytest.fixture
def alone(alone: Settings) -> Settings:
    """A service with graphs that cache, report, raise, ask a person and wait."""
    graphs = {name: GraphSpec(f"api_graphs:{name}") for name in ("broken", "asks", "slow")}
    caching = {"cached": GraphSpec("api_cached:graph"), "tells": GraphSpec("api_cached:tells")}
    return replace(alone, graphs={**caching, **graphs})


def warmed(settings: Settings, *inputs: tuple[str | None, Any], **more: Any) -> Settings:
    given = tuple(WarmupInput(f"inputs[{at}]", given, name) for at, (name, given) in enumerate(inputs))
    return replace(settings, warmup=Warmup(given, **{"timeout_seconds": MOST_SECONDS, **more}))


async def told(replica: Replica) -> Mapping[str, Any]:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        found: Mapping[str, Any] = (await http.get("/cache/stats")).json()
        return found


async def asked(replica: Replica) -> None:
    assert await replica.client.runs.wait(None, "cached", input=ASKED)


def counts(found: Mapping[str, Any]) -> dict[str, int]:
    return {name: found["warmup"][name] for name in ("named", "done", "failed", "left")}


async def test_what_was_run_before_is_a_hit_and_has_left_no_thread(alone: Settings) -> None:
    async with open_replica(warmed(alone, ("cached", ASKED))) as replica:
        threads = await replica.client.threads.search()
        await asked(replica)
        found = await told(replica)
        async with httpx.AsyncClient(base_url=replica.url) as http:
            metrics = (await http.get("/metrics")).text

    assert threads == []
    assert (found["namespaces"][NODE]["hits"], found["namespaces"][NODE]["misses"]) == (1, 1)
    assert found["warmup"]["state"] == "done"
    assert counts(found) == {"named": 1, "done": 1, "failed": 0, "left": 0}
    assert 'lgs_cache_warmup_inputs{result="done"} 1.0' in metrics


async def test_what_fails_is_counted_and_told_and_the_replica_takes_work(alone: Settings) -> None:
    inputs = [("broken", {"text": "a"}), ("lost", {}), (None, {}), ("asks", {}), ("cached", ASKED)]
    with capture_logs() as logs:
        async with open_replica(warmed(alone, *inputs)) as replica:
            await asked(replica)
            found = await told(replica)

    assert counts(found) == {"named": 5, "done": 2, "failed": 3, "left": 0}
    said = {line["input"]: line["reason"] for line in logs if line["event"] == "cache.warmup_failed"}
    assert said["inputs[0]"] == "ValueError: no a today"
    assert "lost" in said["inputs[1]"]
    assert "must be named" in said["inputs[2]"]


class Aborted(BaseException):
    """As some libraries end a task by."""


async def test_one_that_ends_by_no_error_is_counted_and_ends_no_other(
    alone: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: dict[str | None, BaseException] = {
        "aborts": Aborted(),
        "cancels": asyncio.CancelledError(),
        "exits": SystemExit(3),
        "groups": BaseExceptionGroup("several", [Aborted()]),
    }

    async def run(_runs: object, given: WarmupInput) -> None:
        await asyncio.sleep(0)
        if given.assistant in raised:
            raise raised[given.assistant]
        await asyncio.sleep(0.01)

    monkeypatch.setattr("lgs_runtime.warmup._Runs._run", run)
    async with open_replica(warmed(alone, *((name, {}) for name in (*raised, "cached")))) as replica:
        found = await told(replica)

    assert counts(found) == {"named": 5, "done": 1, "failed": 4, "left": 0}


async def test_when_the_time_is_up_the_replica_takes_work(alone: Settings) -> None:
    held = f"warmup-{alone.service}"
    async with open_replica(warmed(alone, ("slow", {"text": held}), timeout_seconds=0.5)) as replica:
        await asked(replica)
        found = await told(replica)

    assert found["warmup"]["state"] == "done"
    assert counts(found) == {"named": 1, "done": 0, "failed": 0, "left": 1}


async def test_a_replica_that_is_to_stop_does_not_wait_for_its_warm_up(alone: Settings) -> None:
    held, stop = f"stopped-{alone.service}", asyncio.Event()
    async with open_replica(alone) as replica:
        services = replace(replica.services, settings=warmed(alone, ("slow", {"text": held})))
        warming = asyncio.create_task(warm_up(services, stop))
        await asyncio.wait_for(api_graphs.entrance(held).wait(), 60)
        assert services.cache.warmup.state == "running"
        stop.set()
        await asyncio.wait_for(warming, 60)

    assert services.cache.warmup.left == 1


async def test_a_file_has_more_of_them_each_with_the_context_that_a_request_would_give(
    alone: Settings,
) -> None:
    lines = [
        {"assistant": "tells", "input": {"question": alone.service}, "context": {"city": "Bonn"}},
        {"assistant": "cached", "input": ASKED},
    ]
    text = "\n".join([*map(json.dumps, lines), "", "{"])
    (alone.source / "warmup.jsonl").write_text(text, "utf-8-sig")
    with capture_logs() as logs:
        async with open_replica(warmed(alone, file="warmup.jsonl")) as replica:
            await asked(replica)
            found = await told(replica)

    assert counts(found) == {"named": 3, "done": 2, "failed": 1, "left": 0}
    assert found["namespaces"][NODE]["hits"] == 1
    assert (alone.service, {"city": "Bonn"}, None) in api_cached.ran
    assert any("warmup.jsonl:4" in str(line.get("reason")) for line in logs)


@pytest.mark.parametrize(
    "make", [lambda path: None, Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe\xff")]
)
async def test_a_file_that_can_not_be_read_costs_its_inputs_and_no_start(alone: Settings, make: Any) -> None:
    make(alone.source / "warmup.jsonl")

    async with open_replica(warmed(alone, ("cached", ASKED), file="warmup.jsonl")) as replica:
        found = await told(replica)

    assert counts(found) == {"named": 2, "done": 1, "failed": 1, "left": 0}


async def test_an_assistant_is_run_with_what_it_is_configured_with_and_for_nobody(alone: Settings) -> None:
    async with open_replica(alone) as replica:
        made = await replica.client.assistants.create("tells", context={"city": "Bonn"})
        given = (made["assistant_id"], {"question": alone.service})
        await warm_up(replace(replica.services, settings=warmed(alone, given)), asyncio.Event())

    assert api_cached.ran.count((alone.service, {"city": "Bonn"}, None)) == 1


async def test_what_redis_has_already_no_replica_computes_again(alone: Settings) -> None:
    if alone.redis_uri is None:
        pytest.skip("replicas share a cache through Redis")
    settings = warmed(alone, ("cached", ASKED))
    async with open_replica(settings), open_replica(replace(alone, replica_id="b")) as other:
        await listening(other.services.cache)
        await warm_up(replace(other.services, settings=settings), asyncio.Event())
        found = await told(other)

    counted = found["namespaces"][NODE]
    assert (counted["hits"], counted["misses"]) == (1, 0)
