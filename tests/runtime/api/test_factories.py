"""Factories of graphs behind authentication: each call gets the user for whom the graph is opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import api_webapps
import httpx
import pytest
from api_replicas import open_replica, settings_of

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    plain = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    return replace(plain, graphs={"agent": GraphSpec("api_webapps:made_for")})


async def opened_by(settings: Settings) -> list[tuple[str, str | None]]:
    """Why and for whom the graph was opened by three runs, a read of a state and a drawing."""
    run = {"assistant_id": "agent", "input": {}}
    async with (
        open_replica(settings) as replica,
        httpx.AsyncClient(base_url=replica.url) as client,
    ):
        thread = (await client.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
        api_webapps.opened.clear()
        delayed = {**run, "after_seconds": 0.2}
        for who in (ALICE, BOB):
            made = await client.post(f"/threads/{thread}/runs", json=delayed, headers=who)
            await client.get(f"/threads/{thread}/runs/{made.json()['run_id']}/join", headers=who)
        await client.post("/runs/wait", json=run, headers=BOB)
        await client.get(f"/threads/{thread}/state", headers=BOB)
        await client.get("/assistants/agent/graph", headers=ALICE)
        return list(api_webapps.opened)


async def test_a_factory_is_told_for_whom_it_is_called(settings: Settings) -> None:
    opened = await opened_by(replace(settings, auth_path="api_auth:tokens"))

    runs = [who for why, who in opened if why == "threads.create_run"]
    assert runs == ["alice", "bob", "bob"]
    assert opened[-2:] == [("threads.read", "bob"), ("assistants.read", "alice")]


async def test_where_nobody_is_asked_a_factory_is_told_of_nobody(settings: Settings) -> None:
    opened = await opened_by(settings)

    assert {who for _, who in opened} == {None}
