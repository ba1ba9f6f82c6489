"""The service's own application (`http.app`) where replicas that answer and replicas that execute are
processes apart: its routes answer though nobody executes, and what they ask for is executed elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from support.application import ServedApplication
from support.postgres import fresh_database
from support.waiting import until

AGENT = """
import operator
import os
from typing import Annotated

from langgraph.graph import START, StateGraph
from langgraph_sdk import get_client
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    text: str
    steps: Annotated[list[str], operator.add]


async def first(state):
    return {"steps": [f"first at {os.environ['LGS_ROLE']}"]}


async def second(state):
    if state["text"] != "ask the shop":
        return {"steps": ["second"]}
    told = await get_client().http.get("/shop")
    return {"steps": [f"the shop at {told['role']} is {told['door']}"]}


graph = (
    StateGraph(State)
    .add_node(first)
    .add_node(second)
    .add_edge(START, "first")
    .add_edge("first", "second")
    .compile()
)
"""
SHOP = """
import asyncio
import os
from contextlib import asynccontextmanager

from agent import graph
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from langgraph_sdk import get_client

door, done = ["closed"], []


@asynccontextmanager
async def lifespan(app):
    door[0] = "open"
    yield
    door[0] = "closed"


app = FastAPI(lifespan=lifespan)


async def ran(text):
    return await get_client().runs.wait(None, "agent", input={"text": text})


@app.get("/shop")
async def where():
    return {"role": os.environ["LGS_ROLE"], "door": door[0]}


@app.post("/shop/runs")
async def runs(body: dict):
    return await ran(body["text"])


@app.get("/shop/thread")
def in_a_thread():
    return asyncio.run(ran("in a thread"))


@app.post("/shop/stream")
async def stream(body: dict):
    async def events():
        async for part in get_client().runs.stream(None, "agent", input=body, stream_mode=["updates"]):
            yield f"{part.event} "

    return StreamingResponse(events(), media_type="text/plain")


@app.post("/shop/by-hand")
async def by_hand():
    client = get_client()
    thread = (await client.threads.create(graph_id="agent"))["thread_id"]
    await client.threads.update_state(thread, {"text": "x", "steps": ["by hand"]}, as_node="first")
    return await client.runs.wait(thread, "agent", input=None)


@app.post("/shop/here")
async def here(body: dict):
    return await graph.ainvoke(body)


@app.post("/shop/later")
async def later(tasks: BackgroundTasks):
    async def work():
        done.append(await ran("later"))

    tasks.add_task(work)


@app.get("/shop/done")
async def all_done():
    return done


@app.websocket("/shop/socket")
async def socket(connection: WebSocket):
    await connection.accept()
    await connection.send_json(await ran(await connection.receive_text()))
    await connection.close()
"""
CONFIG = {"dependencies": ["."], "graphs": {"agent": "./agent.py:graph"}, "http": {"app": "./shop.py:app"}}
ELSEWHERE = ["first at worker", "second"]


class Apart:
    """The processes of a split service, and whether it has a Redis."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._folder = folder
        self._variables = variables
        self.shared = "REDIS_URI" in variables

    def replica(self, role: str) -> ServedApplication:
        """One more, of a role."""
        folder = self._folder / role
        folder.mkdir(exist_ok=True)
        config = self._folder / "langgraph.json"
        return ServedApplication(config, folder, {**self._variables, "LGS_ROLE": role})


@pytest.fixture(params=["redis", "no redis"])
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Apart]:
    """A split service whose application is a shop; nothing runs yet."""
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "langgraph.json").write_text(json.dumps(CONFIG))
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        variables = {"DATABASE_URI": uri, "LGS_SERVICE": uri.rpartition("/")[2].partition("?")[0]}
        if request.param == "redis":
            variables["REDIS_URI"] = request.getfixturevalue("redis_service")
        yield Apart(tmp_path, variables)


async def test_its_routes_answer_though_nobody_executes_and_get_their_runs_once_one_comes(
    apart: Apart,
) -> None:
    with apart.replica("api") as url:
        async with httpx.AsyncClient(base_url=url, timeout=90) as http:
            told = (await http.get("/shop")).json()
            here = (await http.post("/shop/here", json={"text": "here"})).json()
            asking = asyncio.create_task(http.post("/shop/runs", json={"text": "early"}))
            hearing = asyncio.create_task(http.post("/shop/stream", json={"text": "early"}))

            async def both_wait() -> bool:
                metrics = (await http.get("/metrics")).text
                return 'lgs_queue_depth{priority="normal"} 2.0' in metrics

            await until(both_wait, "two runs wait")
            waits = not (asking.done() or hearing.done())
            with apart.replica("worker"):
                values, events = (await asking).json(), (await hearing).text.split()

    assert told == {"role": "api", "door": "open"}
    assert here["steps"] == ["first at api", "second"]
    assert waits
    assert values["steps"] == ELSEWHERE
    assert events == (["metadata", "updates", "updates"] if apart.shared else ["values"])


async def test_what_it_asks_for_is_executed_elsewhere_and_a_node_finds_it_where_it_is_executed(
    apart: Apart,
) -> None:
    with apart.replica("api") as url, apart.replica("worker") as worker:
        async with httpx.AsyncClient(base_url=url, timeout=90) as http:
            by_node = (await http.post("/shop/runs", json={"text": "ask the shop"})).json()
            by_thread = (await http.get("/shop/thread")).json()
            by_hand = (await http.post("/shop/by-hand")).json()
            await http.post("/shop/later")

            async def background() -> list[dict[str, list[str]]]:
                return list((await http.get("/shop/done")).json())

            (by_background,) = await until(background, "the background task's run ends")
            async with connect(f"{url.replace('http', 'ws', 1)}/shop/socket") as socket:
                await socket.send("by socket")
                by_socket = json.loads(await socket.recv())
            refused = (await http.get(f"{worker}/shop")).status_code

    assert by_node["steps"] == ["first at worker", "the shop at worker is open"]
    assert by_hand["steps"] == ["by hand", "second"]
    assert [each["steps"] for each in (by_thread, by_background, by_socket)] == [ELSEWHERE] * 3
    assert refused == 404
