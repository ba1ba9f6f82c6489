"""What the code of a graph sees of its run: the context, the configuration, and who asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import api_contexts
import httpx
import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.api.resources.crons import request_of
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.runs.admission import find_assistant
from lgs_runtime.runs.configuration import merge_config
from lgs_runtime.settings import Settings

ALICE = {"Authorization": "Bearer alice-token"}
DEFAULTS = {"model": "small", "graph_id": "not the server's", "tags": [], "made": "here"}
FACTORIES = ("of_config", "awaited", "opened", "opened_plainly", "of_both", "of_the_word", "of_nothing")
GRAPHS = (
    "taste",
    "demanding",
    "model",
    "strict",
    "open_",
    "plain",
    "inside",
    "config_told",
    "user_told",
    "bound",
    *FACTORIES,
)


@pytest.fixture(scope="session")
async def telling(settings: Settings) -> AsyncIterator[Replica]:
    """A replica whose graphs answer what they see."""
    graphs = {name: GraphSpec(f"api_contexts:{name}") for name in GRAPHS}
    async with open_replica(replace(settings, graphs=graphs, replica_id="telling", port=0)) as opened:
        yield opened


@pytest.fixture
def client(telling: Replica) -> LangGraphClient:
    return telling.client


async def told(client: LangGraphClient, graph: str, **given: Any) -> Any:
    values: Any = await client.runs.wait(None, graph, input={}, **given)
    return values["told"]


@pytest.mark.parametrize("given", [{}, {"context": {}}, {"config": {"configurable": {}}}])
@pytest.mark.parametrize(
    ("graph", "defaults"),
    [
        ("taste", DEFAULTS),
        ("inside", DEFAULTS),
        ("model", {"model": "small", "n": 3}),
        ("open_", {"model": "small"}),
        ("plain", None),
    ],
)
async def test_a_context_that_nobody_gave_is_built_from_its_defaults(
    client: LangGraphClient, graph: str, defaults: Any, given: dict[str, Any]
) -> None:
    found = await told(client, graph, **given)

    assert found == defaults


@pytest.mark.parametrize(
    ("graph", "error"),
    [
        ("demanding", "TypeError: Demanding.__init__() missing 1 required positional argument: 'needed'"),
        ("strict", "ValidationError: 1 validation error for Strict\nneeded\n  Field required"),
    ],
)
async def test_a_field_that_must_be_given_and_is_not_is_the_error_that_langgraph_gives(
    client: LangGraphClient, graph: str, error: str
) -> None:
    for given in ({}, {"context": {}}, {"context": {"other": 2}}):
        thread = (await client.threads.create())["thread_id"]
        run = await client.runs.create(thread, graph, input={}, **given)
        await client.runs.join(thread, run["run_id"])

        ended: Any = await client.runs.get(thread, run["run_id"])
        assert ended["status"] == "error"
        assert ended["error"].startswith(error)


@pytest.mark.parametrize(
    ("graph", "context", "found"),
    [
        ("taste", {"model": "large", "odd": 1}, {**DEFAULTS, "model": "large"}),
        ("taste", {"made": "there"}, DEFAULTS),
        ("demanding", {"needed": "x"}, {"needed": "x", "other": 1}),
        ("model", {"n": "7"}, {"model": "small", "n": 7}),
        ("open_", {"odd": 1}, {"model": "small", "odd": 1}),
        ("plain", {"model": "large"}, {"model": "large"}),
    ],
)
async def test_what_is_given_of_a_context_stands_over_its_defaults(
    client: LangGraphClient, graph: str, context: dict[str, Any], found: Any
) -> None:
    assert await told(client, graph, context=context) == found


@pytest.mark.parametrize("graph", ["taste", "model", "open_", "plain"])
async def test_what_clients_from_before_give_as_configurable_is_in_the_context(
    client: LangGraphClient, graph: str
) -> None:
    found = await told(client, graph, config={"configurable": {"model": "large"}})

    assert found["model"] == "large"


async def test_every_way_to_a_run_builds_the_context(client: LangGraphClient, telling: Replica) -> None:
    thread = (await client.threads.create())["thread_id"]
    found = [(await client.runs.wait(thread, "taste", input={}))["told"]]  # type: ignore[call-overload]
    async for part in client.runs.stream(thread, "taste", input={}, stream_mode="values"):
        last = part
    found.append(last.data["told"])
    asked = await client.runs.wait(thread, "taste", input={"asks": True})
    found.append((await client.runs.wait(thread, "taste", command={"resume": "yes"}))["told"])  # type: ignore[call-overload]
    async with httpx.AsyncClient(base_url=telling.url) as http:
        call = {"name": "taste", "arguments": {"asks": False}}
        rpc = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answer = await http.post("/mcp", json=rpc, headers={"Accept": "application/json, text/event-stream"})
        command = {"method": "run.start", "params": {"assistant_id": "taste", "input": {}}}
        other = str(uuid4())
        await http.post(f"/threads/{other}/commands", json={"id": 1, **command})
        await client.runs.join(other, (await client.runs.list(other))[0]["run_id"])
    found.append((await client.threads.get_state(other))["values"]["told"])  # type: ignore[call-overload]

    assert "__interrupt__" in asked
    assert found == [DEFAULTS] * 4
    assert "not the server's" in answer.text


async def test_an_assistants_context_stands_between_the_defaults_and_the_runs(
    client: LangGraphClient,
) -> None:
    made = await client.assistants.create("model", context={"model": "large"})
    early = await client.assistants.create("model", config={"configurable": {"model": "early"}})

    assert await told(client, made["assistant_id"]) == {"model": "large", "n": 3}
    assert await told(client, made["assistant_id"], context={"n": 5}) == {"model": "large", "n": 5}
    assert await told(client, early["assistant_id"]) == {"model": "early", "n": 3}


async def test_a_node_finds_every_name_of_langgraphs_server_in_its_configuration(
    client: LangGraphClient,
) -> None:
    thread = (await client.threads.create())["thread_id"]
    values: Any = await client.runs.wait(thread, "config_told", input={}, context={"mine": 1})
    found = values["told"]
    run = (await client.runs.list(thread))[0]

    assert {name: found[name] for name in ("thread_id", "run_id", "graph_id", "assistant_id", "mine")} == {
        "thread_id": thread,
        "run_id": run["run_id"],
        "graph_id": "config_told",
        "assistant_id": run["assistant_id"],
        "mine": 1,
    }
    nobody = {"langgraph_auth_user": None, "langgraph_auth_user_id": "", "langgraph_auth_permissions": []}
    assert {name: found[name] for name in nobody} == nobody
    assert (found["user_id"], found["__after_seconds__"]) == ("", 0)
    assert found["langgraph_request_id"]
    assert abs(found["__request_start_time_ms__"] - milliseconds(run)) < 1000
    assert "__is_for_execution__" not in found


def milliseconds(run: Any) -> float:
    return datetime.fromisoformat(run["created_at"]).timestamp() * 1000


async def test_whom_a_run_is_about_may_be_said_by_the_client(client: LangGraphClient) -> None:
    found = await told(client, "config_told", config={"configurable": {"user_id": "u-1"}})

    assert found["user_id"] == "u-1"


async def test_a_trace_that_the_request_belongs_to_is_told_to_the_graph(telling: Replica) -> None:
    baggage = "langsmith-metadata=%7B%22a%22%3A1%7D,langsmith-tags=x%2Cy,langsmith-project=p,odd"
    headers = {"langsmith-trace": "20240101T000000000000Z0001", "baggage": baggage}
    async with httpx.AsyncClient(base_url=telling.url) as http:
        run = {"assistant_id": "config_told", "input": {}}
        found = (await http.post("/runs/wait", json=run, headers=headers)).json()["told"]
        broken = {**headers, "baggage": "langsmith-metadata=%7Bno"}
        still = await http.post("/runs/wait", json=run, headers=broken)

    assert found["langsmith-trace"] == "20240101T000000000000Z0001"
    assert (found["langsmith-metadata"], found["langsmith-tags"]) == ({"a": 1}, ["x", "y"])
    assert found["langsmith-project"] == "p"
    assert still.status_code == 200
    assert "langsmith-metadata" not in still.json()["told"]


@pytest.mark.parametrize("graph", FACTORIES)
async def test_a_factory_is_told_whether_its_graph_will_be_executed(
    client: LangGraphClient, graph: str
) -> None:
    thread = (await client.threads.create())["thread_id"]
    api_contexts.seen.clear()
    values: Any = await client.runs.wait(thread, graph, input={}, context={"mine": 1})
    run, api_contexts.seen[:] = api_contexts.seen[0], []
    state = await client.threads.get_state(thread)
    await client.threads.get_history(thread)
    await client.threads.update_state(thread, {"told": "by hand"}, as_node="tell_config")
    await client.assistants.get_graph(graph, xray=True)
    await client.assistants.get_schemas(graph)
    await client.assistants.get_subgraphs(graph)

    assert values["told"]["thread_id"] == thread
    assert (run["__is_for_execution__"], run["ambient"], run["store"]) == (True, True, True)
    assert (run["thread_id"], run["graph_id"], run["user_id"], run["mine"]) == (thread, graph, "", 1)
    assert run.get("context", {"mine": 1}) == {"mine": 1}
    looks = api_contexts.seen
    assert len(looks) >= 6
    assert {(look["__is_for_execution__"], look["ambient"], look["store"]) for look in looks} == {
        (False, False, True)
    }
    assert {look["langgraph_auth_user_id"] for look in looks} == {""}
    assert state["values"]["told"]["thread_id"] == thread  # type: ignore[call-overload,index]


async def test_a_factory_may_bind_its_graph_to_the_config_that_it_is_given(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    drawn = await client.assistants.get_graph("bound", xray=True)
    await client.assistants.get_schemas("bound")
    values: Any = await client.runs.wait(thread, "bound", input={}, context={"model": "large"})
    second: Any = await client.runs.wait(thread, "bound", input={})
    state = await client.threads.get_state(thread, subgraphs=True)

    assert {"inner:tell_config"} <= {node["id"] for node in drawn["nodes"]}
    assert (values["told"]["model"], second["told"]) == ("large", DEFAULTS)
    assert state["next"] == []


async def test_who_asked_is_not_in_the_checkpoints_that_others_read(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "inside", input={})
    await client.threads.update_state(thread, {"told": "by hand"})

    history = await client.threads.get_history(thread)
    metadata = [state["metadata"] or {} for state in history]
    assert len(metadata) >= 3
    assert not [name for told in metadata for name in told if name.startswith("langgraph_")]
    assert all("run_id" in told for told in metadata[1:])


async def test_a_run_of_a_cron_knows_its_cron_and_its_context(telling: Replica) -> None:
    client = telling.client
    cron = await client.crons.create("config_told", schedule="* * * * *", input={}, context={"mine": 1})
    stored = await telling.services.storage.crons.get(cron["cron_id"])
    request = request_of(stored)
    await client.crons.delete(cron["cron_id"])

    config = merge_config(
        await find_assistant(telling.services, "config_told"), request.config, request.context
    )
    assert config["configurable"]["cron_id"] == cron["cron_id"]
    assert (config["configurable"]["mine"], request.context) == (1, {"mine": 1})


async def test_a_factory_finds_the_configuration_of_the_assistant_whose_schemas_are_asked_for(
    client: LangGraphClient,
) -> None:
    made = await client.assistants.create("of_config", config={"configurable": {"mine": 7}})
    api_contexts.seen.clear()
    await client.assistants.get_schemas(made["assistant_id"])

    assert [look["mine"] for look in api_contexts.seen] == [7]


async def test_a_user_is_a_mapping_that_whatever_writes_json_or_msgpack_takes(
    settings: Settings,
) -> None:
    graphs = {"user_told": GraphSpec("api_contexts:user_told"), "made": GraphSpec("api_contexts:of_config")}
    guarded = replace(settings, graphs=graphs, auth_path="api_auth:tokens", replica_id="guarded", port=0)
    async with open_replica(guarded) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        thread = (await http.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
        run = {"assistant_id": "user_told", "input": {}}
        answer = await http.post(f"/threads/{thread}/runs/wait", json=run, headers=ALICE)
        state = await http.get(f"/threads/{thread}/state", headers=ALICE)
        api_contexts.seen.clear()
        await http.get("/assistants/made/graph", headers=ALICE)

    alice = {
        "identity": "alice",
        "display_name": "Alice",
        "permissions": ["chat"],
        "city": "Oslo",
        "is_authenticated": True,
    }
    found = answer.json()["told"]
    for way in ("json", "pydantic", "msgpack", "state", "fields"):
        assert found[way] == alice
    assert (found["identity"], found["attribute"]) == ("alice", "Oslo")
    assert state.json()["values"]["told"]["state"] == alice
    look = api_contexts.seen[0]
    assert (look["langgraph_auth_user"], look["langgraph_auth_user_id"]) == (alice, "alice")
