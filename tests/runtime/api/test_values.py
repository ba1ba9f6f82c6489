"""Values of any kind reach clients alike in every answer and stream, and leave and come back with their
thread."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from api_replicas import Replica
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lgs_runtime.database.json_columns import MARK
from support.values import AS_THEIRS, KEPT, SAID, spoil


async def stream_of(url: str, name: str, how: str, mode: str) -> list[tuple[str, Any]]:
    """Events of a stateless run, with their JSON read as Python reads it: integers whole."""
    body = {"assistant_id": "values", "input": {"which": name, "how": how}, "stream_mode": [mode]}
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        return events((await http.post("/runs/stream", json=body)).text)


def events(text: str) -> list[tuple[str, Any]]:
    """Server-sent events."""
    blocks = [block.splitlines() for block in text.split("\r\n\r\n")]
    fields = [dict(line.split(": ", 1) for line in lines if ": " in line) for lines in blocks]
    return [(each["event"], json.loads(each["data"])) for each in fields if "data" in each]


@pytest.mark.parametrize("name", KEPT)
async def test_a_value_is_told_alike_everywhere(replica: Replica, name: str) -> None:
    told = KEPT[name][1]
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]
        run = {"assistant_id": "values", "input": {"which": name, "how": "keep"}}
        waited = json.loads((await http.post(f"/threads/{thread_id}/runs/wait", json=run)).content)
        thread = json.loads((await http.get(f"/threads/{thread_id}")).content)
        state = json.loads((await http.get(f"/threads/{thread_id}/state")).content)
        (latest, *_) = json.loads((await http.get(f"/threads/{thread_id}/history")).content)
    updates = dict(await stream_of(replica.url, name, "keep", "updates"))

    for values in (waited, thread["values"], state["values"], latest["values"], updates["updates"]["act"]):
        assert values["value"] == told
    # Named tuples inside of a message are lists to pydantic.
    inside = [values["messages"][0]["additional_kwargs"]["v"] for values in (waited, state["values"])]
    assert inside == [told] * 2 or name == "named tuple"


@pytest.mark.parametrize("name", SAID)
async def test_what_a_node_says_is_told_so_too(replica: Replica, name: str) -> None:
    assert ("custom", SAID[name][1]) in await stream_of(replica.url, name, "say", "custom")


@pytest.mark.parametrize("name", ["bytes", "timedelta", "half a character", "NUL", "beyond 64 bits", "model"])
async def test_what_a_node_asks_is_told_so_too(replica: Replica, name: str) -> None:
    told = KEPT[name][1]
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]
        run = {"assistant_id": "values", "input": {"which": name, "how": "ask"}}
        waited = json.loads((await http.post(f"/threads/{thread_id}/runs/wait", json=run)).content)
        thread = json.loads((await http.get(f"/threads/{thread_id}")).content)
        state = json.loads((await http.get(f"/threads/{thread_id}/state")).content)

    ((asked,),) = thread["interrupts"].values()
    (task,) = state["tasks"]
    for questions in (waited["__interrupt__"], [asked], state["interrupts"], task["interrupts"]):
        assert questions[0]["value"] == told


@pytest.mark.parametrize("name", ["half a character", "NUL", "NUL in a key", "beyond 64 bits inside"])
async def test_what_the_database_can_not_hold_is_no_failure_of_the_store_either(
    replica: Replica, name: str
) -> None:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        run = {"assistant_id": "values", "input": {"which": name, "how": "store"}}
        await http.post("/runs/wait", json=run)
        found = await http.get("/store/items", params={"key": name, "namespace": "values"})

    assert json.loads(found.content)["value"] == {"value": KEPT[name][1]}


async def test_the_words_of_a_failure_are_kept(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]
        run = {"assistant_id": "values", "input": {"which": "NUL", "how": "raise"}}
        waited = (await http.post(f"/threads/{thread_id}/runs/wait", json=run)).json()
        thread = (await http.get(f"/threads/{thread_id}")).json()

    assert waited["__error__"] == {"error": "ValueError", "message": "a\x00b"}
    assert thread["error"] == {"error": "ValueError", "message": "a\x00b"}


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=5) | st.sampled_from(
    ["\x00", "k\x00", MARK, f"{MARK}0000", f"{MARK}i1"]
)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
DOCUMENT = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=st.dictionaries(TEXT, DOCUMENT, max_size=3), other=TEXT)
async def test_what_clients_send_is_kept_and_found_by_what_it_holds(
    replica: Replica, document: dict[str, Any], other: str
) -> None:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        metadata = {"mine": document, "graph_id": "values"}
        made = await http.post("/threads", content=json.dumps({"metadata": metadata}))
        thread_id = made.json()["thread_id"]
        found = await http.post(
            "/threads/search", content=json.dumps({"metadata": metadata, "ids": [thread_id]})
        )
        wanted = {"mine": {**document, f"{other}?": 1}}
        missed = await http.post(
            "/threads/search", content=json.dumps({"metadata": wanted, "ids": [thread_id]})
        )
        update = {"values": {"value": document}}
        await http.post(f"/threads/{thread_id}/state", content=json.dumps(update))
        thread = await http.get(f"/threads/{thread_id}")
        state = await http.get(f"/threads/{thread_id}/state")
        await http.delete(f"/threads/{thread_id}")

    assert json.loads(made.content)["metadata"] == metadata
    assert [each["metadata"] for each in json.loads(found.content)] == [metadata]
    assert json.loads(missed.content) == []
    assert json.loads(thread.content)["values"]["value"] == document
    assert json.loads(state.content)["values"]["value"] == document


ODD: dict[str, Any] = {"k\x00": ["\x00", 2**80, {MARK: -(2**70)}], "k": 1e17}


async def test_every_document_of_every_kind_of_record_is_kept(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:

        async def told(method: str, path: str, **body: Any) -> Any:
            answer = await http.request(method, path, content=json.dumps(body) if body else None)
            assert answer.status_code in (200, 204), answer.text
            return json.loads(answer.content or b"null")

        made = await told("POST", "/assistants", graph_id="values", metadata=ODD, context=ODD)
        assistant = await told("GET", f"/assistants/{made['assistant_id']}")
        (found,) = await told("POST", "/assistants/search", metadata=ODD)
        thread = await told("POST", "/threads", metadata=ODD)
        runs = f"/threads/{thread['thread_id']}/runs"
        given = {"which": "bytes", "how": "keep", "messages": [ODD]}
        run = await told("POST", runs, assistant_id="values", input=given, metadata=ODD, context=ODD)
        left = await told("GET", f"{runs}/{run['run_id']}/join")
        history = await told("POST", f"/threads/{thread['thread_id']}/history", metadata={"k": 1e17})
        cron = await told(
            "POST", "/runs/crons", assistant_id="values", schedule="0 0 1 1 *", input=given, metadata=ODD
        )
        crons = await told("POST", "/runs/crons/search", metadata=ODD)
        await told("DELETE", f"/runs/crons/{cron['cron_id']}")
        item = {"namespace": ["odd"], "key": "k", "value": ODD}
        await told("PUT", "/store/items", **item)
        items = await told("POST", "/store/items/search", namespace_prefix=["odd"], filter={"k": 1e17})
        version = f"/threads/{thread['thread_id']}/versions/1"
        described = await told("PATCH", version, metadata=ODD)

    assert (assistant["metadata"], assistant["context"]) == (ODD, ODD)
    assert found["assistant_id"] == assistant["assistant_id"]
    assert (thread["metadata"], described["metadata"]) == (ODD, ODD)
    assert {name: run["metadata"][name] for name in ODD} == ODD
    assert (run["kwargs"]["input"], run["kwargs"]["context"]) == (given, ODD)
    assert left["value"] == "AP9hYmM="
    assert history != []
    assert [(each["metadata"], each["payload"]["input"]) for each in crons] == [(cron["metadata"], given)]
    assert {name: cron["metadata"][name] for name in ODD} == ODD
    assert [each["value"] for each in items["items"]] == [ODD]


async def test_any_values_leave_and_come_back_with_their_thread(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        thread_id = (await http.post("/threads", json={"metadata": {"k": 2**80}})).json()["thread_id"]
        # LangGraph finds no named tuples in schemas; `lgs-runtime import` takes those as well.
        for name in KEPT.keys() - {"named tuple"}:
            run = {"assistant_id": "values", "input": {"which": name, "how": "keep"}}
            await http.post(f"/threads/{thread_id}/runs/wait", json=run)
        document = await http.get(f"/threads/{thread_id}/export")
        copy = await http.post("/threads/import", content=document.content, params={"if_exists": "new"})
        assert copy.status_code == 200, copy.text
        again = await http.get(f"/threads/{copy.json()['thread_id']}/export")
        limit = {"limit": 1000}
        before = (await http.post(f"/threads/{thread_id}/history", json=limit)).json()
        after = (await http.post(f"/threads/{copy.json()['thread_id']}/history", json=limit)).json()

    assert json.loads(document.content.splitlines()[-1])["kind"] == "end"
    assert [state["values"] for state in after] == [state["values"] for state in before]
    assert checkpoints(again.content) == checkpoints(document.content)
    assert len(checkpoints(document.content)) > 2 * len(AS_THEIRS)


async def test_an_export_that_fails_in_the_middle_says_so_in_its_last_line(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url, timeout=60) as http:
        thread_id = (await http.post("/threads", json={})).json()["thread_id"]
        run = {"assistant_id": "values", "input": {"which": "bytes", "how": "keep"}}
        await http.post(f"/threads/{thread_id}/runs/wait", json=run)
        await spoil(replica.services.checkpointer, thread_id)
        document = await http.get(f"/threads/{thread_id}/export")
        back = await http.post("/threads/import", content=document.content, params={"if_exists": "new"})

    last = json.loads(document.content.splitlines()[-1])
    assert last["kind"] == "failed"
    assert "odd" in last["reason"]
    assert back.status_code == 422
    assert "the export of the thread failed" in back.json()["detail"]


def checkpoints(document: bytes) -> list[dict[str, Any]]:
    """The lines that hold the state. Which of its values comes first, PostgreSQL does not keep."""
    lines = [json.loads(line) for line in document.splitlines()]
    kept = [line for line in lines if line["kind"] in ("value", "checkpoint")]
    return sorted(({**line, "channels": sorted(line.get("channels", ()))} for line in kept), key=json.dumps)
