"""LangGraph's `RemoteGraph`, method by method: a graph here is used like one in the program itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import LangGraphClient
from typing_extensions import TypedDict

SAY = {"messages": [{"role": "user", "content": "say"}]}


async def thread(client: LangGraphClient) -> RunnableConfig:
    return {"configurable": {"thread_id": (await client.threads.create())["thread_id"]}}


async def streamed(remote: RemoteGraph, *given: Any, **options: Any) -> list[Any]:
    return [part async for part in remote.astream(*given, **options)]


async def test_it_is_invoked_with_settings(client: LangGraphClient) -> None:
    remote = RemoteGraph("settings", client=client)
    config: RunnableConfig = {"configurable": {"odd": 1}, "tags": ["t"], "metadata": {"from_config": "c"}}

    values: Any = await remote.ainvoke({}, config)
    bound: Any = await remote.with_config({"configurable": {"odd": 2}}).ainvoke({})
    by_context: Any = await remote.ainvoke({}, context={"model": "large"})

    told = values["told"]
    assert told["configurable"]["odd"] == 1 and "t" in told["tags"]
    assert told["metadata"]["from_config"] == "c"
    assert bound["told"]["configurable"]["odd"] == 2
    assert by_context["told"]["context"]["model"] == "large"


@pytest.mark.parametrize("mode", ["values", "updates", "custom", "tasks", "checkpoints", "debug"])
async def test_it_streams_in_each_mode(client: LangGraphClient, mode: Any) -> None:
    remote = RemoteGraph("steps", client=client)

    alone = await streamed(remote, {}, await thread(client), stream_mode=mode)
    listed = await streamed(remote, {}, await thread(client), stream_mode=[mode, "updates"])

    assert alone
    assert {part.event for part in listed} == {mode, "updates"}


async def test_it_streams_messages(client: LangGraphClient) -> None:
    parts = await streamed(RemoteGraph("chat", client=client), SAY, stream_mode="messages")

    assert "".join(chunk["content"] for chunk, _ in parts) == "a b c"


async def test_it_streams_its_subgraphs_with_their_namespaces(client: LangGraphClient) -> None:
    parts = await streamed(RemoteGraph("deep", client=client), {}, stream_mode="updates", subgraphs=True)

    assert [len(namespace) for namespace, _ in parts] == [2, 1, 0]


async def test_it_stops_at_nodes_and_goes_on(client: LangGraphClient) -> None:
    remote, config = RemoteGraph("steps", client=client), await thread(client)

    stopped = await streamed(remote, {}, config, stream_mode="updates", interrupt_before=["second"])
    waiting = await remote.aget_state(config)
    after = await streamed(remote, None, config, stream_mode="updates", interrupt_after="*")

    assert [list(update) for update in stopped] == [["first"], ["__interrupt__"]]
    assert waiting.next == ("second",)
    assert "second" in after[0]


async def test_its_questions_are_answered(client: LangGraphClient) -> None:
    remote, config = RemoteGraph("asks", client=client), await thread(client)

    asked = await streamed(remote, {}, config, stream_mode="updates")
    waiting = await remote.aget_state(config)
    values: Any = await remote.ainvoke(Command(resume="blue", update={"text": "too"}), config)

    [question] = asked[-1]["__interrupt__"]
    assert question["value"] == {"question": "which?"}
    assert waiting.tasks[0].interrupts[0].id == waiting.interrupts[0].id
    assert (values["steps"], values["text"]) == (["first", "told blue", "second"], "too")


async def test_its_failure_is_an_exception(client: LangGraphClient) -> None:
    with pytest.raises(RemoteException, match="no tea today"):
        await RemoteGraph("broken", client=client).ainvoke({"text": "tea"})


async def test_its_states_are_read_with_those_of_subgraphs(client: LangGraphClient) -> None:
    remote, config = RemoteGraph("asks_inside", client=client), await thread(client)
    await streamed(remote, {}, config)

    without = await remote.aget_state(config)
    within = await remote.aget_state(config, subgraphs=True)

    [closed] = [task for task in without.tasks if task.name == "inner"]
    [opened] = [task for task in within.tasks if task.name == "inner"]
    assert opened.state.values["steps"] == ["before"]  # type: ignore[union-attr]
    inner = await remote.aget_state(closed.state)  # type: ignore[arg-type]
    assert inner.next == ("ask",)


async def test_its_history_is_filtered_limited_and_gone_back_in(client: LangGraphClient) -> None:
    remote, config = RemoteGraph("steps", client=client), await thread(client)
    await remote.ainvoke({}, config)

    whole = [state async for state in remote.aget_state_history(config)]
    inputs = [state async for state in remote.aget_state_history(config, filter={"source": "input"})]
    older = [state async for state in remote.aget_state_history(config, before=whole[1].config, limit=1)]

    assert [state.next for state in whole] == [(), ("second",), ("first",), ("__start__",)]
    assert [state.config for state in inputs] == [whole[3].config]
    assert [state.config for state in older] == [whole[2].config]


async def test_its_state_is_changed_and_gone_on_from(client: LangGraphClient) -> None:
    remote, config = RemoteGraph("steps", client=client), await thread(client)
    await remote.ainvoke({"text": "x"}, config)
    [past] = [state async for state in remote.aget_state_history(config) if state.next == ("second",)]

    changed = await remote.aupdate_state(past.config, {"text": "y"}, as_node="first")

    state = await remote.aget_state(config)
    values: Any = await remote.ainvoke(None, changed)
    assert (state.values["text"], state.next) == ("y", ("second",))
    assert state.config["configurable"]["checkpoint_id"] == changed["configurable"]["checkpoint_id"]
    assert values == {"steps": ["first", "second"], "text": "y"}


@pytest.mark.parametrize(
    ("xray", "node"), [(False, "outer"), (1, "outer:inner"), (True, "outer:inner:child")]
)
async def test_a_remote_graph_is_drawn_as_deep_as_it_is_asked_for(
    client: LangGraphClient, xray: bool | int, node: str
) -> None:
    drawing = await RemoteGraph("deep", client=client).aget_graph(xray=xray)

    assert set(drawing.nodes) == {"__start__", node, "__end__"}


async def test_it_streams_in_the_third_version(client: LangGraphClient) -> None:
    remote, config = RemoteGraph("steps", client=client), await thread(client)

    async with await remote.astream_events({"text": "x"}, config, version="v3") as run:
        values = await run.output()

    assert values == {"steps": ["first", "second"], "text": "x"}


class Outer(TypedDict, total=False):
    """What the graph of the program and the remote one share."""

    steps: list[str]


async def test_it_is_a_node_of_another_graph(client: LangGraphClient) -> None:
    local = StateGraph(Outer)
    local.add_node("far", RemoteGraph("steps", client=client))
    local.add_edge(START, "far")
    graph = local.compile()

    parts = [part async for part in graph.astream({}, stream_mode="updates", subgraphs=True)]

    assert parts[-1] == ((), {"far": {"steps": ["first", "second"]}})
    assert len([namespace for namespace, _ in parts if namespace]) == 2


async def test_its_methods_are_there_without_async(url: str) -> None:
    def story() -> tuple[Any, ...]:
        with get_sync_client(url=url, api_key=None) as client:
            remote = RemoteGraph("asks", sync_client=client)
            config: RunnableConfig = {"configurable": {"thread_id": client.threads.create()["thread_id"]}}
            asked = list(remote.stream({}, config, stream_mode="updates"))
            waiting = remote.get_state(config)
            values = remote.invoke(Command(resume="blue"), config)
            changed = remote.update_state(config, {"text": "late"}, as_node="second")
            history = list(remote.get_state_history(config, limit=2))
            return asked, waiting, values, changed, history, remote.get_graph()

    asked, waiting, values, changed, history, drawing = await asyncio.to_thread(story)

    assert [list(update) for update in asked] == [["first"], ["__interrupt__"]]
    assert waiting.next == ("ask",)
    assert values["steps"] == ["first", "told blue", "second"]
    assert history[0].config["configurable"]["checkpoint_id"] == changed["configurable"]["checkpoint_id"]
    assert len(history) == 2 and "ask" in drawing.nodes
