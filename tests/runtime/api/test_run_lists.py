"""Runs that are there: listed, cancelled one by one and many at once, joined, streamed again, deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from api_graphs import entrance, gate
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError


async def new_thread(client: LangGraphClient) -> str:
    return str((await client.threads.create())["thread_id"])


async def started(client: LangGraphClient, **given: Any) -> tuple[str, str]:
    """A run that is in the middle of its work; (thread_id, run_id)."""
    thread_id = await new_thread(client)
    run = await client.runs.create(thread_id, "slow", input={"text": thread_id}, **given)
    await entrance(thread_id).wait()
    return thread_id, run["run_id"]


async def status(client: LangGraphClient, thread_id: str, run_id: str) -> str:
    return (await client.runs.get(thread_id, run_id))["status"]


async def test_the_runs_of_a_thread_are_listed_newest_first_page_by_page(
    client: LangGraphClient, url: str
) -> None:
    thread_id = await new_thread(client)
    made = []
    for _ in range(3):
        run = await client.runs.create(thread_id, "steps", input={})
        await client.runs.join(thread_id, run["run_id"])
        made.append(run["run_id"])

    first = await client.runs.list(thread_id, limit=2)
    rest = await client.runs.list(thread_id, limit=2, offset=2)
    async with httpx.AsyncClient(base_url=url) as http:
        heads = [
            (await http.get(f"/threads/{thread_id}/runs", params={"limit": 2, "offset": offset})).headers
            for offset in (0, 2)
        ]

    assert [run["run_id"] for run in first + rest] == made[::-1]
    assert [head.get("x-pagination-next") for head in heads] == ["2", None]


async def test_runs_are_listed_by_each_status(client: LangGraphClient) -> None:
    thread_id, running = await started(client)
    waiting = (await client.runs.create(thread_id, "steps", input={}))["run_id"]
    found = {
        state: [run["run_id"] for run in await client.runs.list(thread_id, status=state)]
        for state in ("running", "pending", "success")
    }
    await client.runs.cancel(thread_id, waiting, wait=True)
    gate(thread_id).set()
    await client.runs.join(thread_id, running)
    failed = await client.runs.create(thread_id, "broken", input={})
    await client.runs.join(thread_id, failed["run_id"])

    assert found == {"running": [running], "pending": [waiting], "success": []}
    for state, run_id in (("success", running), ("interrupted", waiting), ("error", failed["run_id"])):
        assert [run["run_id"] for run in await client.runs.list(thread_id, status=state)] == [run_id]  # type: ignore[arg-type]
    assert await client.runs.list(thread_id, status="timeout") == []


async def test_each_field_of_a_run_can_be_asked_for(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input={})
    fields: Any = ["run_id", "thread_id", "assistant_id", "created_at", "updated_at", "status", "metadata"]
    fields += ["kwargs", "multitask_strategy"]

    [whole] = await client.runs.list(thread_id)

    for field in fields:
        assert await client.runs.list(thread_id, select=[field]) == [{field: whole[field]}]
    [several] = await client.runs.list(thread_id, select=["run_id", "cancel_reason"])
    assert several["run_id"] == whole["run_id"]


async def test_cancelling_without_waiting_returns_while_the_run_is_still_stopping(
    client: LangGraphClient, url: str
) -> None:
    thread_id, run_id = await started(client)
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(f"/threads/{thread_id}/runs/{run_id}/cancel", params={"wait": 0})

    await client.runs.join(thread_id, run_id)

    assert (answer.status_code, answer.content) == (202, b"")
    assert await status(client, thread_id, run_id) == "interrupted"


async def test_a_run_that_waits_is_rolled_back_at_once(client: LangGraphClient) -> None:
    thread_id, running = await started(client)
    waiting = (await client.runs.create(thread_id, "steps", input={}))["run_id"]

    await client.runs.cancel(thread_id, waiting, action="rollback")

    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, waiting)
    assert await status(client, thread_id, running) == "running"
    gate(thread_id).set()
    await client.runs.join(thread_id, running)


async def test_many_are_cancelled_by_their_ids_and_no_others(client: LangGraphClient) -> None:
    thread_id, running = await started(client)
    waiting = [(await client.runs.create(thread_id, "steps", input={}))["run_id"] for _ in range(2)]

    await client.runs.cancel_many(thread_id=thread_id, run_ids=waiting[:1])

    states = [await status(client, thread_id, run_id) for run_id in (running, *waiting)]
    assert states == ["running", "interrupted", "pending"]
    gate(thread_id).set()
    await client.runs.join(thread_id, waiting[1])


@pytest.mark.parametrize(
    ("chosen", "stopped"),
    [("pending", {"waiting"}), ("running", {"running"}), ("all", {"waiting", "running"})],
)
async def test_many_of_a_thread_are_cancelled_by_their_status(
    client: LangGraphClient, chosen: Any, stopped: set[str]
) -> None:
    thread_id, running = await started(client)
    waiting = (await client.runs.create(thread_id, "steps", input={}))["run_id"]

    await client.runs.cancel_many(thread_id=thread_id, status=chosen)
    if "running" in stopped:
        # Once its node goes on it may end before it is cancelled.
        await client.runs.join(thread_id, running)
    gate(thread_id).set()
    for run_id in (running, waiting):
        await client.runs.join(thread_id, run_id)

    runs = {"running": running, "waiting": waiting}
    ended = {
        name for name, run_id in runs.items() if await status(client, thread_id, run_id) == "interrupted"
    }
    assert ended == stopped


async def test_many_are_rolled_back(client: LangGraphClient) -> None:
    thread_id, _running = await started(client)
    await client.runs.create(thread_id, "steps", input={})

    await client.runs.cancel_many(thread_id=thread_id, status="all", action="rollback")

    async with asyncio.timeout(60):
        while await client.runs.list(thread_id):
            await asyncio.sleep(0.05)
    assert (await client.threads.get_state(thread_id))["values"] == {}


@pytest.mark.parametrize("leaves", [True, False])
async def test_leaving_a_joined_stream_stops_its_run_when_told_so(
    client: LangGraphClient, leaves: bool
) -> None:
    thread_id, run_id = await started(client)
    stream = client.runs.join_stream(thread_id, run_id, cancel_on_disconnect=leaves, last_event_id="-1")

    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    if not leaves:
        gate(thread_id).set()
    await client.runs.join(thread_id, run_id)

    assert await status(client, thread_id, run_id) == ("interrupted" if leaves else "success")


async def test_leaving_a_wait_stops_its_run_when_told_so(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    waiting = asyncio.create_task(
        client.runs.wait(thread_id, "slow", input={"text": thread_id}, on_disconnect="cancel")
    )
    await entrance(thread_id).wait()

    waiting.cancel()
    await asyncio.wait({waiting})

    [run] = await client.runs.list(thread_id)
    await client.runs.join(thread_id, run["run_id"])
    assert await status(client, thread_id, run["run_id"]) == "interrupted"


async def test_a_joined_stream_is_of_the_modes_asked_for(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    run = await client.runs.create(
        thread_id, "steps", input={}, stream_mode=["updates", "values", "custom"], stream_resumable=True
    )

    async def heard(mode: Any) -> set[str]:
        stream = client.runs.join_stream(thread_id, run["run_id"], stream_mode=mode, last_event_id="-1")
        return {part.event async for part in stream} - {"metadata"}

    assert await heard("values") == {"values"}
    assert await heard(["updates", "custom"]) == {"updates", "custom"}
    assert await heard(None) == {"updates", "values", "custom"}


async def test_a_stream_joined_without_an_id_begins_with_what_is_to_come(client: LangGraphClient) -> None:
    # Nothing says when the stream is joined, on a machine that is so slow.
    for pause in (0.3, 2.0, 10.0, 40.0):
        thread_id, run_id = await started(client, stream_mode="updates", stream_resumable=True)
        # The node that waits may have begun before it is told that the one before it has ended.
        async for part in client.runs.join_stream(thread_id, run_id, last_event_id="-1"):
            if list(part.data) == ["first"]:
                break
        stream = client.runs.join_stream(thread_id, run_id)
        following = asyncio.ensure_future(anext(stream))
        await asyncio.wait({following}, timeout=pause)
        gate(thread_id).set()
        updates = [list((await following).data), *[list(part.data) async for part in stream]]
        if updates[0] == ["waits"]:
            break

    assert updates == [["waits"], ["second"]]


async def test_a_deleted_run_is_not_listed_and_its_state_stays(client: LangGraphClient) -> None:
    thread_id = await new_thread(client)
    run = await client.runs.create(thread_id, "steps", input={})
    await client.runs.join(thread_id, run["run_id"])

    await client.runs.delete(thread_id, run["run_id"])

    assert await client.runs.list(thread_id) == []
    assert (await client.threads.get_state(thread_id))["values"]["steps"] == ["first", "second"]


async def test_answers_name_their_run_and_where_to_go_on(client: LangGraphClient, url: str) -> None:
    thread_id = await new_thread(client)
    body = {"assistant_id": "steps", "input": {}}

    async with httpx.AsyncClient(base_url=url) as http:
        made, waited, streamed = [
            await http.post(f"/threads/{thread_id}/runs{way}", json=body) for way in ("", "/wait", "/stream")
        ]

    path = f"/threads/{thread_id}/runs/"
    assert made.headers["content-location"] == path + made.json()["run_id"]
    for answer, leaf in ((waited, "join"), (streamed, "stream")):
        assert answer.headers["content-location"].startswith(path)
        assert answer.headers["location"] == f"{answer.headers['content-location']}/{leaf}"


async def test_who_follows_some_modes_of_a_run_goes_on_with_those(client: LangGraphClient, url: str) -> None:
    thread_id = await new_thread(client)
    run = await client.runs.create(thread_id, "steps", input={}, stream_mode=["values", "updates", "tasks"])
    await client.runs.join(thread_id, run["run_id"])
    path = f"/threads/{thread_id}/runs/{run['run_id']}/stream"

    async with httpx.AsyncClient(base_url=url, headers={"Last-Event-ID": "-1"}) as http:
        answer = await http.get(path, params={"stream_mode": ["updates", "tasks"]})
        goes_on = await http.get(answer.headers["location"])
        whole = await http.get(path)

    kinds = [line for line in goes_on.text.splitlines() if line.startswith("event: ")]
    assert set(kinds) >= {"event: updates", "event: tasks"}
    assert "event: values" not in kinds
    assert goes_on.text == answer.text
    assert whole.headers["location"] == path


@pytest.mark.parametrize("with_threads", [False, True])
async def test_the_runs_of_an_assistant_that_is_deleted_are_stopped_and_no_others(
    client: LangGraphClient, with_threads: bool
) -> None:
    assistant_id = (await client.assistants.create("slow"))["assistant_id"]
    thread_id, other = await new_thread(client), await new_thread(client)
    running = await client.runs.create(thread_id, assistant_id, input={"text": thread_id})
    waiting = await client.runs.create(thread_id, assistant_id, input={})
    later = await client.runs.create(other, assistant_id, input={}, after_seconds=3600)
    another_thread, another = await started(client)
    await entrance(thread_id).wait()

    await client.assistants.delete(assistant_id, delete_threads=with_threads)

    for run in (running, waiting, later):
        if with_threads:
            with pytest.raises(NotFoundError):
                await client.runs.get(run["thread_id"], run["run_id"])
        else:
            await client.runs.join(run["thread_id"], run["run_id"])
            assert await status(client, run["thread_id"], run["run_id"]) == "interrupted"
    assert await status(client, another_thread, another) == "running"
    gate(another_thread).set()
    await client.runs.join(another_thread, another)
