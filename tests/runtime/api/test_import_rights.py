"""Importing a thread where callers have rights of their own: it becomes theirs, or is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
from api_replicas import Replica, open_replica

from lgs_runtime.settings import Settings

NewService = Callable[[str, Callable[[Settings], Settings]], AbstractAsyncContextManager[Replica]]
ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}


@pytest.fixture(scope="module")
async def http(service: NewService) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with private conversations, in which nothing happens but these imports."""
    async with (
        service("imports", partial(replace, auth_path="api_auth:owners")) as replica,
        httpx.AsyncClient(base_url=replica.url) as client,
    ):
        yield client


async def document(http: httpx.AsyncClient) -> tuple[str, bytes]:
    """A thread of Alice with a run, and how it leaves."""
    made = await http.post("/threads", json={"metadata": {"topic": "tea"}}, headers=ALICE)
    thread_id = made.json()["thread_id"]
    run = {"assistant_id": "steps", "input": {"text": "x"}}
    await http.post(f"/threads/{thread_id}/runs/wait", json=run, headers=ALICE)
    exported = await http.get(f"/threads/{thread_id}/export", headers=ALICE)
    return thread_id, exported.content


async def imported(
    http: httpx.AsyncClient, who: dict[str, str], content: bytes, if_exists: str
) -> httpx.Response:
    return await http.post("/threads/import", params={"if_exists": if_exists}, content=content, headers=who)


async def read(http: httpx.AsyncClient, who: dict[str, str], path: str) -> Any:
    answer = await http.get(path, headers=who)
    return answer.json() if answer.status_code == 200 else answer.status_code


async def test_what_one_exported_one_gets_back_and_goes_on_with(http: httpx.AsyncClient) -> None:
    thread_id, content = await document(http)
    before = await read(http, ALICE, f"/threads/{thread_id}/runs")
    await http.delete(f"/threads/{thread_id}", headers=ALICE)

    answer = await imported(http, ALICE, content, "raise")

    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"]["owner"] == "alice"
    assert await read(http, ALICE, f"/threads/{thread_id}/runs") == before
    assert await read(http, BOB, f"/threads/{thread_id}") == 404
    run = {"assistant_id": "steps", "input": {}}
    onward = await http.post(f"/threads/{thread_id}/runs/wait", json=run, headers=ALICE)
    assert onward.json()["steps"] == ["first", "second"] * 2


async def test_a_document_of_somebody_else_becomes_the_importers_and_says_nothing_in_their_name(
    http: httpx.AsyncClient,
) -> None:
    thread_id, content = await document(http)
    alices_runs = await read(http, ALICE, "/users/me/runs?limit=1000")

    copied = (await imported(http, BOB, content, "new")).json()

    path = f"/threads/{copied['thread_id']}"
    assert (copied["metadata"]["owner"], copied["metadata"]["topic"]) == ("bob", "tea")
    assert await read(http, ALICE, path) == 404
    assert await read(http, ALICE, "/users/me/runs?limit=1000") == alices_runs
    assert (await read(http, BOB, f"{path}/state"))["values"]["steps"] == ["first", "second"]
    trail = await read(http, BOB, f"{path}/audit")
    assert {entry["who"] for entry in trail} <= {"bob", None}
    assert "thread.imported" in {entry["what"] for entry in trail}
    [version] = await read(http, BOB, f"{path}/versions")
    assert version["created_by"] is None
    exported = await http.get(f"{path}/export", headers=BOB)
    assert '"created_by":"alice"' not in exported.text
    assert (await read(http, ALICE, f"/threads/{thread_id}"))["metadata"]["owner"] == "alice"


@pytest.mark.parametrize("if_exists", ["raise", "replace"])
async def test_no_document_takes_the_place_of_somebody_elses_thread(
    http: httpx.AsyncClient, if_exists: str
) -> None:
    thread_id, content = await document(http)
    before = await read(http, ALICE, f"/threads/{thread_id}/history")

    answer = await imported(http, BOB, content, if_exists)

    assert answer.status_code == 409
    assert await read(http, ALICE, f"/threads/{thread_id}/history") == before
    assert (await imported(http, ALICE, content, "replace")).status_code == 200


async def test_who_may_not_delete_may_not_replace(alone: Settings) -> None:
    async with (
        open_replica(replace(alone, auth_path="api_auth:rules")) as replica,
        httpx.AsyncClient(base_url=replica.url) as http,
    ):
        made = (await http.post("/threads", json={}, headers=ALICE)).json()
        content = (await http.get(f"/threads/{made['thread_id']}/export", headers=ALICE)).content

        refused = await imported(http, ALICE, content, "replace")
        copied = await imported(http, ALICE, content, "new")

        assert (refused.status_code, refused.json()["detail"]) == (402, "pay first")
        assert copied.json()["metadata"]["owner"] == "alice"
        assert (await http.get(f"/threads/{made['thread_id']}", headers=ALICE)).status_code == 200
