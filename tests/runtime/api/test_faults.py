"""A database or a Redis that goes away: what clients are answered meanwhile, and that it passes by itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
from api_graphs import entrance, gate
from api_replicas import open_replica, settings_of

from support.postgres import PostgresServer
from support.redis import RedisServer
from support.waiting import until


async def test_without_its_database_a_replica_says_try_again_and_recovers(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, {"database_uri": postgres_server.uri})
    async with open_replica(settings) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        thread = (await http.post("/threads", json={})).json()["thread_id"]

        await asyncio.to_thread(postgres_server.stop)
        refused = [
            await http.post("/runs", json={"assistant_id": "steps", "input": {}}),
            await http.get(f"/threads/{thread}"),
            await http.post("/store/items/search", json={}),
        ]
        alive, ready = await http.get("/ok"), await http.get("/ready")
        await asyncio.to_thread(postgres_server.start)

        assert [answer.status_code for answer in refused] == [503, 503, 503]
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert (alive.status_code, ready.status_code) == (200, 503)

        async def is_ready() -> bool:
            return (await http.get("/ready")).status_code == 200

        await until(is_ready)
        assert await replica.client.runs.wait(thread, "steps", input={}) == {"steps": ["first", "second"]}


async def test_without_redis_a_run_still_gives_its_result_and_its_stream_ends(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    uris = {"database_uri": f"sqlite:///{tmp_path}/lgs.db", "redis_uri": redis_server.uri}
    async with open_replica(settings_of(tmp_path, uris)) as replica:
        key = (await replica.client.threads.create())["thread_id"]
        run = await replica.client.runs.create(key, "slow", input={"text": key})
        await entrance(key).wait()

        await asyncio.to_thread(redis_server.stop)
        gate(key).set()
        values = await replica.client.runs.join(key, run["run_id"])
        streamed = [
            part async for part in replica.client.runs.join_stream(key, run["run_id"], last_event_id="-1")
        ]

        assert values["steps"] == ["first", "waited", "second"]
        assert streamed[-1].data["steps"] == ["first", "waited", "second"]
        assert await replica.client.runs.wait(None, "steps", input={}) == {"steps": ["first", "second"]}


async def test_a_replica_that_stops_is_not_a_client_that_left(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    async with (
        open_replica(replace(settings, replica_id="staying")) as staying,
        httpx.AsyncClient() as http,
    ):
        await staying.services.worker.drain(0)
        key = (await staying.client.threads.create())["thread_id"]
        body = {"assistant_id": "slow", "input": {"text": key}, "on_disconnect": "cancel"}

        async with open_replica(replace(settings, replica_id="leaving")) as leaving:
            request = http.build_request("POST", f"{leaving.url}/threads/{key}/runs/stream", json=body)
            answer = await http.send(request, stream=True)
            listening = asyncio.create_task(_read(answer))
            await entrance(key).wait()
            await leaving.services.worker.drain(0)
        await listening

        run_id = answer.headers["content-location"].rsplit("/", 1)[1]
        assert (await staying.client.runs.get(key, run_id))["status"] == "pending"


async def _read(answer: httpx.Response) -> None:
    with suppress(httpx.HTTPError):
        async for _ in answer.aiter_lines():
            pass
