"""What the SDK's documentation says of options that no other story here uses: sorting and selecting, what
happens when something exists, where a run starts, and the same through the synchronous client and
`RemoteGraph`."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from support.ports import PATIENCE_SECONDS
from support.receiver import receiving


async def test_threads_are_sorted_and_only_the_fields_asked_for_come(client: LangGraphClient) -> None:
    mark = {"mark": str(uuid4())}
    made = [(await client.threads.create(metadata=mark))["thread_id"] for _ in range(3)]

    rising = await client.threads.search(metadata=mark, sort_by="created_at", sort_order="asc")
    falling = await client.threads.search(metadata=mark, sort_by="created_at", sort_order="desc")
    by_id = await client.threads.search(metadata=mark, sort_by="thread_id", sort_order="asc")
    short = await client.threads.search(metadata=mark, select=["thread_id", "status"], limit=1)

    assert [thread["thread_id"] for thread in rising] == made
    assert [thread["thread_id"] for thread in falling] == made[::-1]
    assert [thread["thread_id"] for thread in by_id] == sorted(made)
    assert [set(thread) for thread in short] == [{"thread_id", "status"}]


async def test_assistants_are_sorted_and_only_the_fields_asked_for_come(client: LangGraphClient) -> None:
    mark = {"mark": str(uuid4())}
    for name in ("b", "a", "c"):
        await client.assistants.create("steps", name=name, metadata=mark)

    rising = await client.assistants.search(metadata=mark, sort_by="name", sort_order="asc")
    short = await client.assistants.search(metadata=mark, select=["name"], limit=10)

    assert [assistant["name"] for assistant in rising] == ["a", "b", "c"]
    assert all(set(assistant) == {"name"} for assistant in short)


async def test_what_exists_is_kept_or_refused_as_asked(client: LangGraphClient) -> None:
    thread_id, assistant_id = str(uuid4()), str(uuid4())
    await client.threads.create(thread_id=thread_id, metadata={"first": True})
    await client.assistants.create("steps", assistant_id=assistant_id, name="first")

    thread = await client.threads.create(thread_id=thread_id, if_exists="do_nothing")
    assistant = await client.assistants.create("chat", assistant_id=assistant_id, if_exists="do_nothing")

    assert thread["metadata"] == {"first": True}
    assert (assistant["name"], assistant["graph_id"]) == ("first", "steps")
    with pytest.raises(ConflictError):
        await client.threads.create(thread_id=thread_id, if_exists="raise")
    with pytest.raises(ConflictError):
        await client.assistants.create("steps", assistant_id=assistant_id, if_exists="raise")


async def test_a_run_of_a_thread_that_is_not_there_is_refused_unless_it_may_make_it(
    client: LangGraphClient,
) -> None:
    thread_id = str(uuid4())

    with pytest.raises(NotFoundError):
        await client.runs.create(thread_id, "steps", input={}, if_not_exists="reject")
    values: Any = await client.runs.wait(thread_id, "steps", input={}, if_not_exists="create")

    assert values["steps"] == ["first", "second"]


@pytest.mark.parametrize("named_by", ["checkpoint_id", "checkpoint"])
async def test_a_run_goes_on_from_a_checkpoint(client: LangGraphClient, named_by: str) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={"text": "one"})
    past = await client.threads.get_history(thread_id, limit=100)
    [after_first] = [state for state in past if state["next"] == ["second"]]
    await client.runs.wait(thread_id, "steps", input={"text": "two"})
    at = after_first["checkpoint"]
    named: Any = {"checkpoint": at} if named_by == "checkpoint" else {"checkpoint_id": at["checkpoint_id"]}

    values: Any = await client.runs.wait(thread_id, "steps", input=None, **named)

    assert (values["text"], values["steps"]) == ("one", ["first", "second"])


async def test_history_is_filtered_and_paged(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread_id, "steps", input={"text": "one"})
    await client.runs.join(thread_id, run["run_id"])
    whole = await client.threads.get_history(thread_id, limit=100)

    older = await client.threads.get_history(thread_id, before=whole[0]["checkpoint"], limit=2)
    inputs = await client.threads.get_history(thread_id, metadata={"source": "input"})

    assert [state["checkpoint"] for state in older] == [state["checkpoint"] for state in whole[1:3]]
    assert [state["metadata"]["source"] for state in inputs] == ["input"]


async def test_a_command_updates_and_resumes_at_once(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks", input={})

    values: Any = await client.runs.wait(
        thread_id, "asks", command={"resume": "yes", "update": {"text": "beside"}}
    )

    assert (values["steps"], values["text"]) == (["first", "told yes", "second"], "beside")


async def test_a_stateless_run_that_is_kept_leaves_its_thread(client: LangGraphClient) -> None:
    kept = await client.runs.create(None, "steps", input={}, on_completion="keep")
    gone = await client.runs.create(None, "steps", input={}, on_completion="delete")
    for run in (kept, gone):
        await client.runs.join(run["thread_id"], run["run_id"])

    assert (await client.threads.get_state(kept["thread_id"]))["values"]["steps"] == ["first", "second"]
    with pytest.raises(NotFoundError):
        await client.threads.get(gone["thread_id"])


async def test_an_answer_without_a_thread_is_refused(client: LangGraphClient) -> None:
    with pytest.raises(UnprocessableEntityError, match=r"command\.resume: set: must be given on a thread"):
        await client.runs.create(None, "asks", command={"resume": "yes"})


async def test_what_is_only_for_a_platform_of_others_is_accepted(client: LangGraphClient) -> None:
    tracing: Any = {"project_name": "mine"}

    parts = [
        part
        async for part in client.runs.stream(
            None, "steps", input={}, feedback_keys=["liked"], langsmith_tracing=tracing
        )
    ]

    assert parts[-1].data == {"steps": ["first", "second"]}


@pytest.mark.parametrize("way", ["create", "stream", "wait"])
async def test_every_way_of_running_tells_its_webhook(client: LangGraphClient, way: str) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    async with receiving() as receiver:
        options: Any = {"webhook": receiver.url, "input": {}}
        made: Any = getattr(client.runs, way)(thread_id, "steps", **options)
        if way == "stream":
            [part async for part in made]
        else:
            await made
        called = await receiver.first()

    [run] = await client.runs.list(thread_id)
    assert (called["run_id"], called["status"]) == (run["run_id"], "success")


async def test_the_synchronous_client_is_served_as_well(url: str) -> None:
    def story() -> tuple[Any, list[str], Any]:
        with get_sync_client(url=url, api_key=None, timeout=PATIENCE_SECONDS) as client:
            thread_id = client.threads.create()["thread_id"]
            values = client.runs.wait(thread_id, "steps", input={"text": "x"})
            events = [
                part.event for part in client.runs.stream(thread_id, "steps", input={}, stream_mode="updates")
            ]
            return values, events, client.threads.get_state(thread_id)

    values, events, state = await asyncio.to_thread(story)

    assert values["steps"] == ["first", "second"]
    assert events == ["metadata", "updates", "updates"]
    assert state["values"]["steps"] == ["first", "second"] * 2


async def test_a_remote_graph_shows_and_changes_its_state_and_streams_its_subgraphs(
    client: LangGraphClient,
) -> None:
    remote = RemoteGraph("nested", client=client)
    config: Any = {"configurable": {"thread_id": (await client.threads.create())["thread_id"]}}

    parts = [part async for part in remote.astream({}, config, stream_mode="updates", subgraphs=True)]
    await remote.aupdate_state(config, {"text": "by hand"}, as_node="inner")
    state = await remote.aget_state(config)
    history = [past async for past in remote.aget_state_history(config, limit=100)]

    assert any(namespace and "child" in update for namespace, update in parts)
    assert any(not namespace and "inner" in update for namespace, update in parts)
    assert (state.values["steps"], state.values["text"]) == (["child"], "by hand")
    assert history[0].values == state.values and len(history) > 2
