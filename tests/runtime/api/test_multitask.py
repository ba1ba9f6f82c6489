"""What a new run means for the one that is running on the same thread."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_graphs import entrance, gate
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError


async def running(client: LangGraphClient, **more: Any) -> tuple[str, str]:
    """A thread with a run that waits in the middle; (thread_id, run_id)."""
    thread_id = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread_id, "slow", input={"text": thread_id, "steps": ["old"]}, **more)
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


@pytest.mark.parametrize("delay", [0, 3600])
async def test_the_state_of_a_thread_with_unfinished_runs_is_changed_by_nobody_else(
    client: LangGraphClient, url: str, delay: int
) -> None:
    if delay:
        thread_id = (await client.threads.create(graph_id="steps"))["thread_id"]
        run = await client.runs.create(thread_id, "steps", input={"steps": []}, after_seconds=delay)
        run_id = run["run_id"]
    else:
        # Its checkpoints are stored when its second node begins.
        thread_id, run_id = await running(client, durability="sync")
    before = await client.threads.get_history(thread_id)
    superstep: Any = {"updates": [{"values": {"steps": ["mine"]}, "as_node": "first"}]}

    with pytest.raises(ConflictError, match=run_id):
        await client.threads.update_state(thread_id, {"steps": ["mine"]}, as_node="first")
    with pytest.raises(ConflictError, match=run_id):
        await client.threads.create(thread_id=thread_id, if_exists="do_nothing", supersteps=[superstep])
    async with httpx.AsyncClient(base_url=url) as http:
        rolled = await http.post(f"/threads/{thread_id}/versions", json={})

    assert rolled.status_code == 409
    assert await client.threads.get_history(thread_id) == before
    await client.runs.cancel(thread_id, run_id, wait=True)
    await client.threads.update_state(thread_id, {"steps": ["mine"]}, as_node="first")
    assert (await client.threads.get_state(thread_id))["values"]["steps"][-1] == "mine"  # type: ignore[call-overload]
