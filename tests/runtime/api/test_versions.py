"""Versions of a thread over HTTP: listed, read, described, saved, and gone back to with all that waited
there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from langgraph_sdk.client import LangGraphClient


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP: the stock client knows nothing of versions."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as opened:
        yield opened


async def thread_with(client: LangGraphClient, graph: str, *runs: dict[str, Any]) -> str:
    """A thread on which these runs have ended."""
    thread_id = str((await client.threads.create())["thread_id"])
    for run in runs:
        await client.runs.wait(thread_id, graph, **run)
    return thread_id


async def listed(http: httpx.AsyncClient, thread_id: str) -> list[dict[str, Any]]:
    """The versions of a thread, newest first."""
    answer = await http.get(f"/threads/{thread_id}/versions", params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def rolled_back(http: httpx.AsyncClient, thread_id: str, version: int) -> dict[str, Any]:
    """The version that going back to another makes."""
    answer = await http.post(f"/threads/{thread_id}/versions/{version}/rollback")
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def questions(state: Any) -> list[Any]:
    """What a state asks."""
    return [asked["value"] for asked in state["interrupts"]]


async def test_every_run_that_ends_is_a_version_with_the_state_it_left(
    client: LangGraphClient, http: httpx.AsyncClient
) -> None:
    thread_id = await thread_with(client, "steps", {"input": {"text": "a"}}, {"input": {"text": "b"}})

    newest, oldest = await listed(http, thread_id)
    inspected = (await http.get(f"/threads/{thread_id}/versions/1")).json()

    runs = await client.runs.list(thread_id)
    assert [newest["run_id"], oldest["run_id"]] == [run["run_id"] for run in runs]
    assert [newest["version"], oldest["version"]] == [2, 1]
    assert inspected["values"] == {"steps": ["first", "second"], "text": "a"}
    assert (inspected["next"], inspected["tasks"], inspected["metadata"]) == ([], [], {})
    assert inspected["checkpoint"]["checkpoint_id"] == oldest["checkpoint_id"]
    past = await client.threads.get_state(thread_id, checkpoint_id=oldest["checkpoint_id"])
    assert past["values"] == inspected["values"]


async def test_a_run_that_fails_is_no_version_and_one_that_is_stopped_is(
    client: LangGraphClient, http: httpx.AsyncClient
) -> None:
    failed = str((await client.threads.create())["thread_id"])
    await client.runs.wait(failed, "broken", input={"text": "luck"}, raise_error=False)
    key = str(uuid4())
    stopped = str((await client.threads.create())["thread_id"])
    run = await client.runs.create(stopped, "slow", input={"text": key})
    await entrance(key).wait()

    await client.runs.cancel(stopped, run["run_id"], wait=True)

    assert await listed(http, failed) == []
    (version,) = await listed(http, stopped)
    inspected = (await http.get(f"/threads/{stopped}/versions/1")).json()
    assert version["run_id"] == run["run_id"]
    assert (inspected["values"]["steps"], inspected["next"]) == (["first"], ["waits"])


async def test_versions_are_paged_described_and_saved(
    client: LangGraphClient, http: httpx.AsyncClient
) -> None:
    thread_id = await thread_with(client, "steps", {"input": {"text": "a"}})
    await client.threads.update_state(thread_id, {"text": "by hand"}, as_node="second")

    saved = await http.post(f"/threads/{thread_id}/versions", json={"description": "d", "metadata": {"a": 1}})
    patched = await http.patch(f"/threads/{thread_id}/versions/2", json={"metadata": {"b": 2}})

    assert (saved.json()["version"], saved.json()["run_id"]) == (2, None)
    assert (patched.json()["description"], patched.json()["metadata"]) == ("d", {"a": 1, "b": 2})
    page = await http.get(f"/threads/{thread_id}/versions", params={"limit": 1})
    assert [version["version"] for version in page.json()] == [2]
    assert page.headers["x-pagination-next"] == "1"
    diff = (await http.get(f"/threads/{thread_id}/versions/1/diff/2")).json()
    assert diff == {
        "from": 1,
        "to": 2,
        "added": {},
        "removed": {},
        "changed": {"text": {"from": "a", "to": "by hand"}},
    }


async def test_going_back_is_a_new_version_and_loses_nothing(
    client: LangGraphClient, http: httpx.AsyncClient
) -> None:
    thread_id = await thread_with(client, "steps", {"input": {"text": "a"}}, {"input": {"text": "b"}})

    made = await rolled_back(http, thread_id, 1)

    assert (made["version"], made["metadata"]) == (3, {"rollback_from": 1})
    now = await client.threads.get_state(thread_id)
    assert now["values"] == {"steps": ["first", "second"], "text": "a"}
    assert now["checkpoint"]["checkpoint_id"] == made["checkpoint_id"]
    assert now["metadata"]["rollback_from"] == 1
    assert (await client.threads.get(thread_id))["values"] == now["values"]
    assert len(await client.threads.get_history(thread_id, limit=100)) == 9
    onward = await client.runs.wait(thread_id, "steps", input={"text": "c"})
    assert onward == {"steps": ["first", "second"] * 2, "text": "c"}
    again = await rolled_back(http, thread_id, 2)
    assert (await client.threads.get_state(thread_id))["values"]["text"] == "b"
    assert [version["version"] for version in await listed(http, thread_id)] == [again["version"], 4, 3, 2, 1]


async def test_a_question_that_was_answered_is_asked_again(
    client: LangGraphClient, http: httpx.AsyncClient
) -> None:
    thread_id = await thread_with(client, "asks", {"input": {"text": "a"}}, {"command": {"resume": "left"}})
    assert (await client.threads.get_state(thread_id))["values"]["steps"] == ["first", "told left", "second"]

    await rolled_back(http, thread_id, 1)

    thread = await client.threads.get(thread_id)
    state = await client.threads.get_state(thread_id)
    assert (thread["status"], state["next"]) == ("interrupted", ["ask"])
    assert questions(state) == [{"question": "which?"}]
    (asked,) = state["interrupts"]
    answered = await client.runs.wait(thread_id, "asks", command={"resume": {asked["id"]: "right"}})
    assert answered["steps"] == ["first", "told right", "second"]  # type: ignore[call-overload]


@pytest.mark.parametrize("version", [1, 2])
async def test_of_several_questions_at_one_checkpoint_the_one_of_the_version_is_asked(
    client: LangGraphClient, http: httpx.AsyncClient, version: int
) -> None:
    answers = [{"command": {"resume": "x"}}, {"command": {"resume": "y"}}]
    thread_id = await thread_with(client, "asks_twice", {"input": {"text": "a"}}, *answers)

    await rolled_back(http, thread_id, version)

    state = await client.threads.get_state(thread_id)
    assert questions(state) == [{"question": "one?" if version == 1 else "two?"}]
    for answer in ("u", "v")[version - 1 :]:
        await client.runs.wait(thread_id, "asks_twice", command={"resume": answer})
    told = (await client.threads.get_state(thread_id))["values"]["steps"]  # type: ignore[call-overload]
    assert told == (["first", "u", "v", "second"] if version == 1 else ["first", "x", "v", "second"])


async def test_a_question_inside_of_a_subgraph_is_asked_again_where_it_was(
    client: LangGraphClient, http: httpx.AsyncClient
) -> None:
    runs = [{"input": {"text": "a"}}, {"command": {"resume": "left"}}]
    thread_id = await thread_with(client, "asks_inside", *runs)
    before = (await client.threads.get_state(thread_id))["values"]

    await rolled_back(http, thread_id, 1)

    state = await client.threads.get_state(thread_id, subgraphs=True)
    assert questions(state) == [{"question": "which?"}]
    (inner,) = [task for task in state["tasks"] if task["name"] == "inner"]
    assert inner["state"] is not None
    assert (inner["state"]["next"], inner["state"]["values"]["steps"]) == (["ask"], ["before"])  # type: ignore[call-overload]
    await client.runs.wait(thread_id, "asks_inside", command={"resume": "right"})
    after = (await client.threads.get_state(thread_id))["values"]
    told = [step.replace("left", "right") for step in before["steps"]]  # type: ignore[call-overload]
    assert after["steps"] == told  # type: ignore[call-overload]


async def test_a_busy_thread_is_not_rolled_back_or_saved(
    client: LangGraphClient, http: httpx.AsyncClient
) -> None:
    key = str(uuid4())
    gate(key).set()
    thread_id = await thread_with(client, "slow", {"input": {"text": key}})
    gate(key).clear()
    entrance(key).clear()
    run = await client.runs.create(thread_id, "slow", input={"text": key})
    await entrance(key).wait()

    refused = await http.post(f"/threads/{thread_id}/versions/1/rollback")
    unsaved = await http.post(f"/threads/{thread_id}/versions")

    assert (refused.status_code, unsaved.status_code) == (409, 409)
    assert f"{thread_id} is busy" in refused.json()["detail"]
    gate(key).set()
    await client.runs.join(thread_id, run["run_id"])
    assert [version["version"] for version in await listed(http, thread_id)] == [2, 1]


async def test_what_is_not_there_or_wrong_is_told(client: LangGraphClient, http: httpx.AsyncClient) -> None:
    empty = str((await client.threads.create())["thread_id"])
    ran = await thread_with(client, "steps", {"input": {"text": "a"}})

    answers = [
        (await http.get(f"/threads/{uuid4()}/versions"), 404, "thread"),
        (await http.get(f"/threads/{ran}/versions/2"), 404, "version 2 of thread"),
        (await http.post(f"/threads/{ran}/versions/2/rollback"), 404, "version 2 of thread"),
        (await http.post(f"/threads/{empty}/versions"), 409, "has no state yet"),
        (await http.get(f"/threads/{ran}/versions/0"), 422, "version: '0': must be greater than"),
        (await http.get(f"/threads/{ran}/versions", params={"limit": 0}), 422, "limit: '0'"),
        (await http.patch(f"/threads/{ran}/versions/1", json={"metadata": []}), 422, "metadata: []"),
    ]

    for answer, status, words in answers:
        assert answer.status_code == status, answer.text
        assert words in answer.json()["detail"]
