"""What a user may do: handlers and their answers, what is made in a user's name, and LangGraph's tutorial."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import api_auth
import httpx
import pytest
from api_limits import client_of
from api_replicas import Replica, open_replica, settings_of
from langgraph_sdk.errors import NotFoundError
from websockets.asyncio.client import connect

from lgs_runtime.auth.filters import BadFilter, parse_filter
from lgs_runtime.background.cron_scheduler import CronScheduler
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.model import Assistant, QueueLimits, Scope
from lgs_runtime.runs.crons import run_id_of
from lgs_runtime.settings import Settings
from lgs_runtime.storage.queries import RunQuery

ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}


@pytest.fixture(scope="session")
async def ruled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A service with one of each kind of handler."""
    folder = tmp_path_factory.mktemp("ruled")
    plain = settings_of(folder, {"database_uri": f"sqlite:///{folder}/lgs.db"})
    settings: Settings = replace(
        plain, auth_path="api_auth:rules", graphs={**plain.graphs, "who": GraphSpec("api_graphs:who")}
    )
    async with (
        open_replica(settings) as replica,
        httpx.AsyncClient(base_url=replica.url) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("given", "documents"),
    [
        ({"owner": "a"}, [{"owner": "a"}]),
        ({"owner": {"$eq": "a"}, "team": 7}, [{"owner": "a", "team": 7}]),
        ({"members": {"$contains": "a"}}, [{"members": ["a"]}]),
        ({"members": {"$contains": ["a", "b"]}}, [{"members": ["a", "b"]}]),
        ({"$or": [{"owner": "a"}, {"members": {"$contains": "a"}}]}, [{"owner": "a"}, {"members": ["a"]}]),
        ({"$and": [{"owner": "a"}, {"team": "t"}]}, [{"owner": "a", "team": "t"}]),
        (
            {"team": "t", "$or": [{"owner": "a"}, {"public": True}]},
            [{"team": "t", "owner": "a"}, {"team": "t", "public": True}],
        ),
        ({"$and": [{"owner": "a"}, {"owner": "b"}]}, []),
        ({"owner": 1, "$or": [{"owner": True}]}, []),
        (
            {"$and": [{"m": {"$contains": "a"}}, {"m": {"$contains": "b"}}]},
            [{"m": ["a", "b"]}],
        ),
    ],
)
def test_a_filter_is_a_choice_of_documents(given: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    assert parse_filter(given) == Scope(tuple(documents))


def test_an_empty_filter_lets_all_through_and_what_is_none_lets_nothing() -> None:
    assert parse_filter({}) is None
    for wrong in (
        {"owner": {"$like": "a"}},
        {"owner": ["a"]},
        {"owner": {"$eq": {"name": "a"}}},
        {"$or": []},
        {"$or": {"owner": "a"}},
        {"$not": [{"owner": "a"}]},
        {"$or": ["owner"]},
        {"$and": [{"$or": [{str(n): m} for m in range(9)]} for n in range(3)]},
    ):
        with pytest.raises(BadFilter):
            parse_filter(wrong)


async def test_the_most_specific_handler_decides(ruled: httpx.AsyncClient) -> None:
    made = await ruled.post("/threads", json={}, headers=ALICE)
    thread = f"/threads/{made.json()['thread_id']}"
    shared = await ruled.post("/threads", json={"metadata": {"members": ["alice"]}}, headers=BOB)
    theirs = f"/threads/{shared.json()['thread_id']}"

    assert made.json()["metadata"] == {"owner": "alice"}
    assert (await ruled.get(thread, headers=ALICE)).status_code == 200
    assert (await ruled.get(thread, headers=BOB)).status_code == 404
    assert (await ruled.get(theirs, headers=ALICE)).status_code == 200
    paid = await ruled.delete(thread, headers=ALICE)
    assert (paid.status_code, paid.json()) == (402, {"detail": "pay first"})
    denied = await ruled.post("/runs/crons/search", json={}, headers=ALICE)
    assert denied.status_code == 403
    assert ("crons", "search") in {(resource, action) for resource, action, _ in api_auth.rules_asked}


async def test_a_handler_may_change_a_run_and_refuse_it(ruled: httpx.AsyncClient) -> None:
    run = {"assistant_id": "steps", "input": {}}
    refused = await ruled.post("/runs/wait", json=run, headers=BOB)
    made = await ruled.post("/threads", json={}, headers=ALICE)
    changed = await ruled.post(f"/threads/{made.json()['thread_id']}/runs", json=run, headers=ALICE)

    assert (refused.status_code, refused.json()) == (403, {"detail": "may not chat"})
    assert changed.json()["metadata"]["owner"] == "alice"
    assert changed.json()["kwargs"]["context"] == {"stamped": True}


async def test_who_deletes_an_assistant_stops_its_runs_on_threads_that_they_may_change(
    tmp_path: Path,
) -> None:
    plain = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    async with (
        open_replica(replace(plain, auth_path="api_auth:private")) as replica,
        httpx.AsyncClient(base_url=replica.url) as client,
    ):
        made = await client.post("/assistants", json={"graph_id": "slow"}, headers=ALICE)
        assistant = made.json()["assistant_id"]
        run = {"assistant_id": assistant, "input": {}, "after_seconds": 3600}
        runs = {}
        for who in (ALICE, BOB):
            thread = (await client.post("/threads", json={}, headers=who)).json()["thread_id"]
            stored = await client.post(f"/threads/{thread}/runs", json=run, headers=who)
            runs[who["Authorization"]] = f"/threads/{thread}/runs/{stored.json()['run_id']}"

        gone = await client.delete(f"/assistants/{assistant}", headers=ALICE)

        mine = await client.get(runs[ALICE["Authorization"]], headers=ALICE)
        theirs = await client.get(runs[BOB["Authorization"]], headers=BOB)
        assert gone.status_code == 204
        assert (mine.json()["status"], theirs.json()["status"]) == ("interrupted", "pending")


async def test_who_may_change_no_thread_deletes_no_assistant(tmp_path: Path) -> None:
    plain = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    async with (
        open_replica(replace(plain, auth_path="api_auth:fixed")) as replica,
        httpx.AsyncClient(base_url=replica.url, headers=ALICE) as client,
    ):
        made = await client.post("/assistants", json={"graph_id": "slow"})
        assistant = f"/assistants/{made.json()['assistant_id']}"

        refused = await client.delete(assistant, params={"delete_threads": True})

        assert refused.status_code == 403
        assert (await client.get(assistant)).status_code == 200


async def test_who_may_not_change_a_thread_makes_none_with_a_history_of_their_own(tmp_path: Path) -> None:
    plain = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    history = {"supersteps": [{"updates": [{"values": {"text": "forged"}, "as_node": "first"}]}]}
    known = {"metadata": {"graph_id": "steps"}, "if_exists": "do_nothing"}
    async with (
        open_replica(replace(plain, auth_path="api_auth:fixed")) as replica,
        httpx.AsyncClient(base_url=replica.url, headers=ALICE) as client,
    ):
        empty = await client.post("/threads", json=known)
        named = {**known, "thread_id": empty.json()["thread_id"]}

        made = await client.post("/threads", json={**known, **history})
        there = await client.post("/threads", json={**named, **history})

        count = await client.post("/threads/count", json={})
        state = await client.get(f"/threads/{named['thread_id']}/state")
        assert (empty.status_code, made.status_code, there.status_code) == (200, 403, 403)
        assert (count.json(), state.json()["values"]) == (1, {})


async def test_a_handler_decides_the_priority_of_a_run_by_what_it_writes_into_its_metadata(
    ruled: httpx.AsyncClient,
) -> None:
    thread = (await ruled.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
    upset = {"assistant_id": "steps", "input": {}, "metadata": {"upset": True}}

    on_a_thread = await ruled.post(f"/threads/{thread}/runs", json=upset, headers=ALICE)
    without_one = await ruled.post("/runs", json=upset, headers=ALICE)
    (of_a_batch,) = (await ruled.post("/runs/batch", json=[upset], headers=ALICE)).json()
    by_header = await ruled.post("/runs", json=upset, headers={**ALICE, "X-LGS-Priority": "low"})

    decided = [on_a_thread.json(), without_one.json(), of_a_batch, by_header.json()]
    assert [run["priority"] for run in decided] == ["high", "high", "high", "low"]


async def test_a_handler_that_fails_lets_nothing_through(ruled: httpx.AsyncClient) -> None:
    broken = await ruled.post("/assistants/search", json={}, headers=ALICE)
    mistaken = await ruled.get("/assistants/steps", headers=ALICE)
    unscoped = await ruled.post("/store/items/search", json={}, headers=ALICE)

    assert (broken.status_code, mistaken.status_code) == (500, 500)
    assert "secret" not in mistaken.text
    assert unscoped.status_code == 403
    assert "namespace" in unscoped.json()["detail"]


async def test_the_runs_of_a_cron_are_made_in_the_name_of_who_made_it(guarded: Replica) -> None:
    storage = guarded.services.storage
    async with httpx.AsyncClient(base_url=guarded.url, headers=ALICE) as client:
        cron = {"assistant_id": "steps", "schedule": "0 0 1 1 *", "on_run_completed": "keep", "input": {}}
        made = (await client.post("/runs/crons", json=cron)).json()
    past = await storage.now() - timedelta(minutes=1)
    await storage.crons.update(made["cron_id"], {"next_run_date": past})

    stored = await storage.crons.get(made["cron_id"])
    due = replace(stored, next_run_date=past)
    # The replica's own scheduler may have been first: it makes the same run.
    await CronScheduler(guarded.services)._fire(due)

    assert (made["user_id"], stored.caller and stored.caller["identity"]) == ("alice", "alice")
    run = await storage.runs.get(run_id_of(due))
    thread = await storage.threads.get(run.thread_id, Scope(({"owner": "alice", "graph_id": "steps"},)))
    assert [each.run_id for each in await storage.runs.of_thread(thread.thread_id, RunQuery())] == [
        run.run_id
    ]
    assert run.metadata["cron_id"] == made["cron_id"]
    assert (run.created_by, run.kwargs["user"]["identity"]) == ("alice", "alice")


async def test_a_run_of_ones_own_assistant_is_made_from_it_as_it_is(
    guarded: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = guarded.services.storage
    read = storage.assistants.get

    async def read_before_it_is_changed(assistant_id: str, scope: Scope | None = None) -> Assistant:
        found = await read(assistant_id, scope)
        monkeypatch.undo()
        await storage.assistants.update(assistant_id, {"metadata": {"level": 2}})
        return found

    async with httpx.AsyncClient(base_url=guarded.url, headers=ALICE) as client:
        own = {"graph_id": "steps", "metadata": {"level": 1}}
        assistant_id = (await client.post("/assistants", json=own)).json()["assistant_id"]
        monkeypatch.setattr(storage.assistants, "get", read_before_it_is_changed)
        made = (await client.post("/runs", json={"assistant_id": assistant_id, "input": {}})).json()

    assert made["metadata"]["level"] == 2


async def test_private_conversations_as_in_the_tutorial(guarded: Replica) -> None:
    async with (
        client_of(guarded.url, headers=ALICE) as alice,
        client_of(guarded.url, headers=BOB) as bob,
    ):
        mine = await alice.threads.create()
        said = {"messages": [{"role": "user", "content": "hello"}]}
        answer = await alice.runs.wait(mine["thread_id"], "chat", input=said)
        theirs = await bob.threads.create()
        streamed = [event async for event in bob.runs.stream(theirs["thread_id"], "chat", input=said)]

        assert [message["content"] for message in answer["messages"]] == ["hello", "a b c"]
        assert streamed[-1].data["messages"][-1]["content"] == "a b c"
        assert mine["metadata"]["owner"] == "alice"
        assert "chat" in {one["graph_id"] for one in await bob.assistants.search(limit=100)}
        assert theirs["thread_id"] in {one["thread_id"] for one in await bob.threads.search(limit=100)}
        assert mine["thread_id"] not in {one["thread_id"] for one in await bob.threads.search(limit=100)}
        for attempt in (
            bob.threads.get(mine["thread_id"]),
            bob.threads.get_state(mine["thread_id"]),
            bob.runs.create(mine["thread_id"], "chat", input=said),
            bob.runs.list(mine["thread_id"]),
        ):
            with pytest.raises(NotFoundError):
                await attempt


async def test_a_socket_tells_nothing_of_a_foreign_thread(guarded: Replica) -> None:
    async with httpx.AsyncClient(base_url=guarded.url, headers=ALICE) as client:
        thread_id = (await client.post("/threads", json={})).json()["thread_id"]
        await client.post(f"/threads/{thread_id}/runs/wait", json={"assistant_id": "steps", "input": {}})
    url = f"{guarded.url.replace('http', 'ws', 1)}/threads/{thread_id}/stream/events"
    asked = '{"id": 1, "method": "state.get", "params": {"namespace": []}}'

    answers = []
    for who in (BOB, ALICE):
        async with connect(url, additional_headers=who) as socket:
            await socket.send(asked)
            answers.append(await socket.recv())

    assert "no_such_run" in answers[0]
    assert "first" in answers[1]


async def test_a_user_lists_their_own_runs_and_has_no_more_than_they_may(tmp_path: Path) -> None:
    plain = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    settings = replace(plain, auth_path="api_auth:owners", queue_limits=QueueLimits(user=1))
    later = {"assistant_id": "steps", "after_seconds": 3600}
    async with (
        open_replica(settings) as replica,
        httpx.AsyncClient(base_url=replica.url) as client,
    ):
        ended = await client.post("/runs/wait", json={"assistant_id": "steps", "input": {}}, headers=ALICE)
        waiting = (await client.post("/runs", json=later, headers=ALICE)).json()
        refused = await client.post("/runs", json=later, headers=ALICE)
        await client.post("/runs", json=later, headers=BOB)
        mine = (await client.get("/users/me/runs", headers=ALICE)).json()
        pending = (await client.get("/users/me/runs?status=pending&select=run_id", headers=ALICE)).json()
    async with (
        open_replica(plain) as replica,
        httpx.AsyncClient(base_url=replica.url) as client,
    ):
        nobody = await client.get("/users/me/runs")

    assert ended.status_code == 200
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert [run["status"] for run in mine] == ["pending", "success"]
    assert pending == [{"run_id": waiting["run_id"]}]
    assert nobody.status_code == 404
