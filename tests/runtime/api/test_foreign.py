"""Every route of the API, with the things of somebody else: they are not there, and stay as they are.

The table has each route with the ways in which Bob tries what is Alice's. A route that is not in the table
fails the first test, so none is added without saying what it does to strangers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from api_replicas import Replica
from fastapi import Response

from lgs_runtime.api.access import Parts, router
from lgs_runtime.api.app import ROUTES, create_app

SECRET = "the-treasure-is-under-the-oak"
ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}
PUBLIC = {
    ("GET", path) for path in ("/", "/ok", "/ready", "/metrics", "/info", "/docs", "/docs/oauth2-redirect")
}
SOCKET = ("SOCKET", "/threads/{thread_id}/stream/events")
Things = dict[str, Any]
Body = Callable[[Things], Any]


@dataclass(frozen=True)
class Try:
    """A request, and what Bob is answered. `mine`: what Alice is, where it differs from success."""

    status: int = 404
    body: Body | None = None
    query: dict[str, str] = field(default_factory=dict)
    answer: Any = ...
    path: dict[str, str] = field(default_factory=dict)
    mine: int | None = None
    error: str | None = None
    """The code by which a command is answered."""


def command(method: str, **params: Any) -> Body:
    return lambda t: {"id": 1, "method": method, "params": params}


def rpc(method: str, **params: Any) -> Body:
    return lambda t: {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def run_of(name: str = "assistant_id") -> Body:
    return lambda t: {"assistant_id": t[name], "input": {}, "if_not_exists": "create"}


STEPS: Body = lambda t: {"assistant_id": "steps", "input": {}, "if_not_exists": "create"}  # noqa: E731
EMPTY: Body = lambda t: {}  # noqa: E731
ITEM: Body = lambda t: {"namespace": ["notes"], "key": "one"}  # noqa: E731
CRON: dict[str, Any] = {"schedule": "0 0 1 1 *", "input": {}}
MCP = ("/mcp", "/mcp/")
A2A = ("/a2a/{assistant_id}", "/a2a/{assistant_id}/")
CARDS = tuple(f"{A2A[1]}.well-known/{name}.json" for name in ("agent-card", "agent"))
WAITING = {"thread_id": "busy_id", "run_id": "waiting_id"}

TABLE: dict[tuple[str, str], list[Try]] = {
    ("POST", "/assistants"): [
        Try(
            409, lambda t: {"graph_id": "steps", "assistant_id": t["assistant_id"], "if_exists": "do_nothing"}
        ),
    ],
    ("POST", "/assistants/search"): [Try(200, lambda t: {"name": SECRET}, answer=[])],
    ("POST", "/assistants/count"): [Try(200, lambda t: {"name": SECRET}, answer=0)],
    ("GET", "/assistants/{assistant_id}"): [Try()],
    ("PATCH", "/assistants/{assistant_id}"): [
        Try(body=lambda t: {"name": "mine now"}),
        Try(body=lambda t: {"metadata": {"owner": "bob"}}),
    ],
    ("DELETE", "/assistants/{assistant_id}"): [Try(), Try(query={"delete_threads": "true"})],
    ("POST", "/assistants/{assistant_id}/versions"): [Try(body=EMPTY)],
    ("POST", "/assistants/{assistant_id}/latest"): [Try(body=lambda t: {"version": 1})],
    ("GET", "/assistants/{assistant_id}/schemas"): [Try()],
    ("GET", "/assistants/{assistant_id}/graph"): [Try()],
    ("GET", "/assistants/{assistant_id}/subgraphs"): [Try()],
    ("GET", "/assistants/{assistant_id}/subgraphs/{namespace}"): [Try()],
    ("POST", "/threads"): [
        Try(409, lambda t: {"thread_id": t["thread_id"], "if_exists": "do_nothing"}),
        Try(409, lambda t: {"thread_id": t["thread_id"], "metadata": {"owner": "bob"}}, mine=409),
    ],
    ("POST", "/threads/search"): [
        Try(200, lambda t: {"ids": [t["thread_id"]]}, answer=[]),
        Try(200, lambda t: {"metadata": {"secret": SECRET}}, answer=[]),
        Try(200, lambda t: {"values": {"text": SECRET}}, answer=[]),
    ],
    ("POST", "/threads/count"): [Try(200, lambda t: {"metadata": {"secret": SECRET}}, answer=0)],
    ("POST", "/threads/prune"): [
        Try(200, lambda t: {"thread_ids": [t["thread_id"]]}, answer={"pruned_count": 0}),
        Try(
            200,
            lambda t: {"thread_ids": [t["thread_id"]], "strategy": "keep_latest"},
            answer={"pruned_count": 0},
        ),
    ],
    ("GET", "/threads/{thread_id}"): [Try()],
    ("PATCH", "/threads/{thread_id}"): [Try(body=lambda t: {"metadata": {"owner": "bob"}})],
    ("DELETE", "/threads/{thread_id}"): [Try()],
    ("POST", "/threads/{thread_id}/copy"): [Try()],
    ("GET", "/threads/{thread_id}/stream"): [Try()],
    ("GET", "/threads/{thread_id}/storage"): [Try()],
    ("GET", "/threads/{thread_id}/audit"): [Try()],
    ("GET", "/threads/{thread_id}/export"): [Try()],
    # No document that begins so: `test_import_rights.py` has whole ones.
    ("POST", "/threads/import"): [Try(422, lambda t: {"thread_id": t["thread_id"]}, mine=422)],
    ("POST", "/threads/{thread_id}/stream/events"): [Try(body=lambda t: {"channels": ["values"]})],
    ("POST", "/threads/{thread_id}/commands"): [
        Try(200, command("state.get", namespace=[]), error="no_such_run"),
        Try(200, command("state.listCheckpoints", namespace=[]), error="no_such_run"),
        Try(200, command("agent.getTree"), error="no_such_run"),
        Try(200, command("run.start", assistant_id="nested", input={}), error="no_such_run"),
        Try(
            200,
            lambda t: command("state.fork", checkpoint_id=t["checkpoint_id"], input={})(t),
            error="no_such_run",
        ),
        Try(200, command("input.respond", interrupt_id="x", response=1), error="no_such_run", mine=200),
    ],
    ("GET", "/threads/{thread_id}/state"): [Try()],
    ("POST", "/threads/{thread_id}/state"): [Try(body=lambda t: {"values": {"steps": ["forged"]}})],
    ("GET", "/threads/{thread_id}/state/{checkpoint_id}"): [Try()],
    ("POST", "/threads/{thread_id}/state/checkpoint"): [
        Try(body=lambda t: {"checkpoint": {"checkpoint_id": t["checkpoint_id"]}})
    ],
    ("GET", "/threads/{thread_id}/history"): [Try()],
    ("POST", "/threads/{thread_id}/history"): [Try(body=EMPTY)],
    ("GET", "/threads/{thread_id}/versions"): [Try()],
    ("POST", "/threads/{thread_id}/versions"): [Try(body=EMPTY)],
    ("GET", "/threads/{thread_id}/versions/{version}"): [Try()],
    ("PATCH", "/threads/{thread_id}/versions/{version}"): [Try(body=lambda t: {"description": "mine"})],
    ("GET", "/threads/{thread_id}/versions/{version}/diff/{other}"): [Try()],
    ("POST", "/threads/{thread_id}/versions/{version}/rollback"): [Try(body=EMPTY)],
    ("POST", "/threads/{thread_id}/runs"): [
        Try(body=STEPS),
        *(
            Try(body=lambda t, s=s: {"assistant_id": "steps", "multitask_strategy": s}, path=WAITING)  # type: ignore[misc]
            for s in ("enqueue", "interrupt", "rollback")
        ),
    ],
    ("POST", "/threads/{thread_id}/runs/wait"): [Try(body=STEPS)],
    ("POST", "/threads/{thread_id}/runs/stream"): [Try(body=STEPS)],
    ("GET", "/threads/{thread_id}/runs"): [Try()],
    ("GET", "/threads/{thread_id}/runs/{run_id}"): [Try()],
    ("DELETE", "/threads/{thread_id}/runs/{run_id}"): [Try()],
    ("GET", "/threads/{thread_id}/runs/{run_id}/join"): [Try(), Try(query={"cancel_on_disconnect": "true"})],
    ("GET", "/threads/{thread_id}/runs/{run_id}/stream"): [Try(), Try(query={"cancel_on_disconnect": "1"})],
    ("POST", "/threads/{thread_id}/runs/{run_id}/cancel"): [
        Try(path=WAITING),
        Try(path=WAITING, query={"action": "rollback", "wait": "true"}),
    ],
    ("POST", "/runs/cancel"): [
        Try(204, lambda t: {"status": "all"}),
        Try(404, lambda t: {"thread_id": t["busy_id"]}),
        Try(404, lambda t: {"thread_id": t["busy_id"], "run_ids": [t["waiting_id"]]}),
    ],
    ("POST", "/runs"): [Try(body=run_of())],
    ("POST", "/runs/wait"): [Try(body=run_of())],
    ("POST", "/runs/stream"): [Try(body=run_of())],
    ("POST", "/runs/batch"): [
        Try(body=lambda t: [{"assistant_id": "steps", "thread_id": t["thread_id"], "input": {}}]),
        Try(body=lambda t: [{"assistant_id": t["assistant_id"], "input": {}}]),
    ],
    **{
        ("POST", path): [Try(200, rpc("tools/list")), Try(200, rpc("tools/call", name=SECRET))]
        for path in MCP
    },
    ("GET", "/.well-known/agent-card.json"): [Try(query={"assistant_id": "{assistant_id}"})],
    **{("GET", path): [Try()] for path in CARDS},
    **{
        ("POST", path): [
            Try(body=rpc("message/send", message={"parts": [{"kind": "data", "data": {}}]})),
            Try(200, lambda t: rpc("tasks/get", id=t["run_id"])(t)),
            Try(200, lambda t: rpc("tasks/cancel", id=t["waiting_id"])(t)),
            Try(200, lambda t: rpc("GetTask", id=t["run_id"])(t)),
            Try(200, lambda t: rpc("CancelTask", id=t["waiting_id"])(t)),
            Try(200, lambda t: rpc("SubscribeToTask", id=t["waiting_id"])(t)),
            Try(body=lambda t: rpc("ListTasks", contextId=t["thread_id"], includeArtifacts=True)(t)),
            Try(body=rpc("ListTasks", includeArtifacts=True)),
        ]
        for path in A2A
    },
    **{("GET", path): [Try(405, mine=405)] for path in MCP},
    **{("DELETE", path): [Try(404, mine=404)] for path in MCP},
    ("GET", "/users/me/runs"): [Try(200)],
    ("POST", "/runs/crons"): [Try(body=lambda t: {**CRON, "assistant_id": t["assistant_id"]})],
    ("POST", "/threads/{thread_id}/runs/crons"): [Try(body=lambda t: {**CRON, "assistant_id": "steps"})],
    ("POST", "/runs/crons/search"): [Try(200, EMPTY, answer=[])],
    ("POST", "/runs/crons/count"): [Try(200, EMPTY, answer=0)],
    ("GET", "/runs/crons/{cron_id}"): [Try()],
    ("PATCH", "/runs/crons/{cron_id}"): [Try(body=lambda t: {"input": {"text": "forged"}})],
    ("DELETE", "/runs/crons/{cron_id}"): [Try()],
    ("PUT", "/store/items"): [
        Try(204, lambda t: {"namespace": ["notes"], "key": "one", "value": {"a": "b"}})
    ],
    ("GET", "/store/items"): [Try(200, query={"namespace": "notes", "key": "two"}, answer=None)],
    ("DELETE", "/store/items"): [Try(204, ITEM)],
    ("POST", "/store/items/search"): [
        Try(200, lambda t: {"namespace_prefix": ["secrets"]}, answer={"items": []})
    ],
    # All users share it: `test_cache.py` has the service that lets one in.
    ("GET", "/cache/stats"): [Try(403, mine=403)],
    ("DELETE", "/cache"): [Try(403, mine=403), Try(403, query={"namespace": "steps/one"}, mine=403)],
    ("POST", "/store/namespaces"): [
        Try(200, lambda t: {"prefix": ["secrets"]}, answer={"namespaces": []}),
        Try(200, lambda t: {"prefix": ["secrets"], "suffix": ["deep"]}, answer={"namespaces": []}),
    ],
}
TRIES = [
    pytest.param(method, path, each, id=f"{method} {path} {number}")
    for (method, path), tries in TABLE.items()
    for number, each in enumerate(tries)
]


@pytest.fixture(scope="session")
async def http(guarded: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service with private conversations."""
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        yield client


@pytest.fixture(scope="session")
async def alices(http: httpx.AsyncClient) -> Things:
    """What Alice has, and what nothing that Bob tries changes."""
    return await things_of_alice(http)


async def told(client: httpx.AsyncClient, who: dict[str, str], method: str, path: str, **more: Any) -> Any:
    answer = await client.request(method, path, headers=who, **more)
    assert answer.is_success, answer.text
    return answer.json() if answer.content.strip() else None


async def things_of_alice(client: httpx.AsyncClient) -> Things:
    """One of each, with something secret in it."""

    async def make(path: str, body: Any, method: str = "POST") -> Any:
        return await told(client, ALICE, method, path, json=body)

    secret = {"secret": SECRET}
    thread = await make("/threads", {"metadata": secret})
    thread_id = thread["thread_id"]
    await make(f"/threads/{thread_id}/runs/wait", {"assistant_id": "nested", "input": {"text": SECRET}})
    [run] = await told(client, ALICE, "GET", f"/threads/{thread_id}/runs")
    state = await told(client, ALICE, "GET", f"/threads/{thread_id}/state")
    busy = await make("/threads", {"metadata": secret})
    later = {"assistant_id": "steps", "after_seconds": 3600, "input": {"text": SECRET}}
    waiting = await make(f"/threads/{busy['thread_id']}/runs", later)
    assistant = await make("/assistants", {"graph_id": "nested", "name": SECRET, "metadata": secret})
    cron = await make("/runs/crons", {**CRON, "assistant_id": "steps", "input": {"text": SECRET}})
    for name in ("one", "two"):
        item = {"namespace": ["notes"], "key": name, "value": secret}
        await make("/store/items", item, "PUT")
    await make("/store/items", {"namespace": ["secrets", "deep"], "key": "x", "value": secret}, "PUT")
    return {
        "thread_id": thread_id,
        "run_id": run["run_id"],
        "checkpoint_id": state["checkpoint"]["checkpoint_id"],
        "busy_id": busy["thread_id"],
        "waiting_id": waiting["run_id"],
        "assistant_id": assistant["assistant_id"],
        "cron_id": cron["cron_id"],
        "version": "1",
        "other": "1",
        "namespace": "inner",
    }


async def world(client: httpx.AsyncClient, t: Things) -> list[Any]:
    """All that Alice has, as she sees it."""
    paths = [
        f"/threads/{t['thread_id']}",
        f"/threads/{t['thread_id']}/state",
        f"/threads/{t['thread_id']}/history",
        f"/threads/{t['thread_id']}/versions",
        f"/threads/{t['thread_id']}/runs",
        f"/threads/{t['thread_id']}/audit",
        f"/threads/{t['busy_id']}",
        f"/threads/{t['busy_id']}/runs",
        f"/assistants/{t['assistant_id']}",
        f"/runs/crons/{t['cron_id']}",
    ]
    found = [await told(client, ALICE, "GET", path) for path in paths]
    return [*found, await told(client, ALICE, "POST", "/store/items/search", json={})]


async def attempt(
    client: httpx.AsyncClient, who: dict[str, str], method: str, path: str, one: Try, t: Things
) -> httpx.Response:
    """The request, answered; of an answer without an end only its beginning."""
    named = {**t, **{name: t[key] for name, key in one.path.items()}}
    body = {} if one.body is None else {"json": one.body(t)}
    query = {name: value.format(**named) for name, value in one.query.items()}
    sent = client.build_request(method, path.format(**named), headers=who, params=query, **body)
    answer = await client.send(sent, stream=True)
    if "event-stream" not in answer.headers.get("content-type", ""):
        await answer.aread()
    await answer.aclose()
    return answer


def test_every_route_is_in_the_table() -> None:
    known = {
        (method, route.path)  # type: ignore[attr-defined]
        for _, routes in ROUTES
        for route in routes.routes
        for method in getattr(route, "methods", {"SOCKET"})
    }

    assert known == TABLE.keys() | PUBLIC | {SOCKET}, (
        "TABLE above says what each route answers who may not see the thing; Try(): 404"
    )


@pytest.mark.parametrize(("method", "path", "one"), TRIES)
async def test_what_is_alices_is_not_there_for_bob(
    http: httpx.AsyncClient, alices: Things, method: str, path: str, one: Try
) -> None:
    before = await world(http, alices)

    answer = await attempt(http, BOB, method, path, one, alices)

    assert answer.status_code == one.status, answer.text
    if answer.is_closed and "event-stream" not in answer.headers.get("content-type", ""):
        assert SECRET not in answer.text
        if one.error:
            assert answer.json()["error"] == one.error
        if one.answer is not ...:
            assert answer.json() == one.answer
    assert await world(http, alices) == before


@pytest.mark.parametrize(("method", "path", "one"), TRIES)
async def test_what_is_alices_is_there_for_alice(
    http: httpx.AsyncClient, method: str, path: str, one: Try
) -> None:
    things = await things_of_alice(http)

    answer = await attempt(http, ALICE, method, path, one, things)

    assert answer.is_success or answer.status_code == one.mine, answer.text


async def test_a_route_that_asks_nobody_is_not_answered(
    guarded: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = router("Forgotten")

    @forgotten.get("/forgotten")
    async def answer(parts: Parts) -> Response:
        return Response(SECRET)

    monkeypatch.setattr("lgs_runtime.api.app.ROUTES", (*ROUTES, (None, forgotten)))
    transport = httpx.ASGITransport(app=create_app(guarded.services), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        refused = await client.get("/forgotten", headers=BOB)

    assert (refused.status_code, SECRET in refused.text) == (500, False)
