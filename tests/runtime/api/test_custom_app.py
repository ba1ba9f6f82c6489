"""The section `http` of langgraph.json: an application of the service's own beside the API, groups that are
taken away, a prefix, and which headers a run and the log may see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import api_webapps
import httpx
import pytest
import structlog
from api_graphs import entrance
from api_limits import client_of
from api_replicas import Replica, open_replica, settings_of

from lgs_runtime.api.custom.application import AppFailed
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.http_section import Cors, HeaderRule, HttpSection
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from support.ports import PATIENCE_SECONDS

GRAPHS = {
    "steps": GraphSpec("api_graphs:steps"),
    "slow": GraphSpec("api_graphs:slow"),
    "heard": GraphSpec("api_webapps:heard"),
}
ALICE = {"Authorization": "Bearer alice-token"}
Serve = Callable[..., AbstractAsyncContextManager[tuple[Replica, httpx.AsyncClient]]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Opens a replica of the test's own with a section `http`."""

    @asynccontextmanager
    async def opened(auth: str | None = None, **http: Any) -> AsyncIterator[Any]:
        async with (
            open_replica(settings(tmp_path, auth, **http)) as replica,
            httpx.AsyncClient(base_url=replica.url) as client,
        ):
            yield replica, client

    return opened


def settings(folder: Path, auth: str | None = None, **http: Any) -> Settings:
    plain = settings_of(folder, {"database_uri": f"sqlite:///{folder}/lgs.db"})
    return replace(plain, graphs=GRAPHS, auth_path=auth, http=HttpSection(**http))


async def test_an_application_and_the_api_answer_side_by_side(serve: Serve) -> None:
    async with serve(app="api_webapps:shop") as (replica, client):
        till = await client.get("/shop/till")
        again = await client.get("/shop/till")
        values = await replica.client.runs.wait(None, "steps", input={})
        order = await client.post("/shop/orders", json={"item": "tea"})
        wrong = await client.post("/shop/orders", json={})

    assert (till.json(), again.json()["counter"]) == ({"till": "open till", "counter": 1}, 2)
    assert values["steps"] == ["first", "second"]
    assert order.json() == {"item": "tea"}
    assert wrong.json()["detail"][0]["loc"] == ["body", "item"]


async def test_its_middleware_sees_every_request_but_the_probes(serve: Serve) -> None:
    async with serve(app="api_webapps:shop") as (_, client):
        api_webapps.seen.clear()
        answers = [await client.get(path) for path in ("/shop/till", "/info", "/nowhere")]
        probes = [await client.get(path) for path in ("/ok", "/ready", "/metrics")]
        seen = list(api_webapps.seen)

    assert [answer.headers.get("x-shop") for answer in answers] == ["yes"] * 3
    assert [(probe.status_code, probe.headers.get("x-shop")) for probe in probes] == [(200, None)] * 3
    assert probes[0].json() == {"ok": True}
    assert seen == ["/shop/till", "/info", "/nowhere"]


async def test_at_the_root_a_health_check_is_answered_unless_the_application_has_a_page_there(
    serve: Serve,
) -> None:
    async with serve("api_auth:tokens") as (_, client):
        found = [await client.request(method, path) for method in ("GET", "HEAD") for path in ("/", "/ok")]
    async with serve("api_auth:tokens", app="api_webapps:shop") as (_, client):
        beside = await client.get("/")
    async with serve("api_auth:tokens", app="api_webapps:front") as (_, client):
        page = await client.get("/")
    async with serve("api_auth:tokens", disabled=frozenset({"meta"})) as (_, client):
        nothing = await client.get("/")

    assert [(answer.status_code, answer.text) for answer in found] == [(200, '{"ok":true}')] * 2 + [
        (200, "")
    ] * 2
    assert (beside.json(), page.text, nothing.status_code) == ({"ok": True}, "hello", 404)


async def test_where_both_have_a_route_the_application_answers_what_it_knows(serve: Serve) -> None:
    async with serve(app="api_webapps:shop") as (_, client):
        shadowed = await client.get("/store/namespaces")
        ours = await client.post("/store/namespaces", json={"prefix": []})
        neither = await client.delete("/shop/till")

    assert shadowed.json() == {"from": "the shop"}
    assert (ours.status_code, ours.json()) == (200, {"namespaces": []})
    assert neither.status_code == 405


async def test_its_exception_handlers_come_first_and_ours_tell_the_rest(serve: Serve) -> None:
    async with serve(app="api_webapps:shop") as (_, client):
        rare = await client.get("/shop/rare")
        lost = await client.get("/nowhere")
        refused = await client.get("/shop/refused")
        broken = await client.get("/shop/broken")
        ours = await client.post("/runs", json={"assistant_id": 7})

    assert (rare.status_code, rare.json()) == (410, {"sold": "out"})
    assert (lost.status_code, lost.text) == (404, "the shop has no /nowhere")
    assert (refused.status_code, refused.json()) == (418, {"detail": "no"})
    assert (broken.status_code, broken.json()["detail"][:14]) == (500, "internal error")
    assert (ours.status_code, ours.json()["detail"][:12]) == (422, "assistant_id")


@pytest.mark.parametrize("app", [None, "api_webapps:shop"])
async def test_a_client_that_leaves_is_noticed_behind_its_middleware(serve: Serve, app: str | None) -> None:
    named: list[Any] = []
    async with serve(app=app) as (replica, _):
        sdk = replica.client
        key = (await sdk.threads.create())["thread_id"]
        stream = sdk.runs.stream(
            key, "slow", input={"text": key}, on_disconnect="cancel", on_run_created=named.append
        )
        async for part in stream:
            if part.event == "values":
                break
        await entrance(key).wait()
        await stream.aclose()

        async with asyncio.timeout(PATIENCE_SECONDS):
            await sdk.runs.join(key, named[0]["run_id"])
        left = await sdk.runs.get(key, named[0]["run_id"])

    assert left["status"] == "interrupted"


async def test_its_lifespan_is_around_the_replicas(serve: Serve) -> None:
    api_webapps.seen.clear()

    async with serve(app="api_webapps:shop"):
        during = list(api_webapps.seen)

    assert (during, api_webapps.seen) == (["opened"], ["opened", "closed"])


async def test_its_routes_are_in_the_description_and_models_of_one_name_stay_apart(serve: Serve) -> None:
    async with serve(app="api_webapps:shop") as (_, client):
        described = (await client.get("/openapi.json")).json()
        docs = await client.get("/docs")

    theirs, ours = model_of(described, "/shop/orders"), model_of(described, "/threads/{thread_id}/runs")
    assert theirs["properties"].keys() == {"item"}
    assert "assistant_id" in ours["properties"]
    assert described["info"]["title"] == "LangGraphService"
    assert (docs.status_code, "/openapi.json" in docs.text) == (200, True)


async def test_it_may_answer_web_sockets(serve: Serve) -> None:
    async with serve(app="api_webapps:shop") as (replica, client):
        await client.get("/ok")
        asked = await handshake(replica.url, "/shop/bell")

    assert b"101" in asked


async def test_pages_of_other_origins_are_ruled_for_its_routes_too(serve: Serve) -> None:
    cors = Cors(allow_origins=("https://mine.example",))
    async with serve(app="api_webapps:shop", cors=cors) as (_, client):
        mine = await client.get("/shop/till", headers={"Origin": "https://mine.example"})
        other = await client.get("/shop/till", headers={"Origin": "https://other.example"})

    assert mine.headers["access-control-allow-origin"] == "https://mine.example"
    assert "access-control-allow-origin" not in other.headers


async def test_a_plain_starlette_application_will_do(serve: Serve) -> None:
    async with serve(app="api_webapps:plain") as (_, client):
        hello = await client.get("/hello")
        info = await client.get("/info")
        described = (await client.get("/openapi.json")).json()

    assert (hello.text, info.status_code) == ("hello", 200)
    assert "/threads" in described["paths"]


@pytest.mark.parametrize(
    ("app", "error", "said"),
    [
        ("api_webapps:number", ConfigError, "an int: must be a Starlette or FastAPI application"),
        ("api_webapps:shops", ConfigError, "api_webapps has no variable shops; it has: "),
        ("./missing.py:app", ConfigError, "missing.py: must be a file that exists"),
        ("api_webapps:failing", AppFailed, "its lifespan raised OSError: no till"),
    ],
)
async def test_an_application_that_can_not_work_ends_the_replica_with_the_reason(
    tmp_path: Path, app: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        async with open_replica(settings(tmp_path, app=app)):
            pass

    assert str(raised.value).startswith(f"http.app: {app}: ")
    assert said in str(raised.value)


async def test_its_routes_are_open_unless_the_service_asks_for_more(serve: Serve) -> None:
    async with serve("api_auth:tokens", app="api_webapps:shop") as (replica, client):
        own = await client.post("/shop/me", content="hi")
        ours = await client.post("/threads", json={})
        bell = await handshake(replica.url, "/shop/bell")

    assert (own.status_code, own.json()) == (200, {"me": None, "body": "hi"})
    assert (ours.status_code, b"101" in bell) == (401, True)


@pytest.mark.parametrize("auth_first", [False, True])
async def test_its_routes_are_guarded_where_the_service_says_so(serve: Serve, auth_first: bool) -> None:
    section = {"app": "api_webapps:shop", "auth_on_custom_routes": True, "auth_first": auth_first}
    async with serve("api_auth:tokens", **section) as (replica, client):
        nobody = await client.post("/shop/me", content="hi")
        alice = await client.post("/shop/me", content="hi", headers=ALICE)
        ours = await client.post("/threads", json={}, headers=ALICE)
        public = await client.get("/info")
        bell = await handshake(replica.url, "/shop/bell")

    assert (nobody.status_code, nobody.json()) == (401, {"detail": "say who you are"})
    assert alice.json() == {"me": "alice", "body": "hi"}
    assert (ours.status_code, public.status_code) == (200, 200)
    assert b"403" in bell
    assert alice.headers["x-known"] == ("alice" if auth_first else "nobody")
    assert ("x-shop" in nobody.headers) is not auth_first


async def test_a_guard_that_reads_the_body_leaves_it_to_the_application(serve: Serve) -> None:
    section = {"app": "api_webapps:shop", "auth_on_custom_routes": True, "auth_first": True}
    async with serve("api_auth:everything", **section) as (_, client):
        text = await client.post("/shop/me", content="not JSON", headers={"X-Mark": "x"})
        ours = await client.post("/threads", json={"metadata": {"a": 1}}, headers={"X-Mark": "x"})

    assert text.json() == {"me": "anyone", "body": "not JSON"}
    assert (ours.status_code, ours.json()["metadata"]) == (200, {"a": 1})


@pytest.mark.parametrize(
    ("group", "gone", "there"),
    [
        ("assistants", "/assistants/search", "/threads/search"),
        ("threads", "/threads/search", "/assistants/search"),
        ("runs", "/runs/wait", "/store/items/search"),
        ("runs", "/runs/crons/search", "/threads/search"),
        ("store", "/store/items/search", "/assistants/search"),
    ],
)
async def test_a_group_that_is_taken_away_is_not_found_and_not_described(
    serve: Serve, group: Any, gone: str, there: str
) -> None:
    async with serve(disabled=frozenset({group})) as (_, client):
        absent = await client.post(gone, json={})
        present = await client.post(there, json={"namespace_prefix": []} if "store" in there else {})
        described = (await client.get("/openapi.json")).json()["paths"]

    assert (absent.status_code, present.status_code) == (404, 200)
    assert (gone in described, there in described) == (False, True)


@pytest.mark.parametrize("app", [None, "api_webapps:shop"])
async def test_a_service_that_tells_nothing_of_itself_still_answers_its_probes(
    serve: Serve, app: str | None
) -> None:
    async with serve(app=app, disabled=frozenset({"meta"})) as (_, client):
        told = [(await client.get(path)).status_code for path in ("/info", "/docs", "/openapi.json")]
        probes = [(await client.get(path)).status_code for path in ("/ok?check_db=1", "/ready", "/metrics")]

    assert (told, probes) == ([404] * 3, [200] * 3)


@pytest.mark.parametrize("app", [None, "api_webapps:shop"])
async def test_a_service_may_stand_under_a_prefix(serve: Serve, app: str | None) -> None:
    async with serve(app=app, mount_prefix="/team/v1") as (replica, client):
        async with client_of(f"{replica.url}/team/v1") as sdk:
            values = await sdk.runs.wait(None, "steps", input={})
        answer = await client.post("/team/v1/runs/wait", json={"assistant_id": "steps", "input": {}})
        async with httpx.AsyncClient(base_url=f"{replica.url}/team/v1") as beneath:
            followed = await beneath.get(answer.headers["location"])
        probes = [(await client.get(path)).status_code for path in ("/ok", "/ready", "/metrics")]
        beneath_too = await client.get("/team/v1/ok")
        described = (await client.get("/team/v1/openapi.json")).json()
        docs = await client.get("/team/v1/docs")
        outside = await client.post("/threads", json={})

    assert values["steps"] == answer.json()["steps"] == followed.json()["steps"]
    assert (probes, beneath_too.status_code) == ([200] * 3, 200)
    assert described["servers"] == [{"url": "/team/v1"}]
    # Also for who can't load what shows it.
    assert '<a href="/team/v1/openapi.json">' in docs.text
    assert outside.status_code == 404
    assert outside.json() == {"detail": "path: /threads: must begin with /team/v1, where the API stands"}


async def test_a_run_finds_the_headers_that_the_service_names_but_no_secret(serve: Serve) -> None:
    rule = HeaderRule(includes=("x-*", "USER-agent", "authorization", "*"), excludes=("x-color",))
    headers = {"X-Tenant": "blue", "X-Color": "red", "X-Api-Key": "k", "Authorization": "a", "Cookie": "c"}
    body = {"assistant_id": "heard", "input": {}, "config": {"configurable": {"x-tenant": "forged"}}}

    async with serve(configurable_headers=rule) as (_, client):
        some = await client.post("/runs/wait", json=body, headers=headers)

    assert some.json()["headers"].keys() == {"x-tenant", "user-agent"}
    assert some.json()["headers"]["x-tenant"] == "blue"


async def test_a_run_finds_no_headers_where_the_service_names_none(serve: Serve) -> None:
    async with serve() as (_, client):
        body = {"assistant_id": "heard", "input": {}}
        none = await client.post("/runs/wait", json=body, headers={"X-Tenant": "blue", "X-Color": "red"})

    assert none.json() == {"headers": {}}


async def test_requests_are_logged_with_the_headers_that_the_service_names(serve: Serve) -> None:
    rule = HeaderRule(includes=("*",), excludes=("accept*",))
    headers = {"X-Tenant": "blue", "X-Api-Key": "secret", "Authorization": "secret", "Cookie": "secret"}

    async with serve(logging_headers=rule) as (_, client):
        with structlog.testing.capture_logs() as logs:
            await client.post("/threads", json={}, headers=headers)

    [told] = [entry for entry in logs if entry["event"] == "http.request"]
    assert (told["method"], told["path"], told["status"]) == ("POST", "/threads", 200)
    assert told["headers"]["x-tenant"] == "blue"
    assert "secret" not in str(told)
    assert "accept" not in told["headers"]


def model_of(described: dict[str, Any], path: str) -> dict[str, Any]:
    """What the description says of the body that is posted to a path."""
    content = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    name = content["schema"]["$ref"].rpartition("/")[2]
    model: dict[str, Any] = described["components"]["schemas"][name]
    return model


async def handshake(url: str, path: str) -> bytes:
    """The first line of the answer to a request for a web socket."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    await writer.drain()
    line = await reader.readline()
    writer.close()
    return line
