"""The audit trail over HTTP: who asked, by their token, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.settings import Settings

ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}


async def test_the_trail_names_who_asked(alone: Settings, tmp_path: Path) -> None:
    settings = replace(alone, auth_path="api_auth:tokens")
    async with open_replica(settings) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        thread = (await http.post("/threads", json={}, headers=ALICE)).json()
        path = f"/threads/{thread['thread_id']}"
        body = {"assistant_id": "steps", "input": {"text": "a"}}
        await http.post(f"{path}/runs/wait", json=body, headers=BOB)
        version = (await http.get(f"{path}/versions/1", headers=ALICE)).json()
        await http.post(f"{path}/versions/1/rollback", headers=ALICE)

        trail = (await http.get(f"{path}/audit", headers=ALICE)).json()
        await http.delete(path, headers=ALICE)
        afterwards = await http.get(f"{path}/audit", headers=ALICE)

    assert [(entry["what"], entry["who"]) for entry in reversed(trail)] == [
        ("thread.created", "alice"),
        ("run.created", "bob"),
        ("run.ended", None),
        ("version.rolled_back", "alice"),
    ]
    assert version["created_by"] == "bob"
    assert afterwards.status_code == 404


async def test_who_makes_a_thread_of_a_deleted_ones_id_learns_nothing_of_that_one(guarded: Replica) -> None:
    async with httpx.AsyncClient(base_url=guarded.url) as http:
        thread_id = (await http.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
        path = f"/threads/{thread_id}"
        run = {"assistant_id": "steps", "input": {"text": "a"}}
        await http.post(f"{path}/runs/wait", json=run, headers=ALICE)
        await http.post(f"{path}/runs", json={**run, "after_seconds": 600}, headers=ALICE)
        await http.delete(path, headers=ALICE)
        await http.post("/threads", json={"thread_id": thread_id}, headers=BOB)
        await http.patch(path, json={"metadata": {"n": 1}}, headers=BOB)

        trail = (await http.get(f"{path}/audit", headers=BOB)).json()
        document = (await http.get(f"{path}/export", headers=BOB)).text

    assert [(entry["what"], entry["who"]) for entry in trail] == [
        ("thread.updated", "bob"),
        ("thread.created", "bob"),
    ]
    assert "alice" not in document


async def test_the_trail_is_paged_and_outlasts_its_thread(client: LangGraphClient, url: str) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    for number in range(3):
        await client.threads.update(thread_id, metadata={"n": number})
    await client.threads.delete(thread_id)

    async with httpx.AsyncClient(base_url=url) as http:
        page = await http.get(f"/threads/{thread_id}/audit", params={"limit": 2})
        rest = await http.get(f"/threads/{thread_id}/audit", params={"limit": 10, "offset": 2})

    assert [entry["what"] for entry in page.json()] == ["thread.deleted", "thread.updated"]
    assert page.headers["x-pagination-next"] == "2"
    assert [entry["what"] for entry in rest.json()] == ["thread.updated", "thread.updated", "thread.created"]
