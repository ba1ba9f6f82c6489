"""Two releases share a database: one has a graph that the other lacks. Either takes requests for all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk.errors import NotFoundError

from lgs_runtime.settings import Settings

pytestmark = pytest.mark.usefixtures("unhurried")


def release(settings: Settings, name: str, *graphs: str) -> Settings:
    only = {graph: settings.graphs[graph] for graph in graphs}
    return replace(settings, graphs=only, replica_id=name)


async def unserved(replica: Replica) -> list[str]:
    async with httpx.AsyncClient(base_url=replica.url) as http:
        page = (await http.get("/metrics")).text
    return [
        line for line in page.splitlines() if line.startswith(("lgs_queue_unserved{", "lgs_queue_depth{"))
    ]


async def test_a_run_asked_of_the_old_release_is_executed_by_the_new_one(alone: Settings) -> None:
    async with (
        open_replica(release(alone, "old", "steps")) as old,
        open_replica(release(alone, "new", "steps", "chat")) as new,
    ):
        key = (await old.client.threads.create())["thread_id"]

        run = await old.client.runs.create(key, "chat", input={"messages": []})
        await old.client.runs.join(key, run["run_id"])

        ended = await new.client.runs.get(key, run["run_id"])
        own = await old.client.runs.wait(None, "steps", input={})

    assert ended["status"] == "success"
    assert own == {"steps": ["first", "second"]}


async def test_what_a_replica_lacks_for_is_to_be_asked_again_while_another_one_has_it(
    alone: Settings,
) -> None:
    async with open_replica(release(alone, "old", "steps")) as old:
        async with open_replica(release(alone, "new", "steps", "chat")) as new:
            made = await new.client.threads.create()
            await new.client.runs.wait(made["thread_id"], "chat", input={"messages": []})
            state, own = f"/threads/{made['thread_id']}/state", f"/assistants/{await chat(new)}"
            paths = (
                state,
                f"{state[:-5]}history",
                *(f"{own}/{each}" for each in ("schemas", "graph", "subgraphs")),
            )
            during = [await asked(old, path) for path in paths]
            written = await asked(old, state, values={"messages": []})
            called = await asked(old, "/mcp", **TOOL_CALL)
        after = [await asked(old, path) for path in paths]

    for each in (*during, written, called):
        assert (each.status_code, each.headers.get("retry-after")) == (503, "2")
        assert "graph 'chat': another replica has it" in each.text
    assert {(each.status_code, each.headers.get("retry-after")) for each in after} == {(404, None)}


TOOL_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "chat", "arguments": {}}}


async def chat(replica: Replica) -> str:
    """The id of its own assistant of that graph."""
    (found,) = await replica.client.assistants.search(graph_id="chat")
    return str(found["assistant_id"])


async def asked(replica: Replica, path: str, **body: Any) -> httpx.Response:
    """What it answers, at once, as no client does that tries again."""
    headers = {"accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(base_url=replica.url, headers=headers) as http:
        return await (http.post(path, json=body) if body else http.get(path))


async def test_a_run_of_a_graph_that_no_replica_has_waits_visibly_and_is_executed_by_one_that_comes(
    alone: Settings,
) -> None:
    async with open_replica(release(alone, "new", "steps", "chat")):
        pass
    async with open_replica(release(alone, "old", "steps")) as old:
        key = (await old.client.threads.create())["thread_id"]
        run = await old.client.runs.create(key, "chat", input={"messages": []})
        waiting = asyncio.create_task(old.client.runs.join(key, run["run_id"]))
        beside = await old.client.runs.wait(None, "steps", input={})
        seen = (await old.client.runs.get(key, run["run_id"]))["status"]
        shown = await unserved(old)

        async with open_replica(release(alone, "newer", "steps", "chat")):
            await asyncio.wait_for(waiting, 120)
            ended = await old.client.runs.get(key, run["run_id"])

    assert (seen, ended["status"]) == ("pending", "success")
    assert beside == {"steps": ["first", "second"]}
    assert 'lgs_queue_unserved{graph="chat"} 1.0' in shown
    assert 'lgs_queue_depth{priority="normal"} 0.0' in shown


async def test_a_run_that_waits_for_a_graph_can_be_cancelled(alone: Settings) -> None:
    async with open_replica(release(alone, "new", "steps", "chat")):
        pass
    async with open_replica(release(alone, "old", "steps")) as old:
        key = (await old.client.threads.create())["thread_id"]
        run = await old.client.runs.create(key, "chat", input={"messages": []})
        followed = asyncio.create_task(_events(old, key, run["run_id"]))

        await old.client.runs.cancel(key, run["run_id"], wait=True)

        assert (await old.client.runs.get(key, run["run_id"]))["status"] == "interrupted"
        await asyncio.wait_for(followed, 120)


async def test_an_assistant_of_a_graph_that_another_release_has_is_made_and_served_by_that_one(
    alone: Settings,
) -> None:
    async with (
        open_replica(release(alone, "old", "steps")) as old,
        open_replica(release(alone, "new", "steps", "chat")),
    ):
        made = await old.client.assistants.create("chat", name="talks")
        changed = await old.client.assistants.create("steps")
        changed = await old.client.assistants.update(changed["assistant_id"], graph_id="chat")
        answers = [
            await old.client.runs.wait(None, assistant["assistant_id"], input={"messages": []})
            for assistant in (made, changed)
        ]
        with pytest.raises(NotFoundError, match="the graphs of this service are: steps"):
            await old.client.assistants.create("nobody_has_it")

    assert [answer["messages"][0]["content"] for answer in answers] == ["a b c", "a b c"]


async def test_a_run_of_a_graph_that_was_removed_ends_in_error_once_its_time_is_over_and_its_clients_hear_why(
    alone: Settings,
) -> None:
    async with open_replica(release(alone, "new", "steps", "chat")):
        pass
    bounded = replace(release(alone, "old", "steps"), unserved_seconds=0.1)
    async with open_replica(bounded) as old:
        key = (await old.client.threads.create())["thread_id"]
        asked = old.client.runs.stream(key, "chat", input={"messages": []})
        told = [part async for part in asked if part.event == "error"]
        stateless = await old.client.runs.wait(None, "chat", input={"messages": []}, raise_error=False)
        (ended,) = await old.client.runs.list(key)
        thread = await old.client.threads.get(key)

    because = (
        "graph 'chat' not found: for 0.1 s no replica has taken its runs; "
        "the graphs of this service are: steps. "
    )
    assert [part.data["error"] for part in told] == ["GraphNotFound"]
    assert str(told[0].data["message"]).startswith(because)
    assert (ended["status"], thread["status"]) == ("error", "error")
    assert because in str(stateless)


async def _events(replica: Replica, thread_id: str, run_id: str) -> list[str]:
    return [part.event async for part in replica.client.runs.join_stream(thread_id, run_id)]
