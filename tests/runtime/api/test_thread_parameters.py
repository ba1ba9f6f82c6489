"""What operations on threads may be given, parameter by parameter."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError


async def new_thread(client: LangGraphClient, **given: Any) -> str:
    return str((await client.threads.create(**given))["thread_id"])


def ids(threads: Any) -> list[str]:
    return [thread["thread_id"] for thread in threads]


async def test_threads_are_found_and_counted_by_each_status(client: LangGraphClient) -> None:
    tag = {"tag": str(uuid4())}
    made = {
        state: await new_thread(client, metadata=tag) for state in ("idle", "busy", "interrupted", "error")
    }
    await client.runs.wait(made["interrupted"], "asks", input={})
    await client.runs.wait(made["error"], "broken", input={}, raise_error=False)
    run = await client.runs.create(made["busy"], "slow", input={"text": made["busy"]})
    await entrance(made["busy"]).wait()

    found = {state: ids(await client.threads.search(metadata=tag, status=state)) for state in made}  # type: ignore[arg-type]
    counts = [await client.threads.count(metadata=tag, status=state) for state in made]  # type: ignore[arg-type]
    gate(made["busy"]).set()
    await client.runs.join(made["busy"], run["run_id"])

    assert found == {state: [thread_id] for state, thread_id in made.items()}
    assert counts == [1, 1, 1, 1]


async def test_threads_are_found_and_counted_by_their_values(client: LangGraphClient) -> None:
    text = str(uuid4())
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={"text": text})

    assert ids(await client.threads.search(values={"text": text})) == [thread_id]
    assert await client.threads.count(values={"text": text}) == 1
    assert await client.threads.count(values={"text": "other"}, metadata={"none": 1}) == 0


async def test_only_the_threads_named_are_found(client: LangGraphClient) -> None:
    one, two = await new_thread(client), await new_thread(client)

    assert set(ids(await client.threads.search(ids=[one, two, str(uuid4())]))) == {one, two}


async def test_threads_are_sorted_by_each_field_in_both_directions(client: LangGraphClient) -> None:
    tag = {"tag": str(uuid4())}
    first, second, third = [await new_thread(client, metadata=tag) for _ in range(3)]
    await client.runs.wait(second, "asks", input={})
    await client.runs.wait(first, "steps", input={})
    await client.threads.update(third, metadata={"late": True})
    expected: Any = {
        "created_at": [first, second, third],
        "updated_at": [second, first, third],
        "thread_id": sorted([first, second, third]),
    }

    for field, order in expected.items():
        rising = await client.threads.search(metadata=tag, sort_by=field, sort_order="asc")
        falling = await client.threads.search(metadata=tag, sort_by=field, sort_order="desc")
        assert (field, ids(rising), ids(falling)) == (field, order, order[::-1])
    by_status = await client.threads.search(metadata=tag, sort_by="status", sort_order="desc")
    by_state: Any = await client.threads.search(metadata=tag, sort_by="state_updated_at", sort_order="desc")
    assert ids(by_status)[0] == second
    assert ids(by_state)[0] == first


async def test_each_field_of_a_thread_can_be_asked_for(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "asks", input={})
    [whole] = await client.threads.search(ids=[thread_id])
    fields: Any = ["thread_id", "created_at", "updated_at", "metadata", "config", "status", "values"]

    for field in (*fields, "interrupts"):
        assert await client.threads.search(ids=[thread_id], select=[field]) == [{field: whole[field]}]


async def test_a_thread_is_made_of_its_graph(client: LangGraphClient) -> None:
    thread_id = await new_thread(client, graph_id="steps", metadata={"a": 1})

    await client.threads.update_state(thread_id, {"text": "before any run"}, as_node="__start__")

    thread = await client.threads.get(thread_id)
    assert thread["metadata"] == {"a": 1, "graph_id": "steps"}
    assert (await client.threads.get_state(thread_id))["next"] == ["first"]


async def test_supersteps_may_be_commands(client: LangGraphClient) -> None:
    steps: Any = [
        {"updates": [{"values": {"text": "old"}, "as_node": "__start__"}]},
        {"updates": [{"values": None, "command": {"update": {"steps": ["moved"]}}, "as_node": "first"}]},
    ]

    thread_id = await new_thread(client, graph_id="steps", supersteps=steps)

    state: Any = await client.threads.get_state(thread_id)
    assert (state["values"], state["next"]) == ({"text": "old", "steps": ["moved"]}, ["second"])
    assert len(await client.threads.get_history(thread_id)) == 2


async def test_the_state_of_subgraphs_is_told_when_asked_for(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "asks_inside", input={})

    without: Any = await client.threads.get_state(thread_id)
    within: Any = await client.threads.get_state(thread_id, subgraphs=True)

    [asking] = [task for task in within["tasks"] if task["name"] == "inner"]
    [closed] = [task for task in without["tasks"] if task["name"] == "inner"]
    assert (closed["state"], asking["state"]["values"]["steps"]) == (None, ["before"])
    at = closed["checkpoint"]
    inner: Any = await client.threads.get_state(thread_id, at)
    assert (inner["values"]["steps"], inner["next"]) == (["before"], ["ask"])
    whole = await client.threads.get_state(thread_id, within["checkpoint"], subgraphs=True)
    assert [task["state"] for task in whole["tasks"]] == [task["state"] for task in within["tasks"]]


@pytest.mark.parametrize("way", ["latest", "checkpoint", "checkpoint_id"])
async def test_only_the_fields_of_a_state_asked_for_come(client: LangGraphClient, way: str) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={"text": "x"})
    at: Any = (await client.threads.get_state(thread_id))["checkpoint"]
    named: Any = {"latest": {}, "checkpoint": {"checkpoint": at}}
    where = named.get(way, {"checkpoint_id": at["checkpoint_id"]})

    some = await client.threads.get_state(thread_id, select=["next", "checkpoint"], **where)
    key = await client.threads.get_state(thread_id, select=["values.text"], **where)

    assert some == {"next": [], "checkpoint": at}
    assert key == {"values": {"text": "x"}}


async def test_history_is_of_the_subgraph_named(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "asks_inside", input={})
    state: Any = await client.threads.get_state(thread_id)
    [inner] = [task["checkpoint"] for task in state["tasks"] if task["name"] == "inner"]

    history = await client.threads.get_history(thread_id, checkpoint=inner)

    assert {one["checkpoint"]["checkpoint_ns"] for one in history} == {inner["checkpoint_ns"]}  # type: ignore[index]
    assert [one["next"] for one in history] == [["ask"], ["before"], ["__start__"]]


async def test_history_goes_back_from_an_id_and_has_only_what_is_asked_for(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={"text": "x"})
    whole: Any = await client.threads.get_history(thread_id)

    older: Any = await client.threads.get_history(
        thread_id,
        before=whole[1]["checkpoint"]["checkpoint_id"],
        limit=1,
        select=["checkpoint", "values.text"],
    )

    assert older == [{"checkpoint": whole[2]["checkpoint"], "values": {"text": "x"}}]


@pytest.mark.parametrize("named_by", ["checkpoint_id", "checkpoint"])
async def test_a_state_is_changed_at_a_checkpoint(client: LangGraphClient, named_by: str) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={"text": "x"})
    [at] = [
        one["checkpoint"] for one in await client.threads.get_history(thread_id) if one["next"] == ["second"]
    ]
    named: Any = {"checkpoint": at} if named_by == "checkpoint" else {"checkpoint_id": at["checkpoint_id"]}

    changed = await client.threads.update_state(thread_id, {"text": "y"}, **named)

    state: Any = await client.threads.get_state(thread_id)
    assert state["checkpoint"]["checkpoint_id"] == changed["checkpoint"]["checkpoint_id"]
    assert state["parent_checkpoint"]["checkpoint_id"] == at["checkpoint_id"]
    assert (state["values"], state["next"]) == ({"steps": ["first"], "text": "y"}, ["second"])


async def test_a_change_is_made_as_the_node_that_ran_last_or_the_one_named(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={}, interrupt_before=["second"])

    await client.threads.update_state(thread_id, {"text": "as first"})
    waiting = await client.threads.get_state(thread_id)
    await client.threads.update_state(thread_id, None, as_node="second")
    done = await client.threads.get_state(thread_id)

    assert (waiting["next"], done["next"]) == (["second"], [])
    with pytest.raises(UnprocessableEntityError):
        await client.threads.update_state(thread_id, {"unknown": 1}, as_node="nobody")


async def test_a_copy_has_its_own_id_and_the_same_history(client: LangGraphClient) -> None:
    thread_id = await new_thread(client, metadata={"user": "ada"})
    await client.runs.wait(thread_id, "steps", input={"text": "x"})

    copied: Any = await client.threads.copy(thread_id)

    assert copied["thread_id"] != thread_id
    assert (copied["metadata"]["user"], copied["values"]) == (
        "ada",
        {"steps": ["first", "second"], "text": "x"},
    )
    [one, two] = [await client.threads.get_history(each) for each in (thread_id, copied["thread_id"])]
    assert [state["values"] for state in one] == [state["values"] for state in two]
    with pytest.raises(NotFoundError):
        await client.threads.copy(str(uuid4()))


async def test_history_before_a_configuration_is_that_before_its_checkpoint(
    client: LangGraphClient, url: str
) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={})
    whole = await client.threads.get_history(thread_id)

    # JavaScript's client gives a configuration, Python's the checkpoint itself.
    before = {"configurable": {"checkpoint_id": whole[0]["checkpoint"]["checkpoint_id"]}}
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(f"/threads/{thread_id}/history", json={"before": before, "limit": 2})

    assert [state["checkpoint_id"] for state in answer.json()] == [
        state["checkpoint"]["checkpoint_id"] for state in whole[1:3]
    ]


async def test_a_checkpoint_made_by_hand_says_which_graph_it_is_of(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create(metadata={"graph_id": "steps"}))["thread_id"]

    await client.threads.update_state(thread_id, {"text": "by hand"}, as_node="first")

    assert (await client.threads.get_state(thread_id))["metadata"]["graph_id"] == "steps"  # type: ignore[index]
