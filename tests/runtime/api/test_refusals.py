"""What is refused, with which status, and in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica

from lgs_runtime.model import QueueLimits
from lgs_runtime.settings import Settings

NOBODY = "d56c324a-4a00-410c-b89f-27867dfa2e0e"
"""The id of nothing. Always the same, so that the names of the tests are."""


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as opened:
        yield opened


def run(**fields: Any) -> dict[str, Any]:
    return {"assistant_id": "steps", "input": {}, **fields}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"assistant_id": None}, "assistant_id: must be given"),
        ({"stream_mode": "loud"}, "stream_mode.0: 'loud': must be 'values'"),
        ({"after_seconds": -1}, "after_seconds: -1: must be greater than or equal to 0"),
        ({"durability": "maybe"}, "durability: 'maybe': must be 'sync', 'async' or 'exit'"),
        ({"on_disconnect": 3}, "on_disconnect: 3: must be 'cancel' or 'continue'"),
        ({"config": {"recursion_limit": 0}}, "config.recursion_limit: 0: must be greater than"),
        ({"metadata": []}, "metadata: []: must be a valid dictionary"),
        ({"webhook": "ftp://x/y"}, "webhook: 'ftp://x/y': must be a URL that starts with http://"),
        ({"webhook": "http://a b/"}, "webhook: 'http://a b/': must be a URL that starts with http://"),
        ({"webhook": "/relative"}, "webhook: '/relative': must be a URL that starts with http://"),
    ],
)
async def test_a_wrong_field_is_named_with_its_value_and_rule(
    http: httpx.AsyncClient, fields: dict[str, Any], told: str
) -> None:
    answer = await http.post("/runs", json=run(**fields))

    assert answer.status_code == 422
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"assistant_id": ', 400, "must be JSON in UTF-8"),
        (b'{"assistant_id": "\xff"}', 400, "must be JSON in UTF-8"),
        (b"", 422, "body: must be given"),
        (b"[1, 2]", 422, "must be a valid dictionary"),
        (b'{"assistant_id": "st\\u0000eps"}', 422, "body.assistant_id: 'st\\x00eps': must not contain"),
        (b'{"assistant_id": "steps", "input": ' + b"[" * 200 + b"]" * 200 + b"}", 422, "nested at most 128"),
        (b'{"assistant_id": "steps", "input": "' + b"x" * 65536 + b'"}', 413, "must be at most 65536 bytes"),
    ],
)
async def test_a_body_that_cannot_be_is_refused_before_it_is_looked_at(
    http: httpx.AsyncClient, body: bytes, status: int, told: str
) -> None:
    answer = await http.post("/runs", content=body)

    assert answer.status_code == status
    assert told in answer.json()["detail"]


async def test_a_body_without_a_length_is_cut_at_the_limit(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 8192

    answer = await http.post("/runs", content=endless())

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", f"/threads/{NOBODY}", 404, "thread"),
        ("GET", f"/threads/{NOBODY}/state", 404, "thread"),
        ("GET", f"/threads/{NOBODY}/history", 404, "thread"),
        ("GET", f"/threads/{NOBODY}/runs", 404, "thread"),
        ("GET", f"/threads/{NOBODY}/runs/{NOBODY}/join", 404, "run"),
        ("GET", f"/threads/{NOBODY}/runs/{NOBODY}/stream", 404, "run"),
        ("POST", f"/threads/{NOBODY}/runs/{NOBODY}/cancel", 404, "run"),
        ("POST", f"/threads/{NOBODY}/copy", 404, "thread"),
        ("DELETE", f"/threads/{NOBODY}", 404, "thread"),
        ("GET", f"/assistants/{NOBODY}", 404, "assistant"),
        ("GET", "/assistants/nobody/schemas", 404, "assistant"),
        ("GET", "/threads/seven", 422, "thread_id: 'seven': must be a UUID"),
        ("GET", "/assistants/steps/graph?xray=deep", 422, "xray: 'deep': must be"),
        ("GET", f"/threads/{NOBODY}/runs?limit=0", 422, "limit: '0': must be"),
        ("POST", f"/threads/{NOBODY}/runs/{NOBODY}/cancel?action=stop", 422, "action: 'stop': must be"),
        ("GET", "/store/items", 422, "key: must be given"),
        ("GET", "/nowhere", 404, "Not Found"),
        ("PUT", "/ok", 405, "Method Not Allowed"),
    ],
)
async def test_what_is_not_there_or_not_allowed_is_told(
    http: httpx.AsyncClient, method: str, path: str, status: int, told: str
) -> None:
    answer = await http.request(method, path)

    assert answer.status_code == status, answer.text
    assert told in answer.json()["detail"]


async def test_an_unknown_assistant_starts_nothing(http: httpx.AsyncClient) -> None:
    thread = (await http.post("/threads", json={})).json()

    answer = await http.post(f"/threads/{thread['thread_id']}/runs", json=run(assistant_id="nobody"))

    assert answer.status_code == 404
    assert (await http.get(f"/threads/{thread['thread_id']}/runs")).json() == []


async def test_a_wrong_priority_header_and_event_id_are_told(http: httpx.AsyncClient) -> None:
    thread = (await http.post("/threads", json={})).json()["thread_id"]
    path = f"/threads/{thread}/runs"

    priority = await http.post(path, json=run(), headers={"X-LGS-Priority": "urgent"})
    made = (await http.post(path, json=run())).json()
    event = await http.get(f"{path}/{made['run_id']}/stream", headers={"Last-Event-ID": "last"})

    assert (priority.status_code, event.status_code) == (422, 422)
    assert priority.json()["detail"] == "X-LGS-Priority: 'urgent': must be high, normal or low"
    assert event.json()["detail"] == "Last-Event-ID: 'last': must be the id of an event, or -1"


async def test_a_full_queue_says_when_to_come_back_and_stores_nothing(alone: Settings) -> None:
    small = replace(alone, queue_limits=QueueLimits(high=5, normal=1, low=5))
    async with open_replica(small) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        await replica.services.worker.drain(0)
        later = [
            await http.post("/runs", json=run(metadata={"batch": "x"}, on_completion="keep"))
            for _ in range(2)
        ]
        thread = str(uuid4())
        refused = await http.post(f"/threads/{thread}/runs", json=run(if_not_exists="create"))

        assert [answer.status_code for answer in later] == [200, 429]
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert "queue of priority normal is full: it may hold 1 waiting runs" in refused.json()["detail"]
        assert (await http.get(f"/threads/{thread}")).status_code == 404
        urgent = await http.post("/runs", json=run(), headers={"X-LGS-Priority": "high"})
        assert urgent.status_code == 200
        for answer in (later[0], urgent):
            made = answer.json()
            await http.post(f"/threads/{made['thread_id']}/runs/{made['run_id']}/cancel?wait=1")


async def test_a_batch_that_does_not_fit_leaves_nothing(alone: Settings) -> None:
    async with open_replica(alone) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        answer = await http.post("/runs/batch", json=[run(after_seconds=60), run(assistant_id="nobody")])

        assert answer.status_code == 404
        assert await replica.client.threads.count() == 0


async def test_a_batch_for_which_the_queue_has_no_room_leaves_nothing(alone: Settings) -> None:
    small = replace(alone, queue_limits=QueueLimits(high=5, normal=2, low=5))
    async with open_replica(small) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        await replica.services.worker.drain(0)
        three = await http.post("/runs/batch", json=[run(), run(), run()])
        left = await replica.client.threads.count()
        two = await http.post("/runs/batch", json=[run(), run()])

        assert (three.status_code, left) == (429, 0)
        assert [made["status"] for made in two.json()] == ["pending", "pending"]


async def test_an_assistant_that_is_not_there_is_told_by_the_name_that_was_given(
    http: httpx.AsyncClient, replica: Replica
) -> None:
    told = [
        (await http.post("/runs", json=run(assistant_id="nope"))).json()["detail"],
        (await http.get("/assistants/nope")).json()["detail"],
        (await http.patch("/assistants/nope", json={"name": "x"})).json()["detail"],
        (await http.delete("/assistants/nope")).json()["detail"],
        (await http.post("/assistants/nope/latest", json={"version": 1})).json()["detail"],
        (await http.post("/assistants", json={"graph_id": "nope"})).json()["detail"],
    ]

    known = f"the graphs of this service are: {', '.join(replica.services.settings.graphs)}"
    assert told[0] == f"assistant 'nope' not found; {known}"
    assert told[1:4] == told[:1] * 3
    assert told[4] == f"assistant 'nope version 1' not found; {known}"
    assert told[5] == f"graph 'nope' not found; {known}"


async def test_an_unfinished_run_is_not_deleted(replica: Replica, http: httpx.AsyncClient) -> None:
    thread_id = (await replica.client.threads.create())["thread_id"]
    made = await replica.client.runs.create(thread_id, "slow", input={"text": thread_id})
    await entrance(thread_id).wait()

    early = await http.delete(f"/threads/{thread_id}/runs/{made['run_id']}")
    gate(thread_id).set()
    await replica.client.runs.join(thread_id, made["run_id"])
    late = await http.delete(f"/threads/{thread_id}/runs/{made['run_id']}")

    assert (early.status_code, late.status_code) == (409, 204)
    assert (await http.get(f"/threads/{thread_id}/runs/{made['run_id']}")).status_code == 404


async def test_runs_of_all_threads_are_stopped_by_their_status(alone: Settings) -> None:
    async with open_replica(alone) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        key = str(uuid4())
        path = f"/threads/{key}/runs"
        slow = run(assistant_id="slow", input={"text": key}, if_not_exists="create")
        running = (await http.post(path, json=slow)).json()
        await entrance(key).wait()
        waiting = [(await http.post("/runs", json=run(after_seconds=60))).json() for _ in range(3)]

        stopped = await http.post("/runs/cancel", json={"status": "pending"})
        states = [await replica.services.storage.runs.get(made["run_id"]) for made in (*waiting, running)]
        await http.post("/runs/cancel", json={"status": "all"})
        last = await replica.client.runs.join(key, running["run_id"])
        unnamed = await http.post("/runs/cancel", json={})

        assert stopped.status_code == 204
        assert [state.status for state in states] == ["interrupted"] * 3 + ["running"]
        assert last is not None
        assert (await replica.client.runs.get(key, running["run_id"]))["status"] == "interrupted"
        assert unnamed.status_code == 422 and "must name a thread_id" in unnamed.json()["detail"]
