"""Assistants and the store through the stock SDK, and LangGraph's own `RemoteGraph`."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid4, uuid5

import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError

DEFAULTS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


async def test_each_graph_has_an_assistant_of_its_name(client: LangGraphClient) -> None:
    by_name = await client.assistants.get("steps")

    assert by_name["assistant_id"] == str(uuid5(DEFAULTS, "steps"))
    assert by_name["assistant_id"] != str(uuid5(NAMESPACE_DNS, "steps"))
    assert (await client.assistants.get(by_name["assistant_id"]))["graph_id"] == "steps"


async def test_an_assistant_has_versions_and_can_go_back(client: LangGraphClient) -> None:
    made = await client.assistants.create("steps", {"tags": ["a"]}, name="mine", metadata={"team": "x"})
    assistant_id = made["assistant_id"]

    changed = await client.assistants.update(assistant_id, name="ours", metadata={"level": 2})
    versions = await client.assistants.get_versions(assistant_id)
    back = await client.assistants.set_latest(assistant_id, 1)

    assert (made["version"], changed["version"]) == (1, 2)
    assert changed["metadata"] == {"team": "x", "level": 2}
    assert [version["version"] for version in versions] == [2, 1]
    assert (back["version"], back["name"]) == (1, "mine")
    await client.assistants.delete(assistant_id)
    with pytest.raises(NotFoundError, match=assistant_id):
        await client.assistants.get(assistant_id)


async def test_the_versions_of_an_assistant_that_is_gone_are_not_found(client: LangGraphClient) -> None:
    assistant_id = (await client.assistants.create("steps"))["assistant_id"]
    await client.assistants.delete(assistant_id)

    with pytest.raises(NotFoundError, match=assistant_id):
        await client.assistants.get_versions(assistant_id)


async def test_assistants_are_searched_and_counted(client: LangGraphClient) -> None:
    tag = str(uuid4())
    for name in ("north", "south", "Northern"):
        await client.assistants.create("chat", name=name, metadata={"tag": tag})

    found: Any = await client.assistants.search(
        metadata={"tag": tag}, name="north", sort_by="name", response_format="object", limit=1
    )

    assert len(found["assistants"]) == 1
    assert found["next"] == "1"
    assert await client.assistants.count(metadata={"tag": tag}) == 3
    assert await client.assistants.count(metadata={"tag": tag}, name="NORTH") == 2
    assert await client.assistants.count(metadata={"tag": tag}, graph_id="steps") == 0


async def test_an_assistant_of_no_graph_is_refused(client: LangGraphClient) -> None:
    with pytest.raises(NotFoundError, match="graph 'nothing' not found"):
        await client.assistants.create("nothing")


async def test_an_assistant_id_is_taken_once(client: LangGraphClient) -> None:
    assistant_id = str(uuid4())
    await client.assistants.create("steps", assistant_id=assistant_id)

    with pytest.raises(ConflictError, match=assistant_id):
        await client.assistants.create("steps", assistant_id=assistant_id)
    again = await client.assistants.create("chat", assistant_id=assistant_id, if_exists="do_nothing")

    assert again["graph_id"] == "steps"


async def test_a_graph_shows_its_nodes_schemas_and_subgraphs(client: LangGraphClient) -> None:
    drawing = await client.assistants.get_graph("steps")
    inside = await client.assistants.get_graph("nested", xray=True)
    schemas = await client.assistants.get_schemas("steps")
    subgraphs = await client.assistants.get_subgraphs("nested", recurse=True)

    assert {node["id"] for node in drawing["nodes"]} == {"__start__", "first", "second", "__end__"}
    assert any("child" in str(node["id"]) for node in inside["nodes"])
    assert schemas["input_schema"] and "steps" in schemas["input_schema"]["properties"]
    assert list(subgraphs) == ["inner"]
    assert subgraphs["inner"]["state_schema"]


async def test_a_drawn_node_tells_its_name_and_not_its_class(client: LangGraphClient) -> None:
    drawing = await client.assistants.get_graph("steps")

    assert [node.get("data") for node in drawing["nodes"] if node["id"] == "first"] == [{"name": "first"}]


async def test_schemas_are_told_under_the_name_of_the_graph(client: LangGraphClient) -> None:
    unnamed, named = [await client.assistants.get_schemas(graph) for graph in ("steps", "named")]

    assert unnamed["state_schema"] and unnamed["state_schema"]["title"] == "steps_state"
    assert named["state_schema"] and named["state_schema"]["title"] == "SupportState"


async def test_a_graph_that_has_a_name_gives_it_to_its_assistant(client: LangGraphClient) -> None:
    assert (await client.assistants.get("named"))["name"] == "Support"
    assert (await client.assistants.get("steps"))["name"] == "steps"


async def test_the_configuration_of_an_assistant_stands_under_that_of_a_run(client: LangGraphClient) -> None:
    assistant = await client.assistants.create(
        "steps", {"configurable": {"model": "small", "style": "short"}, "tags": ["a"]}
    )
    thread_id = (await client.threads.create())["thread_id"]

    run: Any = await client.runs.create(
        thread_id,
        assistant["assistant_id"],
        input={},
        config={"configurable": {"model": "large"}, "tags": ["b"], "recursion_limit": 7},
    )

    config = run["kwargs"]["config"]
    assert config["configurable"]["model"] == "large"
    assert config["configurable"]["style"] == "short"
    assert (config["tags"], config["recursion_limit"]) == (["a", "b"], 7)
    await client.runs.join(thread_id, run["run_id"])


async def test_items_are_stored_found_and_deleted(client: LangGraphClient) -> None:
    space = ["users", str(uuid4())]
    await client.store.put_item(space, "tea", {"kind": "green", "cups": 2})
    await client.store.put_item(space, "cake", {"kind": "plum"})

    item = await client.store.get_item(space, "tea")
    found = await client.store.search_items(space, filter={"kind": "plum"})
    spaces = await client.store.list_namespaces(prefix=space)
    await client.store.delete_item(space, "tea")

    assert (item["namespace"], item["value"]) == (space, {"kind": "green", "cups": 2})
    assert [one["key"] for one in found["items"]] == ["cake"]
    assert spaces["namespaces"] == [space]
    assert await client.store.get_item(space, "tea") is None


async def test_a_remote_graph_is_used_like_a_local_one(client: LangGraphClient, url: str) -> None:
    remote = RemoteGraph("asks", client=client)
    config: Any = {"configurable": {"thread_id": (await client.threads.create())["thread_id"]}}

    chunks = [chunk async for chunk in remote.astream({"text": "t"}, config, stream_mode="updates")]
    waiting = await remote.aget_state(config)
    values = await remote.ainvoke(Command(resume="green"), config)
    history = [snapshot async for snapshot in remote.aget_state_history(config)]

    assert chunks[0] == {"first": {"steps": ["first"]}}
    assert "__interrupt__" in chunks[1]
    assert waiting.next == ("ask",)
    assert values == {"steps": ["first", "told green", "second"], "text": "t"}
    assert history[0].values == values
    assert "ask" in (await remote.aget_graph()).nodes
    changed = await remote.aupdate_state(config, {"text": "u"}, as_node="second")
    assert (await remote.aget_state(changed)).values["text"] == "u"


async def test_a_remote_graph_without_a_thread_runs_alone(client: LangGraphClient) -> None:
    assert await RemoteGraph("steps", client=client).ainvoke({}) == {"steps": ["first", "second"]}
