"""What each stream mode brings, alone and in lists, of subgraphs, and in the SDK's second format."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import UnprocessableEntityError

SAY = {"messages": [{"role": "user", "content": "say"}]}


async def streamed(client: LangGraphClient, graph: str, **options: Any) -> list[Any]:
    """The parts of a run's stream on a new thread, without its first, the metadata."""
    thread_id = (await client.threads.create())["thread_id"]
    parts = [part async for part in client.runs.stream(thread_id, graph, **{"input": {}, **options})]
    return parts[1:]


def names(parts: list[Any]) -> list[str]:
    return [part.event.split(":")[0] for part in parts]


async def test_values_are_the_state_after_each_step(client: LangGraphClient) -> None:
    parts = await streamed(client, "steps", input={"steps": ["given"]}, stream_mode="values")

    assert [part.data["steps"] for part in parts] == [
        ["given"],
        ["given", "first"],
        ["given", "first", "second"],
    ]


async def test_values_are_what_comes_when_no_mode_is_named(client: LangGraphClient) -> None:
    assert set(names(await streamed(client, "steps"))) == {"values"}


async def test_updates_are_what_each_node_returned(client: LangGraphClient) -> None:
    parts = await streamed(client, "steps", stream_mode="updates")

    assert [part.data for part in parts] == [
        {"first": {"steps": ["first"]}},
        {"second": {"steps": ["second"]}},
    ]


async def test_custom_is_what_a_node_wrote(client: LangGraphClient) -> None:
    assert [part.data for part in await streamed(client, "steps", stream_mode="custom")] == [
        {"progress": "half"}
    ]


async def test_tasks_begin_with_their_input_and_end_with_their_result(client: LangGraphClient) -> None:
    parts = await streamed(client, "steps", stream_mode="tasks")

    begun = [part.data["name"] for part in parts if "input" in part.data]
    ended = {part.data["name"]: part.data["result"] for part in parts if "result" in part.data}
    assert begun == ["first", "second"]
    assert ended == {"first": {"steps": ["first"]}, "second": {"steps": ["second"]}}


async def test_checkpoints_tell_values_and_what_is_next(client: LangGraphClient) -> None:
    parts = await streamed(client, "steps", stream_mode="checkpoints")

    assert [part.data["next"] for part in parts[-3:]] == [["first"], ["second"], []]
    assert parts[-1].data["values"] == {"steps": ["first", "second"]}
    assert parts[-1].data["config"]["configurable"]["checkpoint_id"]


async def test_debug_is_checkpoints_and_tasks(client: LangGraphClient) -> None:
    parts = await streamed(client, "steps", stream_mode="debug")

    assert {part.data["type"] for part in parts} == {"checkpoint", "task", "task_result"}
    assert {part.data["payload"].get("name") for part in parts if part.data["type"] == "task"} == {
        "first",
        "second",
    }


async def test_events_are_those_of_the_graphs_parts(client: LangGraphClient) -> None:
    parts = await streamed(client, "chat", input=SAY, stream_mode="events")

    kinds = {part.data["event"] for part in parts}
    assert {"on_chain_start", "on_chat_model_stream", "on_chain_end"} <= kinds


async def test_messages_grow_from_metadata_over_partial_to_what_was_said(client: LangGraphClient) -> None:
    parts = await streamed(client, "chat", input=SAY, stream_mode="messages")

    assert set(names(parts)) >= {"messages/metadata", "messages/partial"}
    [announced] = [part.data for part in parts if part.event == "messages/metadata"]
    assert announced["said"]["metadata"]["langgraph_node"] == "answer"
    partial = [part.data[0] for part in parts if part.event == "messages/partial"]
    assert next(one["content"] for one in partial) == "a" and partial[-1]["content"] == "a b c"
    assert {one["id"] for one in partial} == {"said"}


async def test_messages_as_tuples_are_single_tokens_with_their_node(client: LangGraphClient) -> None:
    parts = await streamed(client, "chat", input=SAY, stream_mode="messages-tuple")

    assert set(names(parts)) == {"messages"}
    assert "".join(part.data[0]["content"] for part in parts) == "a b c"
    assert {part.data[1]["langgraph_node"] for part in parts} == {"answer"}


async def test_a_list_of_modes_brings_all_of_them(client: LangGraphClient) -> None:
    modes: Any = ["values", "updates", "custom", "tasks", "checkpoints", "debug", "events", "messages-tuple"]

    parts = await streamed(client, "steps", stream_mode=modes)

    assert set(names(parts)) == set(modes) - {"messages-tuple"}


@pytest.mark.parametrize("mode", ["values", "updates", "tasks", "checkpoints", "debug"])
async def test_subgraphs_are_told_only_when_asked_for(client: LangGraphClient, mode: Any) -> None:
    without = await streamed(client, "nested", stream_mode=mode)
    within = await streamed(client, "nested", stream_mode=mode, stream_subgraphs=True)

    assert set(names(without)) == {mode}
    assert set(names(within)) == {mode, f"{mode}|inner"}


async def test_tokens_of_a_subgraph_carry_its_namespace_and_messages_that_grow_do_not(
    client: LangGraphClient,
) -> None:
    tokens = await streamed(
        client, "chat_inside", input=SAY, stream_mode=["messages-tuple", "messages"], stream_subgraphs=True
    )

    assert {"messages|inner", "messages/metadata", "messages/partial"} <= set(names(tokens))
    assert not any(name.startswith("messages/") and "|" in name for name in names(tokens))


async def test_a_checkpoint_of_debug_names_itself_its_parent_and_those_inside(
    client: LangGraphClient,
) -> None:
    parts = await streamed(client, "nested", stream_mode="debug", stream_subgraphs=True)

    told = [part.data["payload"] for part in parts if part.data["type"] == "checkpoint"]
    outer = [one for one in told if one["checkpoint"]["checkpoint_ns"] == ""]
    assert [one["parent_checkpoint"] for one in outer] == [None, *(one["checkpoint"] for one in outer[:-1])]
    [task] = [
        task for one in outer for task in one["tasks"] if task["name"] == "inner" and "result" not in one
    ]
    inside = {one["checkpoint"]["checkpoint_ns"] for one in told} - {""}
    assert {task["checkpoint"]["checkpoint_ns"]} == inside
    assert "state" not in task


async def test_events_leave_out_the_stream_of_the_graph_itself(client: LangGraphClient) -> None:
    parts = await streamed(client, "steps", stream_mode=["events", "values"])

    events = [part.data for part in parts if part.event == "events"]
    assert [one["name"] for one in events if one["event"] == "on_chain_stream"] == ["first", "second"]
    assert {"steps"} < {one["name"] for one in events}


async def test_a_question_is_told_in_the_stream(client: LangGraphClient) -> None:
    updates = await streamed(client, "asks", stream_mode="updates")
    values = await streamed(client, "asks", stream_mode="values")

    assert updates[-1].data["__interrupt__"][0]["value"] == {"question": "which?"}
    assert values[-1].data["__interrupt__"][0]["value"] == {"question": "which?"}


async def test_the_second_format_of_the_sdk_has_types_namespaces_and_questions(
    client: LangGraphClient,
) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    parts: Any = [
        part
        async for part in client.runs.stream(
            thread_id, "asks", input={}, stream_mode=["values", "updates"], version="v2"
        )
    ]

    assert parts[0]["type"] == "metadata"
    assert {part["type"] for part in parts} == {"metadata", "values", "updates"}
    assert [one["value"] for part in parts for one in part["interrupts"]] == [{"question": "which?"}]


@pytest.mark.parametrize("mode", ["tools", "lifecycle", "everything"])
async def test_a_mode_of_other_streams_is_refused(client: LangGraphClient, mode: Any) -> None:
    with pytest.raises(UnprocessableEntityError, match="stream_mode"):
        await streamed(client, "steps", stream_mode=mode)
