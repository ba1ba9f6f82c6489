"""What a new run means for the one that is running on the same thread."""

from __future__ import annotations

import pytest
from api_graphs import entrance, gate
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError


async def running(client: LangGraphClient) -> tuple[str, str]:
    """A thread with a run that waits in the middle; (thread_id, run_id)."""
    thread_id = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread_id, "slow", input={"text": thread_id, "steps": ["old"]})
    await entrance(thread_id).wait()
    return thread_id, run["run_id"]


async def test_reject_refuses_the_new_run_and_leaves_the_old_one(client: LangGraphClient) -> None:
    thread_id, old = await running(client)

    with pytest.raises(ConflictError, match="reject"):
        await client.runs.create(thread_id, "steps", input={}, multitask_strategy="reject")

    gate(thread_id).set()
    assert (await client.runs.join(thread_id, old))["steps"] == ["old", "first", "waited", "second"]
    assert len(await client.runs.list(thread_id)) == 1


async def test_enqueue_lets_the_new_run_wait_its_turn(client: LangGraphClient) -> None:
    thread_id, old = await running(client)

    new = await client.runs.create(thread_id, "steps", input={"steps": ["new"]}, multitask_strategy="enqueue")
    assert (await client.runs.get(thread_id, new["run_id"]))["status"] == "pending"
    assert (await client.threads.get(thread_id))["status"] == "busy"
    gate(thread_id).set()

    assert (await client.runs.join(thread_id, old))["steps"][-1] == "second"
    values = await client.runs.join(thread_id, new["run_id"])
    assert values["steps"] == ["old", "first", "waited", "second", "new", "first", "second"]


async def test_interrupt_stops_the_old_run_and_keeps_what_it_did(client: LangGraphClient) -> None:
    thread_id, old = await running(client)

    values = await client.runs.wait(
        thread_id, "steps", input={"steps": ["new"]}, multitask_strategy="interrupt"
    )

    assert (await client.runs.get(thread_id, old))["status"] == "interrupted"
    assert values["steps"] == ["old", "first", "new", "first", "second"]


async def test_rollback_undoes_the_old_run(client: LangGraphClient) -> None:
    thread_id, old = await running(client)

    values = await client.runs.wait(
        thread_id, "steps", input={"steps": ["new"]}, multitask_strategy="rollback"
    )

    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, old)
    assert values["steps"] == ["new", "first", "second"]
