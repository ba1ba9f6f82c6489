"""A thread leaves as a document and comes back as it was: here, elsewhere, in another kind of database."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_replicas import Replica, open_replica, settings_of
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from lgs_runtime.model import Page
from lgs_runtime.settings import Settings
from support.postgres import fresh_database


@pytest.fixture
async def elsewhere(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Replica]:
    """A service over the other kind of database."""
    if kind == "postgres":
        async with open_replica(
            settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/o.db"})
        ) as opened:
            yield opened
        return
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        async with open_replica(settings_of(tmp_path, {"database_uri": uri})) as opened:
            yield opened


async def exported(replica: Replica, thread_id: str) -> bytes:
    """The document of a thread."""
    async with httpx.AsyncClient(base_url=replica.url) as http:
        answer = await http.get(f"/threads/{thread_id}/export")
    assert answer.status_code == 200, answer.text
    return answer.content


async def imported(replica: Replica, document: bytes, if_exists: str = "raise") -> httpx.Response:
    """The answer to an import."""
    async with httpx.AsyncClient(base_url=replica.url) as http:
        return await http.post("/threads/import", params={"if_exists": if_exists}, content=document)


async def told(replica: Replica, thread_id: str) -> dict[str, Any]:
    """Everything a client can see of a thread."""
    threads = replica.client.threads
    async with httpx.AsyncClient(base_url=replica.url) as http:
        versions = (await http.get(f"/threads/{thread_id}/versions")).json()
        trail = (await http.get(f"/threads/{thread_id}/audit", params={"limit": 100})).json()
    return {
        "thread": {**await threads.get(thread_id)},
        "state": await threads.get_state(thread_id, subgraphs=True),
        "history": await threads.get_history(thread_id, limit=1000),
        "runs": await replica.client.runs.list(thread_id),
        "versions": versions,
        "audit": [entry for entry in trail if entry["what"] not in ("thread.exported", "thread.imported")],
    }


async def ran(replica: Replica, graph: str, *runs: dict[str, Any]) -> str:
    """A thread on which these runs have ended."""
    thread_id = str((await replica.client.threads.create(metadata={"user": "ada"}))["thread_id"])
    for run in runs:
        await replica.client.runs.wait(thread_id, graph, **run)
    return thread_id


@pytest.mark.parametrize(
    ("graph", "runs"),
    [
        ("chat", [{"input": {"messages": [{"role": "user", "content": text}]}} for text in ("a", "b")]),
        ("asks_twice", [{"input": {"text": "a"}}, {"command": {"resume": "x"}}]),
        ("asks_inside", [{"input": {"text": "a"}}]),
    ],
)
async def test_a_thread_goes_to_another_kind_of_database_and_back(
    replica: Replica, elsewhere: Replica, graph: str, runs: list[dict[str, Any]]
) -> None:
    thread_id = await ran(replica, graph, *runs)
    document = await exported(replica, thread_id)
    before = await told(replica, thread_id)

    there = await imported(elsewhere, document)
    abroad = await told(elsewhere, thread_id)
    back = await imported(replica, await exported(elsewhere, thread_id), "replace")

    assert (there.status_code, back.status_code) == (200, 200), there.text + back.text
    assert abroad == before
    home = await told(replica, thread_id)
    deleted = [entry for entry in home["audit"] if entry["what"] == "thread.deleted"]
    assert {**home, "audit": []} == {**before, "audit": []}
    assert len(deleted) == 1


async def test_a_restored_thread_goes_on_where_it_was(replica: Replica, elsewhere: Replica) -> None:
    thread_id = await ran(replica, "asks_inside", {"input": {"text": "a"}})
    await imported(elsewhere, await exported(replica, thread_id))

    onward = await elsewhere.client.runs.wait(thread_id, "asks_inside", command={"resume": "left"})

    assert "told left" in onward["steps"]  # type: ignore[call-overload]
    assert (await elsewhere.client.threads.get(thread_id))["status"] == "idle"


async def test_a_thread_that_is_there_is_kept_replaced_or_joined_by_a_copy(replica: Replica) -> None:
    thread_id = await ran(replica, "steps", {"input": {"text": "a"}})
    document = await exported(replica, thread_id)
    await replica.client.runs.wait(thread_id, "steps", input={"text": "b"})
    cron: Any = await replica.client.crons.create_for_thread(thread_id, "steps", schedule="0 0 1 1 *")

    refused = await imported(replica, document)
    copy = await imported(replica, document, "new")
    kept = await replica.client.threads.get_state(thread_id)
    replaced = await imported(replica, document, "replace")

    assert (refused.status_code, copy.status_code, replaced.status_code) == (409, 200, 200)
    assert f"thread {thread_id} exists" in refused.json()["detail"]
    assert kept["values"]["text"] == "b"  # type: ignore[call-overload]
    assert (await replica.client.threads.get_state(thread_id))["values"]["text"] == "a"  # type: ignore[call-overload]
    assert [one["cron_id"] for one in await replica.client.crons.search(thread_id=thread_id)] == [
        cron["cron_id"]
    ]
    other = copy.json()["thread_id"]
    assert other != thread_id
    assert (await replica.client.threads.get_state(other))["values"]["steps"] == ["first", "second"]  # type: ignore[call-overload]
    (run,) = await replica.client.runs.list(other)
    assert run["run_id"] != (await replica.client.runs.list(thread_id))[0]["run_id"]


def changed(document: bytes, line: int, **changes: Any) -> bytes:
    """The document with a line that is another."""
    lines = document.splitlines()
    lines[line] = json.dumps({**json.loads(lines[line]), **changes}).encode()
    return b"\n".join(lines)


async def test_a_document_that_is_wrong_is_refused_and_leaves_nothing(replica: Replica) -> None:
    thread_id = await ran(replica, "steps", {"input": {"text": "a"}})
    document = await exported(replica, thread_id)
    await replica.client.threads.delete(thread_id)
    row = json.loads(document.splitlines()[0])["row"]
    kinds = [json.loads(line)["kind"] for line in document.splitlines()]
    value = kinds.index("value")
    wrong = {
        "line 1: b'not json'": b"not json",
        "the document was cut": b"\n".join(document.splitlines()[:-1]),
        "line 1: format: 9: must be 1": changed(document, 0, format=9),
        "thread.rest: 'busy': must be one of": changed(document, 0, row={**row, "rest": "busy"}),
        "thread.thread_id: 'x': must be a UUID": changed(document, 0, row={**row, "thread_id": "x"}),
        "thread.created_at: 5: must be a time": changed(document, 0, row={**row, "created_at": 5}),
        "must be a graph of this service": changed(document, 0, row={**row, "metadata": {"graph_id": "?"}}),
        "form 'pickle': must be one of": changed(document, value, data=["pickle", "gASVAAAAAA=="]),
        "must be base64": changed(document, value, data=["msgpack", "%"]),
        "its value of this version must come before": changed(document, value, version="?"),
    }

    for words, broken in wrong.items():
        answer = await imported(replica, broken)
        assert answer.status_code == 422, (words, answer.text)
        assert words in answer.json()["detail"]

    async with httpx.AsyncClient(base_url=replica.url) as http:
        assert (await http.get(f"/threads/{thread_id}")).status_code == 404
    assert (await imported(replica, b"")).status_code == 422
    assert (await imported(replica, document)).status_code == 200


async def test_a_document_can_not_bring_types_that_no_schema_here_names(replica: Replica) -> None:

    thread_id = await ran(replica, "steps", {"input": {"text": "a"}})
    document = await exported(replica, thread_id)
    form, raw = JsonPlusSerializer().dumps_typed(Page())
    line = [json.loads(each)["kind"] for each in document.splitlines()].index("value")

    answer = await imported(replica, changed(document, line, data=[form, b64encode(raw).decode()]), "new")

    assert answer.status_code == 422
    assert "lgs_runtime.model.base.Page: must be in the schema" in answer.json()["detail"]


async def test_an_import_replaces_nothing_unasked_where_callers_are_known(
    alone: Settings,
) -> None:
    alice = {"Authorization": "Bearer alice-token"}
    settings = replace(alone, auth_path="api_auth:tokens")
    async with open_replica(settings) as replica, httpx.AsyncClient(base_url=replica.url) as http:
        thread = (await http.post("/threads", json={}, headers=alice)).json()
        document = await http.get(f"/threads/{thread['thread_id']}/export", headers=alice)
        refused = await http.post("/threads/import", content=document.content, headers=alice)
        unknown = await http.get(f"/threads/{uuid4()}/export", headers=alice)

    assert (document.status_code, refused.status_code, unknown.status_code) == (200, 409, 404)
