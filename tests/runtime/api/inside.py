"""Graphs and an application whose code talks to their own server: `get_client()` without a URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

from fastapi import FastAPI
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from support.ports import PATIENCE_SECONDS


class Told(TypedDict, total=False):
    """What a run is to do, and what came of it."""

    times: int
    name: str
    told: Any


entered = asyncio.Event()
"""Set when a run of `waits` has begun."""
left = asyncio.Event()
"""Set when a run of `waits` was cancelled."""


async def tell_self(state: Told, config: RunnableConfig) -> Told:
    named = config["configurable"]
    keys = ("thread_id", "mine", "langgraph_auth_user_id", "checkpoint_ns")
    return {"told": {**{key: named.get(key) for key in keys}, "tags": config.get("tags", [])}}


def alone(node: Any) -> Any:
    return StateGraph(Told).add_node("node", node).add_edge(START, "node").compile()


child = alone(tell_self)


patience = asyncio.Event()
"""Ends the runs of `patient`."""


async def wait_patiently(state: Told) -> Told:
    entered.set()
    await patience.wait()
    return {"told": "patient"}


async def wait_(state: Told) -> Told:
    entered.set()
    try:
        await asyncio.Event().wait()
    finally:
        left.set()
    return {}


waits = alone(wait_)
patient = alone(wait_patiently)


async def ask(client: LangGraphClient | None = None) -> Any:
    """What a run of `child` on a thread of its own answers."""
    client = client or get_client()
    thread = await client.threads.create()
    values: Any = await client.runs.wait(thread["thread_id"], "child", input={})
    return values["told"]


async def ask_in_node(state: Told) -> Told:
    return {"told": list(await asyncio.gather(*(ask() for _ in range(state.get("times", 1)))))}


def ask_in_thread(state: Told) -> Told:
    return {"told": asyncio.run(ask())}


@tool
async def ask_as_tool() -> Any:
    """Asks."""
    return await ask()


async def ask_in_tool(state: Told) -> Told:
    return {"told": await ask_as_tool.ainvoke({})}


async def stream_in_node(state: Told) -> Told:
    parts = get_client().runs.stream(None, "child", input={}, stream_mode=["updates", "values"])
    return {"told": [part.event async for part in parts]}


async def join_in_node(state: Told) -> Told:
    client = get_client()
    thread = await client.threads.create()
    run = await client.runs.create(thread["thread_id"], "child", input={})
    values: Any = await client.runs.join(thread["thread_id"], run["run_id"])
    return {"told": values["told"]}


async def remote_in_node(state: Told) -> Told:
    remote = RemoteGraph("child", client=get_client())
    values: Any = await remote.ainvoke({})
    return {"told": values["told"]}


async def wait_for_itself(state: Told, config: RunnableConfig) -> Told:
    await get_client().runs.wait(config["configurable"]["thread_id"], "child", input={})
    return {}


async def wait_in_node(state: Told) -> Told:
    values: Any = await get_client().runs.wait(None, "patient", input={})
    return {"told": values["told"]}


async def leave_early(state: Told) -> Told:
    """Reads the beginning of a stream and goes."""
    parts = get_client().runs.stream(None, "waits", input={}, on_disconnect="cancel")
    await anext(parts)
    await entered.wait()
    await parts.aclose()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await left.wait()
    return {"told": "left"}


async def look_around(state: Told) -> Told:
    """What is there for who asked: all threads, one by name, and a new one."""
    client = get_client()
    try:
        found: Any = await client.threads.get(state["name"])
    except Exception as refused:  # noqa: BLE001
        found = type(refused).__name__
    made = await client.threads.create()
    every = [thread["thread_id"] for thread in await client.threads.search(limit=100)]
    return {"told": {"found": found, "made": made["metadata"], "sees_it": state["name"] in every}}


in_node, in_thread, in_tool, streams, joins, remote, itself, leaves, around, waiting = map(
    alone,
    (
        ask_in_node,
        ask_in_thread,
        ask_in_tool,
        stream_in_node,
        join_in_node,
        remote_in_node,
        wait_for_itself,
        leave_early,
        look_around,
        wait_in_node,
    ),
)


def remote_as_node() -> Any:
    """A graph of the same service as a node: it would go on with the thread of the run that it is in."""
    return (
        StateGraph(Told).add_node("child", RemoteGraph("child", client=get_client())).add_edge(START, "child")
    )


nested = StateGraph(Told).add_node("inner", in_node).add_edge(START, "inner").compile()


@asynccontextmanager
async def life(_: FastAPI) -> AsyncIterator[None]:
    client = get_client()
    await client.store.put_item(
        ["life"], "began", {"assistants": len(await client.assistants.search(limit=100))}
    )
    yield
    ended.append((await client.store.get_item(["life"], "began"))["value"])


ended: list[Any] = []
app = FastAPI(lifespan=life)


@app.get("/ask")
async def ask_in_route() -> Any:
    return await ask()


@app.get("/threads-of-all")
async def threads_of_all() -> Any:
    return len(await get_client().threads.search(limit=100))


@app.get("/began")
async def began() -> Any:
    return (await get_client().store.get_item(["life"], "began"))["value"]
