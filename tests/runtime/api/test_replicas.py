"""Two replicas on one database: a client may reach either; and what a replica reports of itself."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica

from lgs_runtime.readiness import State
from lgs_runtime.settings import Settings

pytestmark = pytest.mark.usefixtures("unhurried")


async def test_a_run_on_one_replica_is_joined_and_streamed_on_the_other(
    replica: Replica, other: Replica
) -> None:
    key = (await replica.client.threads.create())["thread_id"]
    run = await replica.client.runs.create(key, "slow", input={"text": key}, stream_mode=["updates"])
    parts = []

    async for part in other.client.runs.join_stream(key, run["run_id"], last_event_id="-1"):
        parts.append(part)
        if part.event == "updates":
            await entrance(key).wait()
            gate(key).set()
    values = await other.client.runs.join(key, run["run_id"])

    assert [part.event for part in parts] == ["metadata", "updates", "updates", "updates"]
    assert values["steps"] == ["first", "waited", "second"]


async def test_without_redis_a_machine_that_does_not_run_a_run_tells_its_result(alone: Settings) -> None:
    apart = replace(alone, redis_uri=None, reuse_port=False)
    async with open_replica(replace(apart, replica_id="runs")) as runs:
        key = (await runs.client.threads.create())["thread_id"]
        run = await runs.client.runs.create(key, "slow", input={"text": key}, stream_mode=["updates"])
        await entrance(key).wait()
        async with open_replica(replace(apart, replica_id="asked")) as asked:
            gate(key).set()
            told = asked.client.runs.join_stream(key, run["run_id"], last_event_id="-1")
            parts = [part async for part in told]

    assert [(part.event, part.data["steps"]) for part in parts] == [("values", ["first", "waited", "second"])]


async def test_a_run_is_made_from_the_assistant_as_another_replica_left_it(
    replica: Replica, other: Replica
) -> None:
    made = await replica.client.assistants.create("steps", metadata={"mark": "old"})
    first = await replica.client.runs.create(None, made["assistant_id"], input={"text": "a"})
    await other.client.assistants.update(made["assistant_id"], metadata={"mark": "new"})

    second = await replica.client.runs.create(None, made["assistant_id"], input={"text": "a"})

    assert (first["metadata"]["mark"], second["metadata"]["mark"]) == ("old", "new")


async def test_a_run_is_stopped_through_the_other_replica(replica: Replica, other: Replica) -> None:
    key = (await replica.client.threads.create())["thread_id"]
    run = await replica.client.runs.create(key, "slow", input={"text": key})
    await entrance(key).wait()

    await other.client.runs.cancel(key, run["run_id"], wait=True)

    assert (await replica.client.runs.get(key, run["run_id"]))["status"] == "interrupted"


async def test_a_replica_that_drains_still_takes_requests_for_the_others(
    replica: Replica, other: Replica
) -> None:
    other.services.readiness.state = State.DRAINING

    values = await other.client.runs.wait(None, "steps", input={})

    assert values == {"steps": ["first", "second"]}
    async with httpx.AsyncClient(base_url=other.url) as http:
        ready = await http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["queue"] == "draining"
        assert (await http.get("/ok")).json() == {"ok": True}


async def test_a_replica_tells_what_it_is(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url) as http:
        info = (await http.get("/info")).json()
        ready = await http.get("/ready")
        checked = await http.get("/ok?check_db=1")
        metrics = await http.get("/metrics")
        described = (await http.get("/openapi.json")).json()
        docs = await http.get("/docs")

    assert info["flags"]["assistants"] is True
    assert "steps" in info["graphs"]
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert checked.status_code == docs.status_code == 200
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "lgs_queue_depth" in metrics.text
    assert "/threads/{thread_id}/runs/stream" in described["paths"]


async def test_arrivals_and_refusals_are_counted(replica: Replica) -> None:
    def arrived(text: str) -> float:
        name = 'lgs_runs_arrived_total{priority="low"} '
        return next(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

    async with httpx.AsyncClient(base_url=replica.url) as http:
        before = arrived((await http.get("/metrics")).text)
        await http.post(
            "/runs/wait", json={"assistant_id": "steps", "input": {}}, headers={"X-LGS-Priority": "low"}
        )
        await http.post(f"/threads/{uuid4()}/runs", json={"assistant_id": "steps"})
        after = arrived((await http.get("/metrics")).text)

    assert after == before + 1


async def test_a_stream_goes_on_when_its_run_moves_to_another_replica(alone: Settings) -> None:
    parts = []
    async with open_replica(replace(alone, replica_id="leaving")) as leaving:
        key = (await leaving.client.threads.create())["thread_id"]
        run = await leaving.client.runs.create(key, "slow", input={"text": key}, stream_mode=["updates"])
        await entrance(key).wait()
        entrance(key).clear()
        async with open_replica(replace(alone, replica_id="staying")) as staying:
            stream = leaving.client.runs.join_stream(key, run["run_id"], last_event_id="-1")

            async for part in stream:
                parts.append((part.event, part.data))
                if part.event == "updates" and "first" in part.data:
                    await leaving.services.worker.drain(0)
                    await entrance(key).wait()
                    gate(key).set()

            assert await staying.client.runs.join(key, run["run_id"]) == {
                "steps": ["first", "waited", "second"],
                "text": key,
            }
    names = [name for name, _ in parts]
    assert names == ["metadata", "updates", "metadata", "updates", "updates"]
    assert [next(iter(data)) for name, data in parts if name == "updates"] == ["first", "waits", "second"]
