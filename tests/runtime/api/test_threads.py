"""Threads through the stock SDK: records, state, history, time travel, interrupts, copies."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError


async def test_a_thread_is_made_found_changed_and_deleted(client: LangGraphClient) -> None:
    made = await client.threads.create(metadata={"user": "ada", "kind": "chat"})
    thread_id = made["thread_id"]

    changed = await client.threads.update(thread_id, metadata={"kind": "mail"})

    assert changed is not None
    assert changed["metadata"] == {"user": "ada", "kind": "mail"}
    assert await client.threads.update(thread_id, metadata={}, return_minimal=True) is None
    await client.threads.delete(thread_id)
    with pytest.raises(NotFoundError, match=thread_id):
        await client.threads.get(thread_id)


async def test_a_thread_id_is_taken_once(client: LangGraphClient) -> None:
    thread_id = str(uuid4())
    await client.threads.create(thread_id=thread_id, metadata={"first": True})

    with pytest.raises(ConflictError, match=thread_id):
        await client.threads.create(thread_id=thread_id)
    again = await client.threads.create(thread_id=thread_id, if_exists="do_nothing")

    assert again["metadata"] == {"first": True}


async def test_search_pages_through_what_matches(client: LangGraphClient, url: str) -> None:
    tag = str(uuid4())
    made = [(await client.threads.create(metadata={"tag": tag, "n": n}))["thread_id"] for n in range(5)]

    first = await client.threads.search(
        metadata={"tag": tag}, limit=2, sort_by="created_at", sort_order="asc"
    )
    rest = await client.threads.search(
        metadata={"tag": tag}, limit=9, offset=2, sort_by="created_at", sort_order="asc"
    )
    async with httpx.AsyncClient(base_url=url) as http:
        page = await http.post("/threads/search", json={"metadata": {"tag": tag}, "limit": 2})
        last = await http.post("/threads/search", json={"metadata": {"tag": tag}, "limit": 5})

    assert [thread["thread_id"] for thread in first + rest] == made
    assert page.headers["x-pagination-next"] == "2"
    assert "x-pagination-next" not in last.headers
    assert await client.threads.count(metadata={"tag": tag}) == 5
    assert await client.threads.search(metadata={"tag": tag, "n": 3}, select=["thread_id"]) == [
        {"thread_id": made[3]}
    ]
    assert await client.threads.search(ids=made[:1], select=["thread_id"]) == [{"thread_id": made[0]}]


async def test_search_finds_by_values_and_status(client: LangGraphClient) -> None:
    tag = str(uuid4())
    done = await client.threads.create(metadata={"tag": tag})
    asked = await client.threads.create(metadata={"tag": tag})
    await client.runs.wait(done["thread_id"], "steps", input={"text": "blue"})
    await client.runs.wait(asked["thread_id"], "asks", input={"text": "red"})

    by_values = await client.threads.search(metadata={"tag": tag}, values={"text": "blue"})
    by_status = await client.threads.search(metadata={"tag": tag}, status="interrupted")

    assert [thread["thread_id"] for thread in by_values] == [done["thread_id"]]
    assert [thread["thread_id"] for thread in by_status] == [asked["thread_id"]]
    assert await client.threads.count(metadata={"tag": tag}, status="idle") == 1


async def test_a_thread_that_never_ran_has_an_empty_state(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    state = await client.threads.get_state(thread["thread_id"])

    assert (state["values"], state["next"], state["tasks"]) == ({}, [], [])
    assert await client.threads.get_history(thread["thread_id"]) == []


async def test_the_state_is_read_changed_and_gone_back_to(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={"text": "one"})

    changed = await client.threads.update_state(thread_id, {"text": "two"}, as_node="first")
    state = await client.threads.get_state(thread_id)
    history = await client.threads.get_history(thread_id, limit=20)

    assert state["checkpoint"]["checkpoint_id"] == changed["checkpoint"]["checkpoint_id"]
    assert (state["values"]["text"], state["next"]) == ("two", ["second"])
    assert (await client.threads.get(thread_id))["values"]["text"] == "two"
    assert [entry["checkpoint"]["checkpoint_id"] for entry in history] == sorted(
        (entry["checkpoint"]["checkpoint_id"] for entry in history), reverse=True
    )
    before_second = next(e for e in history if e["next"] == ["second"] and e["values"]["text"] == "one")
    values = await client.runs.wait(thread_id, "steps", checkpoint=before_second["checkpoint"])
    assert values == {"steps": ["first", "second"], "text": "one"}


async def test_a_past_state_is_read_by_its_checkpoint(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={})
    history = await client.threads.get_history(thread_id)
    past = history[1]

    by_id = await client.threads.get_state(thread_id, checkpoint_id=past["checkpoint"]["checkpoint_id"])
    by_checkpoint = await client.threads.get_state(thread_id, past["checkpoint"])
    older = await client.threads.get_history(thread_id, before=past["checkpoint"])

    assert by_id["values"] == by_checkpoint["values"] == past["values"]
    assert [entry["checkpoint"] for entry in older] == [entry["checkpoint"] for entry in history[2:]]
    with pytest.raises(NotFoundError, match="checkpoint"):
        await client.threads.get_state(thread_id, checkpoint_id=str(uuid4()))


async def test_an_interrupt_waits_for_a_person_and_goes_on_with_the_answer(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    asked = await client.runs.wait(thread_id, "asks", input={})

    assert isinstance(asked, dict)
    assert [told["value"] for told in asked["__interrupt__"]] == [{"question": "which?"}]
    thread = await client.threads.get(thread_id)
    assert thread["status"] == "interrupted"
    [[told]] = thread["interrupts"].values()
    assert told["value"] == {"question": "which?"}
    state = await client.threads.get_state(thread_id)
    assert (state["next"], state["tasks"][0]["interrupts"][0]["id"]) == (["ask"], told["id"])
    values = await client.runs.wait(thread_id, "asks", command={"resume": "blue"})
    assert values == {"steps": ["first", "told blue", "second"]}
    assert (await client.threads.get(thread_id))["status"] == "idle"


async def test_a_run_stops_before_and_after_nodes_when_asked(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    before = await client.runs.wait(thread_id, "steps", input={}, interrupt_before=["second"])
    state = await client.threads.get_state(thread_id)
    after = await client.runs.wait(thread_id, "steps", input=None, interrupt_after="*")

    assert before == {"steps": ["first"]}
    assert state["next"] == ["second"]
    assert after == {"steps": ["first", "second"]}


async def test_a_command_goes_to_a_node_with_an_update(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={})

    values = await client.runs.wait(
        thread_id, "steps", command={"goto": "second", "update": {"text": "by command"}}
    )

    assert values == {"steps": ["first", "second", "second"], "text": "by command"}


async def test_the_state_of_a_subgraph_is_shown_when_asked_for(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "nested", input={}, interrupt_before=["inner"])

    state = await client.threads.get_state(thread_id, subgraphs=True)

    assert state["next"] == ["inner"]
    assert state["tasks"][0]["name"] == "inner"


async def test_a_copy_goes_its_own_way(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create(metadata={"user": "ada"}))["thread_id"]
    await client.runs.wait(thread_id, "asks", input={"text": "both"})

    copied = await client.threads.copy(thread_id)

    copy_id = copied["thread_id"]  # type: ignore[index]
    values = await client.runs.wait(copy_id, "asks", command={"resume": "copy"})
    assert values == {"steps": ["first", "told copy", "second"], "text": "both"}
    assert len(await client.threads.get_history(thread_id)) < len(await client.threads.get_history(copy_id))
    assert (await client.threads.get(copy_id))["metadata"]["user"] == "ada"
    assert (await client.threads.get_state(thread_id))["next"] == ["ask"]


async def test_a_thread_may_start_with_a_history(client: LangGraphClient) -> None:
    thread = await client.threads.create(
        graph_id="steps",
        supersteps=[
            {"updates": [{"values": {"text": "old"}, "as_node": "__start__"}]},
            {"updates": [{"values": {"steps": ["migrated"]}, "as_node": "first"}]},
        ],
    )

    values = await client.runs.wait(thread["thread_id"], "steps", input=None)

    assert thread["values"] == {"steps": ["migrated"], "text": "old"}
    assert values == {"steps": ["migrated", "second"], "text": "old"}


async def test_a_run_makes_its_thread_when_told_to(client: LangGraphClient) -> None:
    thread_id = str(uuid4())

    with pytest.raises(NotFoundError, match=thread_id):
        await client.runs.create(thread_id, "steps", input={})
    await client.runs.wait(thread_id, "steps", input={}, if_not_exists="create")

    thread = await client.threads.get(thread_id)
    assert thread["metadata"]["graph_id"] == "steps"


async def test_pruning_deletes_many_threads(client: LangGraphClient) -> None:
    ids = [(await client.threads.create())["thread_id"] for _ in range(2)]

    pruned = await client.threads.prune([*ids, str(uuid4())])

    assert pruned == {"pruned_count": 2}
    assert await client.threads.search(ids=ids) == []


async def test_a_state_can_only_be_changed_where_there_is_a_graph(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    with pytest.raises(UnprocessableEntityError, match="no graph"):
        await client.threads.update_state(thread_id, {"text": "x"})

    await client.runs.wait(thread_id, "steps", input={})
    with pytest.raises(UnprocessableEntityError, match="nowhere"):
        await client.threads.update_state(thread_id, {"text": "x"}, as_node="nowhere")


async def test_single_values_are_taken_out_of_what_a_search_finds(client: LangGraphClient) -> None:
    tag = str(uuid4())
    thread = await client.threads.create(metadata={"tag": tag})
    await client.runs.wait(thread["thread_id"], "steps", input={"text": "blue"})

    [found] = await client.threads.search(
        metadata={"tag": tag},
        select=["thread_id"],
        extract={"last": "values.steps[-1]", "tag": "metadata.tag", "none": "values.steps[9].x"},
    )

    assert found == {
        "thread_id": thread["thread_id"],
        "extracted": {"last": "second", "tag": tag, "none": None},
    }


@pytest.mark.parametrize("path", ["secrets.x", "values..x", "values.a[x]", ""])
async def test_a_path_that_can_not_be_is_refused(client: LangGraphClient, path: str) -> None:
    with pytest.raises(UnprocessableEntityError, match=r"extract\.mine"):
        await client.threads.search(extract={"mine": path})


async def test_the_past_of_a_thread_can_be_pruned(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    for text in ("one", "two"):
        await client.runs.wait(thread_id, "steps", input={"text": text})
    before = await client.threads.get_state(thread_id)

    pruned = await client.threads.prune([thread_id, str(uuid4())], strategy="keep_latest")

    history = await client.threads.get_history(thread_id, limit=100)
    assert pruned == {"pruned_count": 1}
    assert [state["checkpoint"] for state in history] == [before["checkpoint"]]
    assert history[0]["values"] == before["values"]
    again = await client.runs.wait(thread_id, "steps", input={"text": "three"})
    assert isinstance(again, dict) and len(again["steps"]) == 6
