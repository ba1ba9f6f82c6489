"""Code of the service talks to its own server by `get_client()` without a URL."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import api_inside
import httpx
import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk import get_client
from langgraph_sdk._shared import utilities
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.http_section import HttpSection
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from support.ports import PATIENCE_SECONDS
from support.waiting import until

ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}
NAMES = (
    "in_node",
    "in_thread",
    "in_tool",
    "streams",
    "joins",
    "remote",
    "itself",
    "leaves",
    "around",
    "waiting",
)
GRAPHS = {
    name: GraphSpec(f"api_inside:{name}")
    for name in ("child", "waits", "patient", "nested", "remote_as_node", *NAMES)
}


def talking(settings: Settings, **more: Any) -> Settings:
    return replace(settings, **{"graphs": GRAPHS, "replica_id": "inside", "port": 0, **more})


@pytest.fixture(scope="module")
async def inside(settings: Settings) -> AsyncIterator[Replica]:
    """A replica whose graphs talk to it."""
    async with open_replica(talking(settings)) as opened:
        yield opened


async def told(client: LangGraphClient, graph: str, **given: Any) -> Any:
    values: Any = await client.runs.wait(None, graph, **{"input": {}, **given})
    return values["told"]


@pytest.mark.parametrize("graph", ["in_thread", "in_tool", "joins", "remote"])
async def test_a_node_waits_for_a_run_of_its_own_server(inside: Replica, graph: str) -> None:
    found = await told(inside.client, graph)

    assert found["thread_id"]


@pytest.mark.parametrize("graph", ["in_node", "nested"])
async def test_a_run_that_a_node_asks_for_is_no_part_of_the_nodes_own(inside: Replica, graph: str) -> None:
    config: Any = {"tags": ["of-the-parent"], "configurable": {"mine": 1}}

    (found,) = await told(inside.client, graph, config=config)

    assert (found["mine"], found["checkpoint_ns"], found["tags"]) == (None, found["checkpoint_ns"], [])
    assert ":" in found["checkpoint_ns"]
    assert "|" not in found["checkpoint_ns"]


async def test_a_node_hears_a_stream_part_by_part(inside: Replica) -> None:
    events = await told(inside.client, "streams")

    assert events == ["metadata", "updates", "values"]


async def test_who_reads_no_further_has_gone(inside: Replica) -> None:
    api_inside.entered.clear()
    api_inside.left.clear()

    assert await told(inside.client, "leaves") == "left"


@pytest.mark.parametrize("graph", ["itself", "remote_as_node"])
async def test_a_run_that_would_wait_for_itself_is_refused_at_once(inside: Replica, graph: str) -> None:
    thread = (await inside.client.threads.create())["thread_id"]
    run = await inside.client.runs.create(thread, graph, input={})
    await inside.client.runs.join(thread, run["run_id"])

    ended: Any = await inside.client.runs.get(thread, run["run_id"])
    assert ended["status"] == "error"
    assert ended["error"].startswith(
        f"Conflict: thread {thread}: a run can't wait for another run of its own"
    )


@pytest.mark.parametrize("graph", ["in_node", "in_thread", "joins", "remote"])
async def test_runs_that_wait_for_runs_leave_them_a_slot(alone: Settings, graph: str) -> None:
    async with open_replica(talking(alone, concurrency=1)) as replica, asyncio.timeout(PATIENCE_SECONDS):
        given = {"input": {"times": 3}} if graph == "in_node" else {}
        await asyncio.gather(*(told(replica.client, graph, **given) for _ in range(4)))

        worker = replica.services.worker
        await until(lambda: not worker.running())
        await until(lambda: (worker.slots.free, worker.slots.lending.slots) == (1, 0))


async def test_code_of_a_run_has_the_rights_of_who_asked_for_it(alone: Settings) -> None:
    guarded = talking(alone, auth_path="api_auth:owners")
    async with open_replica(guarded) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        thread = (await http.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
        run = {"assistant_id": "around", "input": {"name": thread}}
        own = (await http.post("/runs/wait", json=run, headers=ALICE)).json()["told"]
        foreign = (await http.post("/runs/wait", json=run, headers=BOB)).json()["told"]
        asked = {"assistant_id": "in_node", "input": {}}
        child = (await http.post("/runs/wait", json=asked, headers=BOB)).json()["told"]

    assert (own["found"]["thread_id"], own["sees_it"], own["made"]["owner"]) == (thread, True, "alice")
    assert (foreign["found"], foreign["sees_it"], foreign["made"]["owner"]) == ("NotFoundError", False, "bob")
    assert child[0]["langgraph_auth_user_id"] == "bob"


async def test_a_services_own_application_may_do_everything_and_nobody_else(alone: Settings) -> None:
    http_section = HttpSection(app="api_inside:app")
    guarded = talking(alone, auth_path="api_auth:owners", http=http_section)
    api_inside.ended.clear()
    async with open_replica(guarded) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        await http.post("/threads", json={}, headers=ALICE)
        await http.post("/threads", json={}, headers=BOB)
        every = (await http.get("/threads-of-all")).json()
        asked = (await http.get("/ask")).json()
        began = (await http.get("/began")).json()
        forged = await http.post("/threads/search", json={}, headers={"lgs.user": "alice"})

    assert every == 2
    assert asked["langgraph_auth_user_id"] == ""
    assert began == {"assistants": len(GRAPHS)}
    assert api_inside.ended == [began]
    assert forged.status_code == 401


async def test_routes_that_the_gate_guards_are_reached_inside_too(alone: Settings) -> None:
    http_section = HttpSection(app="api_inside:app", mount_prefix="/api", auth_on_custom_routes=True)
    guarded = talking(alone, auth_path="api_auth:owners", http=http_section)
    async with open_replica(guarded) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        refused = await http.get("/api/ask")
        asked = await http.get("/api/ask", headers=ALICE)

    assert refused.status_code == 401
    assert asked.json()["thread_id"]


async def test_a_client_that_a_module_makes_at_its_import_is_the_servers(alone: Settings) -> None:
    code = """
from typing import Any, TypedDict
from langgraph.graph import START, StateGraph
from langgraph_sdk import get_client

client = get_client()

class Told(TypedDict, total=False):
    told: Any

async def ask(state: Told) -> Told:
    return {"told": [found["graph_id"] for found in await client.assistants.search()]}

graph = StateGraph(Told).add_node(ask).add_edge(START, "ask").compile()
"""
    (Path(alone.source) / "early.py").write_text(code)
    async with open_replica(talking(alone, graphs={"early": GraphSpec("./early.py:graph")})) as replica:
        assert await told(replica.client, "early") == ["early"]


async def test_clients_leave_nothing_behind(inside: Replica) -> None:
    clients = [get_client() for _ in range(50)]
    del clients
    gc.collect()

    assert len(utilities._registered_transports) <= 1


async def test_where_no_server_runs_a_client_says_so() -> None:
    from lgs_runtime.api import loopback  # noqa: PLC0415

    here, loopback._servers[:] = list(loopback._servers), []
    token = loopback._here.set(None)
    try:
        with pytest.raises(httpx.ConnectError, match="no server runs in this process"):
            await get_client().assistants.search()
    finally:
        loopback._servers[:] = here
        loopback._here.reset(token)


async def test_a_drain_hands_back_a_run_that_waits_for_another(alone: Settings) -> None:
    """And the run goes on, on another replica, from its last checkpoint."""
    first = talking(alone, replica_id="first")
    async with open_replica(first) as replica:
        thread = (await replica.client.threads.create())["thread_id"]
        api_inside.entered.clear()
        run = await replica.client.runs.create(thread, "waiting", input={})
        async with asyncio.timeout(PATIENCE_SECONDS):
            await api_inside.entered.wait()
        # Its end, while the replica closes, hands both runs back.
    async with open_replica(talking(alone, replica_id="second")) as replica:
        api_inside.patience.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            values: Any = await replica.client.runs.join(thread, run["run_id"])
        api_inside.patience.clear()
        found: Any = await replica.client.runs.get(thread, run["run_id"])

    assert (found["status"], values["told"]) == ("success", "patient")
