"""An application brings its own checkpointer or store, by `checkpointer.path` and `store.path`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import api_persistence
import httpx
import pytest
from api_graphs import entrance
from api_replicas import Replica, open_replica
from langgraph_sdk.errors import UnprocessableEntityError

from lgs_runtime.checkpoint.options import parse_checkpointer
from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.errors import ConfigError
from lgs_runtime.settings import Settings
from lgs_runtime.store.options import parse_store


def with_saver(settings: Settings, variable: str, **more: Any) -> Settings:
    """Settings with a checkpointer of the application's own."""
    content = {"path": f"api_persistence:{variable}", **more}
    return replace(settings, checkpointer=parse_checkpointer(content, "checkpointer"))


@pytest.fixture(params=["managed", "whole", "Bare", "official"])
async def foreign(request: pytest.FixtureRequest, alone: Settings) -> AsyncIterator[Replica]:
    """A replica over a checkpointer of the application's own, given in different ways."""
    async with open_replica(with_saver(alone, request.param)) as replica:
        yield replica


@pytest.fixture
async def bare(alone: Settings) -> AsyncIterator[Replica]:
    """A replica over a checkpointer that has only what it must."""
    async with open_replica(with_saver(alone, "managed")) as replica:
        yield replica


@pytest.fixture
async def whole(alone: Settings) -> AsyncIterator[Replica]:
    """A replica over a checkpointer that can prune."""
    async with open_replica(with_saver(alone, "whole")) as replica:
        yield replica


async def test_state_is_kept_by_the_applications_checkpointer_and_nowhere_else(foreign: Replica) -> None:
    client = foreign.client
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks_inside", input={"text": "a"})
    after: Any = await client.runs.wait(thread_id, "asks_inside", command={"resume": "left"})
    copied: Any = await client.threads.copy(thread_id)

    states = [await client.threads.get_state(one) for one in (thread_id, copied["thread_id"])]

    assert "told left" in after["steps"]
    assert [state["values"] for state in states] == [after, after]
    async with open_checkpointer(foreign.services.settings.database_uri) as own:
        assert await own.aget_tuple({"configurable": {"thread_id": thread_id}}) is None
    async with httpx.AsyncClient(base_url=foreign.url) as http:
        use = (await http.get(f"/threads/{thread_id}/storage")).json()
        back = await http.post(f"/threads/{thread_id}/versions/1/rollback")
    assert use["checkpoints"]["count"] > 3 and use["checkpoints"]["bytes"] > 0
    assert back.status_code == 200
    await client.threads.delete(thread_id)
    assert [
        entry
        async for entry in foreign.services.checkpointer.alist({"configurable": {"thread_id": thread_id}})
    ] == []


async def test_a_context_manager_is_closed_with_the_replica(alone: Settings) -> None:
    api_persistence.closed.clear()

    async with open_replica(with_saver(alone, "managed")):
        assert api_persistence.closed == []

    assert api_persistence.closed == ["managed"]


async def test_a_run_is_taken_back_where_nothing_can_be_deleted(bare: Replica) -> None:
    client = bare.client
    thread_id = (await client.threads.create())["thread_id"]
    before: Any = await client.runs.wait(thread_id, "steps", input={"text": "a"})
    key, fresh = str(uuid4()), (await client.threads.create())["thread_id"]
    for one in (thread_id, fresh):
        entrance(key).clear()
        run = await client.runs.create(one, "slow", input={"text": key})
        await entrance(key).wait()

        await client.runs.cancel(one, run["run_id"], wait=True, action="rollback")

    state = await client.threads.get_state(thread_id)
    assert (state["values"], state["next"]) == (before, [])
    assert (await client.threads.get_state(fresh))["values"] in ({}, None)
    after: Any = await client.runs.wait(thread_id, "steps", input={"text": "b"})
    assert after["steps"] == ["first", "second"] * 2


async def test_threads_go_to_a_document_and_into_another_kind_of_checkpointer(
    bare: Replica, replica: Replica
) -> None:
    thread_id = (await replica.client.threads.create())["thread_id"]
    values = await replica.client.runs.wait(thread_id, "steps", input={"text": "a"})
    async with httpx.AsyncClient() as http:
        document = (await http.get(f"{replica.url}/threads/{thread_id}/export")).content
        there = await http.post(f"{bare.url}/threads/import", content=document)
        abroad = (await http.get(f"{bare.url}/threads/{thread_id}/export")).content

    assert there.status_code == 200
    assert (await bare.client.threads.get_state(thread_id))["values"] == values
    assert abroad.count(b'"kind":"checkpoint"') == document.count(b'"kind":"checkpoint"') == 4


async def test_only_the_latest_is_kept_where_the_checkpointer_can_and_else_it_is_refused(
    bare: Replica, whole: Replica
) -> None:
    kept = {}
    for replica in (bare, whole):
        kept[replica.url] = (await replica.client.threads.create())["thread_id"]
        for text in ("a", "b"):
            await replica.client.runs.wait(kept[replica.url], "deltas", input={"text": text})

    with pytest.raises(UnprocessableEntityError, match="the checkpointer, a Bare, has no aprune"):
        await bare.client.threads.prune([kept[bare.url]], strategy="keep_latest")
    await whole.client.threads.prune([kept[whole.url]], strategy="keep_latest")

    assert len(await bare.client.threads.get_history(kept[bare.url], limit=100)) > 1
    (left,) = await whole.client.threads.get_history(kept[whole.url], limit=100)
    assert left["values"]["log"] == ["saw 0", "told nothing", "saw 2", "told nothing"]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"path": "api_persistence:nothing"}, "gives an int: must be a BaseCheckpointSaver"),
        ({"path": "api_persistence:Lacking"}, "Lacking: must implement adelete_thread"),
        ({"path": "api_persistence:broken"}, "it raised when it was opened: RuntimeError: no such cluster"),
        ({"path": "api_persistence:absent"}, "api_persistence has no variable absent; it has: "),
        (
            {"path": "api_persistence:Bare", "ttl": {"strategy": "keep_latest"}},
            "checkpointer.ttl.strategy: keep_latest: must be delete, as Bare of checkpointer.path has no",
        ),
    ],
)
async def test_a_checkpointer_that_can_not_work_is_told_at_the_start(
    alone: Settings, content: dict[str, Any], said: str
) -> None:
    settings = replace(alone, checkpointer=parse_checkpointer(content, "checkpointer"))

    with pytest.raises(ConfigError) as raised:
        async with open_replica(settings):
            pass

    assert said in str(raised.value)
    assert str(raised.value).startswith("checkpointer.")


async def test_items_are_kept_by_the_applications_store(alone: Settings) -> None:
    content = {"path": "api_persistence:store"}
    async with open_replica(replace(alone, store=parse_store(content, "store"))) as replica:
        await replica.client.store.put_item(["n"], "a", {"text": "kept"})

        found = await replica.client.store.search_items(["n"])

        assert [item["value"] for item in found["items"]] == [{"text": "kept"}]
        own = replica.services.store
        assert type(own).__name__ == "InMemoryStore" and await own.aget(("n",), "a") is not None


async def test_a_store_that_is_none_is_told_at_the_start(alone: Settings) -> None:
    settings = replace(alone, store=parse_store({"path": "api_persistence:nothing"}, "store"))

    with pytest.raises(
        ConfigError, match=r"store\.path: api_persistence:nothing: it gives an int: must be a"
    ):
        async with open_replica(settings):
            pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"path": "mine.py"}, "checkpointer.path: 'mine.py': must be path:variable"),
        ({"backend": "mongo", "uri": "x"}, "checkpointer.uri: unknown: must be one of path, "),
        ({"backend": "mongo"}, "checkpointer.backend: 'mongo': must be default, or custom with a path"),
        ({"backend": "custom"}, "checkpointer.backend: 'custom': must be default, or custom with a path"),
        ({"backend": "default", "path": "a:b"}, "checkpointer.backend: 'default': must be default, or"),
    ],
)
def test_what_the_file_says_of_a_checkpointer_is_checked(content: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_checkpointer(content, "checkpointer")

    assert str(raised.value).startswith(said)
