"""What a run may be given, parameter by parameter: each story fails where its parameter is ignored."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from api_graphs import entrance, gate
from api_replicas import Replica
from httpx import HTTPStatusError
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from support.due_runs import LATER_SECONDS, make_due


async def new_thread(client: LangGraphClient) -> str:
    return str((await client.threads.create())["thread_id"])


async def told(client: LangGraphClient, assistant: str = "settings", **given: Any) -> dict[str, Any]:
    """What a graph finds of the settings that its run was given."""
    values: Any = await client.runs.wait(await new_thread(client), assistant, input={}, **given)
    found: dict[str, Any] = values["told"]
    return found


async def ways(client: LangGraphClient, thread_id: str | None, graph: str, **given: Any) -> list[Any]:
    """The same run in each of the three ways: waited for, streamed, in the background."""
    waited = await client.runs.wait(thread_id, graph, **given)
    last = [part async for part in client.runs.stream(thread_id, graph, **given)][-1].data
    run = await client.runs.create(thread_id, graph, **given)
    return [waited, last, await client.runs.join(run["thread_id"], run["run_id"])]


async def test_the_configuration_reaches_the_graph(client: LangGraphClient) -> None:
    config: Any = {"configurable": {"odd": 1}, "tags": ["x"], "metadata": {"from_config": "c"}}

    found = await told(client, config=config, metadata={"from_run": "r"})

    assert found["configurable"]["odd"] == 1
    assert found["tags"] == ["x"]
    assert found["metadata"] == {"from_run": "r", "from_config": "c", "graph_id": "settings"}


async def test_the_recursion_limit_stops_a_run(client: LangGraphClient) -> None:
    with pytest.raises(Exception, match="GraphRecursionError"):
        await client.runs.wait(await new_thread(client), "steps", input={}, config={"recursion_limit": 1})


async def test_the_context_reaches_the_graph_by_itself_and_in_its_configuration(
    client: LangGraphClient,
) -> None:
    found = await told(client, context={"model": "large", "odd": 1})

    assert found["context"] == {"model": "large", "style": "none"}
    assert found["configurable"]["model"] == "large"


async def test_a_configuration_from_before_there_was_a_context_is_the_context(
    client: LangGraphClient,
) -> None:
    found = await told(client, config={"configurable": {"model": "large", "odd": 1}})

    assert found["context"] == {"model": "large", "style": "none"}
    assert found["configurable"]["odd"] == 1


async def test_the_context_of_an_assistant_stands_under_that_of_a_run(client: LangGraphClient) -> None:
    assistant = await client.assistants.create("settings", context={"model": "small", "style": "short"})

    found = await told(client, assistant["assistant_id"], context={"model": "large"})

    assert found["context"] == {"model": "large", "style": "short"}
    early = await told(client, assistant["assistant_id"], config={"configurable": {"model": "early"}})
    assert early["context"] == {"model": "early", "style": "short"}


@pytest.mark.parametrize(
    ("given", "done", "following"),
    [
        ({"interrupt_before": ["second"]}, ["first"], ["second"]),
        ({"interrupt_before": "*"}, [], ["first"]),
        ({"interrupt_after": ["first"]}, ["first"], ["second"]),
        ({"interrupt_after": "*"}, ["first"], ["second"]),
        ({"interrupt_before": ["elsewhere"]}, ["first", "second"], []),
    ],
)
async def test_a_run_stops_at_the_nodes_named(
    client: LangGraphClient, given: Any, done: list[str], following: list[str]
) -> None:
    for run in (client.runs.wait, client.runs.create):
        thread_id = await new_thread(client)
        made: Any = await run(thread_id, "steps", input={"text": "x"}, **given)
        if "run_id" in made:
            await client.runs.join(thread_id, made["run_id"])

        state: Any = await client.threads.get_state(thread_id)
        assert (state["values"].get("steps", []), state["next"]) == (done, following)


async def test_a_stream_stops_at_the_nodes_named(client: LangGraphClient) -> None:
    stopped = client.runs.stream(
        await new_thread(client), "steps", input={}, stream_mode="updates", interrupt_before=["second"]
    )

    updates = [part.data async for part in stopped][1:]

    assert [list(update) for update in updates] == [["first"], ["__interrupt__"]]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"durability": "sync"}, 4),
        ({"durability": "async"}, 4),
        ({"durability": "exit"}, 1),
        ({"checkpoint_during": True}, 4),
        ({"checkpoint_during": False}, 1),
        ({"checkpoint_during": False, "durability": "sync"}, 4),
    ],
)
@pytest.mark.filterwarnings("ignore:`checkpoint_during` is deprecated")
async def test_durability_says_which_steps_are_kept(
    client: LangGraphClient, given: dict[str, Any], kept: int
) -> None:
    thread_id = await new_thread(client)

    await client.runs.wait(thread_id, "steps", input={}, **given)

    assert len(await client.threads.get_history(thread_id, limit=100)) == kept


async def test_a_question_is_answered_by_its_id(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    asked: Any = await client.runs.wait(thread_id, "asks_both", input={})
    ids = {one["value"]: one["id"] for one in asked["__interrupt__"]}

    half: Any = await client.runs.wait(thread_id, "asks_both", command={"resume": {ids["right?"]: "yes"}})
    whole: Any = await client.runs.wait(thread_id, "asks_both", command={"resume": {ids["left?"]: "no"}})

    assert [one["value"] for one in half["__interrupt__"]] == ["left?"]
    assert sorted(whole["steps"]) == ["left no", "right yes"]


async def test_an_answer_to_a_question_that_was_answered_is_not_given_to_the_one_that_waits(
    client: LangGraphClient,
) -> None:
    thread_id = await new_thread(client)
    asked: Any = await client.runs.wait(thread_id, "asks_both", input={})
    ids = {one["value"]: one["id"] for one in asked["__interrupt__"]}
    await client.runs.wait(thread_id, "asks_both", command={"resume": {ids["right?"]: "yes"}})

    again: Any = await client.runs.wait(thread_id, "asks_both", command={"resume": {ids["right?"]: "no"}})
    whole: Any = await client.runs.wait(thread_id, "asks_both", command={"resume": {ids["left?"]: "so"}})

    assert [one["value"] for one in again["__interrupt__"]] == ["left?"]
    assert sorted(whole["steps"]) == ["left so", "right yes"]


@pytest.mark.parametrize(
    ("goto", "added"),
    [
        ("second", ["second"]),
        (["second"], ["second"]),
        ({"node": "second", "input": {"steps": []}}, ["second"]),
        ([{"node": "first", "input": {}}, {"node": "second", "input": {}}], ["first", "second", "second"]),
    ],
)
async def test_a_command_goes_where_it_says(client: LangGraphClient, goto: Any, added: list[str]) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={})

    values: Any = await client.runs.wait(thread_id, "steps", command={"goto": goto})

    assert values["steps"][2:] == added


@pytest.mark.parametrize("update", [{"text": "new"}, [["text", "new"]]])
async def test_a_command_updates_the_state_by_keys_or_pairs(client: LangGraphClient, update: Any) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={"text": "old"})

    values: Any = await client.runs.wait(thread_id, "steps", command={"update": update})

    assert values["text"] == "new"


async def test_a_command_is_taken_in_every_way_of_running(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={})

    found = await ways(client, thread_id, "steps", command={"goto": "second"})

    assert [len(values["steps"]) for values in found] == [3, 4, 5]


@pytest.mark.parametrize("named_by", ["checkpoint_id", "checkpoint"])
async def test_every_way_of_running_goes_on_from_a_checkpoint(client: LangGraphClient, named_by: str) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={"text": "one"})
    past = await client.threads.get_history(thread_id, limit=100)
    [at] = [state["checkpoint"] for state in past if state["next"] == ["second"]]
    named: Any = {"checkpoint": at} if named_by == "checkpoint" else {"checkpoint_id": at["checkpoint_id"]}

    found = await ways(client, thread_id, "steps", input=None, **named)

    assert [values["steps"] for values in found] == [["first", "second"]] * 3


@pytest.mark.parametrize(
    "named",
    [
        {"checkpoint_id": "nope"},
        {"checkpoint": {"checkpoint_id": "nope"}},
        {"config": {"configurable": {"checkpoint_id": "nope"}}},
    ],
    ids=["id", "checkpoint", "config"],
)
async def test_what_can_be_no_checkpoint_does_not_begin_a_thread_anew(
    client: LangGraphClient, named: Any
) -> None:
    thread_id = await new_thread(client)
    before: Any = await client.runs.wait(thread_id, "steps", input={})

    for refused in (
        client.runs.wait(thread_id, "steps", input={}, **named),
        client.runs.create(thread_id, "steps", input={}, **named),
        *([] if "config" in named else [client.threads.update_state(thread_id, {"steps": []}, **named)]),
    ):
        with pytest.raises((UnprocessableEntityError, HTTPStatusError), match=r"UUID|422"):
            await refused

    assert (await client.threads.get_state(thread_id))["values"] == before


MISSING: Any = "1f0a0000-0000-6000-8000-000000000000"


@pytest.mark.parametrize(
    "named",
    [
        {"checkpoint_id": MISSING},
        {"checkpoint": {"checkpoint_id": MISSING}},
        {"checkpoint": {"checkpoint_id": MISSING, "checkpoint_ns": "inner:1"}},
        {"config": {"configurable": {"checkpoint_id": MISSING}}},
    ],
    ids=["id", "checkpoint", "subgraph", "config"],
)
@pytest.mark.parametrize(
    "asked", [{"input": {}}, {"input": None}, {"command": {"resume": 1}}, {"command": {"goto": "second"}}]
)
async def test_a_checkpoint_that_is_not_there_does_not_begin_a_thread_anew(
    client: LangGraphClient, named: Any, asked: Any
) -> None:
    thread_id = await new_thread(client)
    before: Any = await client.runs.wait(thread_id, "steps", input={})

    run = await client.runs.create(thread_id, "steps", **asked, **named)
    refused: Any = await client.runs.join(thread_id, run["run_id"])

    assert refused["__error__"]["error"] == "CheckpointNotFoundError"
    assert MISSING in refused["__error__"]["message"]
    thread = await client.threads.get(thread_id)
    assert (thread["status"], thread["values"]) == ("idle", before)


@pytest.mark.parametrize("named", [{"checkpoint_id": MISSING}, {"checkpoint": {"checkpoint_id": MISSING}}])
async def test_a_checkpoint_that_is_not_there_is_not_changed(client: LangGraphClient, named: Any) -> None:
    thread_id = await new_thread(client)
    before: Any = await client.runs.wait(thread_id, "steps", input={})

    with pytest.raises(NotFoundError, match=MISSING):
        await client.threads.update_state(thread_id, {"steps": ["by hand"]}, **named)

    assert (await client.threads.get_state(thread_id))["values"] == before


async def test_a_run_of_a_missing_thread_makes_it_or_not_in_every_way(client: LangGraphClient) -> None:
    with pytest.raises(HTTPStatusError, match="404"):
        await client.runs.wait(str(uuid4()), "steps", input={})
    with pytest.raises(NotFoundError):
        [part async for part in client.runs.stream(str(uuid4()), "steps", input={}, if_not_exists="reject")]
    made = str(uuid4())

    parts = [part async for part in client.runs.stream(made, "steps", input={}, if_not_exists="create")]
    run = await client.runs.create(str(uuid4()), "steps", input={}, if_not_exists="create")

    assert parts[-1].data["steps"] == ["first", "second"]
    assert (await client.threads.get(made))["status"] == "idle"
    assert await client.runs.join(run["thread_id"], run["run_id"])


async def test_a_delayed_run_runs_when_its_time_has_come(replica: Replica) -> None:
    client = replica.client
    thread_id = await new_thread(client)

    run = await client.runs.create(thread_id, "steps", input={}, after_seconds=LATER_SECONDS)
    before = await client.runs.get(thread_id, run["run_id"])
    make_due(replica.services.settings, run["run_id"])
    values: Any = await client.runs.join(thread_id, run["run_id"])

    assert before["status"] == "pending"
    assert values["steps"] == ["first", "second"]


@pytest.mark.parametrize("way", ["wait", "stream"])
async def test_a_stateless_run_keeps_its_thread_when_asked_to(client: LangGraphClient, way: str) -> None:
    named: list[Any] = []
    options: Any = {"input": {}, "on_run_created": named.append}

    for completion in ("keep", "delete"):
        if way == "wait":
            await client.runs.wait(None, "steps", on_completion=completion, **options)
        else:
            [part async for part in client.runs.stream(None, "steps", on_completion=completion, **options)]

    kept, gone = named
    assert (await client.threads.get(kept["thread_id"]))["values"]["steps"] == ["first", "second"]  # type: ignore[index]
    with pytest.raises(NotFoundError):
        await client.threads.get(gone["thread_id"])


async def test_a_stream_names_its_run(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    named: list[Any] = []

    parts = [
        part async for part in client.runs.stream(thread_id, "steps", input={}, on_run_created=named.append)
    ]

    assert named == [{"run_id": parts[0].data["run_id"], "thread_id": thread_id}]


async def test_the_metadata_of_a_run_is_kept_with_it_and_its_checkpoints(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)

    await ways(client, thread_id, "steps", input={}, metadata={"by": "night"})

    runs = await client.runs.list(thread_id)
    state: Any = await client.threads.get_state(thread_id)
    assert [run["metadata"]["by"] for run in runs] == ["night"] * 3
    assert state["metadata"]["by"] == "night"
    assert await client.threads.get_history(thread_id, metadata={"by": "day"}) == []


@pytest.mark.parametrize("strategy", ["reject", "enqueue", "interrupt", "rollback"])
async def test_a_strategy_holds_for_streamed_and_background_runs_too(
    client: LangGraphClient, strategy: Any
) -> None:
    thread_id = await new_thread(client)
    old = await client.runs.create(thread_id, "slow", input={"text": thread_id, "steps": ["old"]})
    await entrance(thread_id).wait()
    options: Any = {"input": {"steps": ["new"]}, "multitask_strategy": strategy}

    if strategy == "reject":
        with pytest.raises(ConflictError):
            [part async for part in client.runs.stream(thread_id, "steps", **options)]
        gate(thread_id).set()
        await client.runs.join(thread_id, old["run_id"])
        return
    new = await client.runs.create(thread_id, "steps", **options)
    if strategy == "enqueue":
        gate(thread_id).set()
    values: Any = await client.runs.join(thread_id, new["run_id"])

    assert (
        values["steps"]
        == {
            "enqueue": ["old", "first", "waited", "second", "new", "first", "second"],
            "interrupt": ["old", "first", "new", "first", "second"],
            "rollback": ["new", "first", "second"],
        }[strategy]
    )


@pytest.mark.parametrize("command", [{}, {"resume": None}, {"update": None, "goto": None}])
async def test_a_command_that_says_nothing_leaves_the_run_its_input(
    client: LangGraphClient, command: Any
) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    values: Any = await client.runs.wait(thread_id, "steps", input={"text": "given"}, command=command)

    assert values == {"text": "given", "steps": ["first", "second"]}


async def test_the_metadata_of_a_thread_reach_its_graphs_below_those_of_the_run(
    client: LangGraphClient,
) -> None:
    thread_id = (await client.threads.create(metadata={"from_run": "t", "from_config": "t", "x": 1}))[
        "thread_id"
    ]

    values: Any = await client.runs.wait(thread_id, "settings", input={}, metadata={"from_run": "r"})

    (run,) = await client.runs.list(thread_id)
    kept: Any = (await client.threads.get_state(thread_id))["metadata"]
    assert values["told"]["metadata"] == {"from_run": "r", "from_config": "t", "graph_id": "settings"}
    for found in (run["metadata"], kept):
        assert (found["from_run"], found["from_config"], found["x"]) == ("r", "t", 1)


async def test_what_a_thread_is_told_later_reaches_its_later_runs(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "settings", input={})

    await client.threads.update(thread_id, metadata={"from_run": "t", "run_id": "?", "graph_id": "steps"})
    values: Any = await client.runs.wait(thread_id, "settings", input={})

    assert values["told"]["metadata"] == {"from_run": "t", "from_config": None, "graph_id": "settings"}


async def test_no_metadata_of_a_thread_say_who_asks(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create(metadata={"langgraph_auth_user_id": "forged"}))["thread_id"]

    await client.runs.wait(thread_id, "settings", input={})

    kept: Any = (await client.threads.get_state(thread_id))["metadata"]
    assert "forged" not in str(kept)
