"""Who may come in: the API keys of the service, and the `langgraph_sdk.Auth` object of its graphs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from api_auth import closed_sessions, visits
from api_limits import client_of
from api_replicas import Replica, open_replica, settings_of

from lgs_runtime.auth.keys import parse_keys
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.auth_section import AuthCache
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.graphs.registry import default_assistant_id
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import load_settings

ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}
KEY = "a-long-enough-key"
STUDIO = {"x-auth-scheme": "langsmith"}


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    """A service of the test's own, whose graph answers who asked."""
    settings = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    return replace(settings, graphs={"who": GraphSpec("api_graphs:who")})


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_replica(settings) as replica, http(replica) as client:
        yield client


@pytest.fixture(scope="module")
async def forms(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A service whose users have the form that the header `x-form` names."""
    folder = tmp_path_factory.mktemp("forms")
    settings = settings_of(folder, {"database_uri": f"sqlite:///{folder}/lgs.db"})
    settings = replace(settings, graphs={"who": GraphSpec("api_graphs:who")}, auth_path="api_auth:forms")
    async with served(settings) as client:
        yield client


def http(replica: Replica) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=replica.url)


async def who(client: httpx.AsyncClient, headers: dict[str, str], **more: Any) -> Any:
    """What a run's node finds of the one who asked."""
    body = {"assistant_id": "who", "input": {}, **more}
    answer = await client.post("/runs/wait", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["told"]


async def test_without_a_token_nothing_is_answered_but_what_says_that_it_lives(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:tokens")) as client:
        refused = await client.post("/threads", json={})
        unknown = await client.get(f"/threads/{uuid4()}", headers={"Authorization": "Bearer eve"})
        let_in = await client.post("/threads", json={}, headers=ALICE)
        public = [(await client.get(f"/{name}")).status_code for name in ("ok", "ready", "info", "metrics")]

    assert (refused.status_code, refused.json()) == (401, {"detail": "say who you are"})
    assert (unknown.status_code, unknown.json()) == (401, {"detail": "unknown token of 3 letters"})
    assert unknown.headers["x-try"] == "again"
    assert let_in.status_code == 200
    assert public == [200, 200, 200, 200]


async def test_who_asks_is_known_before_the_body_is_looked_at(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:tokens")) as client:
        refused = await client.post("/threads", content=b"{broken")
        wrong = await client.post("/threads", content=b"{broken", headers=ALICE)

    assert (refused.status_code, wrong.status_code) == (401, 400)


async def test_a_run_is_told_who_asked_for_it(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:tokens")) as client:
        told = await who(client, {**ALICE, "X-Request-Id": "r-17"})

    assert told["user"] == {
        "identity": "alice",
        "display_name": "Alice",
        "permissions": ["chat"],
        "city": "Oslo",
        "is_authenticated": True,
    }
    assert (told["attribute"], told["server_info"]) == ("Oslo", "alice")
    assert (told["langgraph_auth_user_id"], told["langgraph_auth_permissions"]) == ("alice", ["chat"])
    assert told["langgraph_request_id"] == "r-17"


@pytest.mark.parametrize("auth_path", [None, "api_auth:tokens"])
async def test_no_request_can_say_that_it_is_somebody_else(plain: Settings, auth_path: str | None) -> None:
    forged = {"langgraph_auth_user": {"identity": "root"}, "langgraph_auth_user_id": "root"}
    forged["langgraph_auth_permissions"] = ["all"]
    async with served(replace(plain, auth_path=auth_path)) as client:
        made = await client.post(
            "/assistants", json={"graph_id": "who", "config": {"configurable": forged}}, headers=ALICE
        )
        config = {"configurable": {**forged, "langgraph_request_id": "mine"}, "metadata": forged}
        named = {"assistant_id": made.json()["assistant_id"], "config": config, "metadata": forged}
        told = await who(client, ALICE, **named)

    assert "root" not in json.dumps(told)
    assert told.get("langgraph_request_id") != "mine"
    assert told.get("langgraph_auth_user_id") == ("alice" if auth_path else "")


async def test_no_context_can_say_that_it_is_somebody_else(plain: Settings) -> None:
    forged = {"langgraph_auth_user": {"identity": "root"}, "langgraph_auth_user_id": "root", "mine": 1}
    graphs = {"context": GraphSpec("api_contexts:unschemed")}
    async with served(replace(plain, graphs=graphs, auth_path="api_auth:tokens")) as client:
        made = await client.post(
            "/assistants", json={"graph_id": "context", "context": forged}, headers=ALICE
        )
        run = {"assistant_id": made.json()["assistant_id"], "input": {}, "context": forged}
        answer = await client.post("/runs/wait", json=run, headers=ALICE)

    assert answer.json()["told"] == {"mine": 1}


async def test_every_way_to_a_run_knows_who_asked(plain: Settings) -> None:
    run = {"assistant_id": "who", "input": {}}
    async with served(replace(plain, auth_path="api_auth:tokens")) as client:
        client.headers.update(ALICE)
        streamed = await client.post("/runs/stream", json=run)
        batch = (await client.post("/runs/batch", json=[run | {"on_completion": "keep"}])).json()[0]
        joined = await client.get(f"/threads/{batch['thread_id']}/runs/{batch['run_id']}/join")
        tool = {"name": "who", "arguments": {}}
        called = await client.post(
            "/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": tool},
            headers={"Accept": "application/json, text/event-stream"},
        )
        message = {
            "role": "user",
            "messageId": "m",
            "kind": "message",
            "parts": [{"kind": "data", "data": {}}],
        }
        sent = await client.post(
            f"/a2a/{default_assistant_id('who')}",
            json={"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}},
        )
        thread, start = str(uuid4()), {"assistant_id": "who", "input": {}}
        await client.post(
            f"/threads/{thread}/commands", json={"id": 1, "method": "run.start", "params": start}
        )
        started = (await client.get(f"/threads/{thread}/runs")).json()[0]
        await client.get(f"/threads/{thread}/runs/{started['run_id']}/join")
        state = await client.get(f"/threads/{thread}/state")

    for way, answer in {
        "stream": streamed,
        "batch": joined,
        "mcp": called,
        "a2a": sent,
        "v2": state,
    }.items():
        assert "Oslo" in answer.text, way


async def test_what_a_user_carries_is_not_shown_to_who_reads_the_run(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:tokens")) as client:
        thread = (await client.post("/threads", json={}, headers=ALICE)).json()["thread_id"]
        run = await client.post(f"/threads/{thread}/runs", json={"assistant_id": "who"}, headers=ALICE)
        await client.get(f"/threads/{thread}/runs/{run.json()['run_id']}/join", headers=ALICE)
        read = await client.get(f"/threads/{thread}/runs/{run.json()['run_id']}", headers=ALICE)

    assert "Oslo" not in run.text + read.text


async def test_a_handler_gets_what_it_asks_for_and_may_be_an_ordinary_function(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:everything")) as client:
        headers = {"X-Mark": "here", "Authorization": "Basic eA=="}
        told = await who(client, headers)
        body = await client.post("/threads?a=1", json={"metadata": {"b": 2}}, headers=headers)

    assert body.json()["metadata"] == {"b": 2}
    seen = told["user"]["seen"]
    assert seen["body"] == {"assistant_id": "who", "input": {}}
    assert (seen["path"], seen["url"], seen["method"]) == ("/runs/wait", "/runs/wait", "POST")
    assert (seen["path_params"], seen["query_params"]) == ({}, {})
    assert (seen["header"], seen["authorization"]) == ("here", "Basic eA==")


async def test_a_user_may_be_an_object_and_nobody_is_refused(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:objects")) as client:
        told = await who(client, {"Authorization": "carol"})
        nobody = await client.get(f"/threads/{uuid4()}")

    assert (told["user"]["identity"], told["user"]["team"]) == ("carol", "blue")
    assert nobody.status_code == 401


async def test_a_handler_that_says_nobody_opens_nothing(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:mistaken")) as client:
        answer = await client.post("/threads", json={}, headers=ALICE)

    assert answer.status_code == 500
    assert "whose identity is None; it must return a text" in answer.json()["detail"]


ANYONE = {"identity": "ann", "display_name": "ann", "is_authenticated": True, "permissions": []}


@pytest.mark.parametrize(
    ("form", "more"),
    [
        ("text", {}),
        ("mapping", {"team": None, "org": {"id": 1}}),
        ("permitted_mapping", {"permissions": ["read", "write"]}),
        ("unsaid", {}),
        ("tuple", {"permissions": ["read"], "team": "blue"}),
        ("tuple_of_text", {"permissions": ["read"]}),
        ("tuple_without_permissions", {}),
        ("starlette", {"username": "ann"}),
        ("starlette_tuple", {"username": "ann", "permissions": ["read"]}),
        ("dataclass", {"permissions": ["read"], "team": "blue"}),
        ("slots", {"team": "blue"}),
        ("named_tuple", {"team": "blue"}),
        ("properties", {"display_name": "Ann", "team": "blue"}),
        ("pydantic", {"team": "blue", "joined": "2026-01-02"}),
        ("set_of_permissions", {"permissions": ["read"]}),
        ("no_json", {"teams": ["blue", "red"], "org": {"id": 1}, "home": "/home/ann"}),
        ("number", {"identity": "7", "display_name": "7"}),
        ("uuid", {"identity": str(UUID(int=7)), "display_name": str(UUID(int=7))}),
    ],
)
async def test_a_user_may_have_any_form_that_the_sdk_documents(
    forms: httpx.AsyncClient, form: str, more: dict[str, Any]
) -> None:
    told = await who(forms, {"x-form": form})

    assert told["user"] == {**ANYONE, **more}
    assert told["langgraph_auth_permissions"] == told["user"]["permissions"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("no_identity", "a dict whose identity is None; it must return a text, a mapping or an object"),
        ("empty", "a str whose identity is an empty text"),
        ("list", "a list whose identity is None"),
        ("tuple_of_three", "a tuple of 3"),
        ("permissions_in_words", "permissions that are a str and no list of texts"),
        ("permission_count", "permissions that are an int and no list of texts"),
    ],
)
async def test_what_is_no_user_is_told_by_its_rule_and_lets_nobody_in(
    forms: httpx.AsyncClient, form: str, said: str
) -> None:
    answer = await forms.post("/threads", json={}, headers={"x-form": form})

    assert answer.status_code == 500
    assert answer.json()["detail"].startswith(f"@auth.authenticate returned {said}")


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ("none", 401, "Unauthorized"),
        ("not_authenticated", 401, "Unauthorized"),
        ("assertion", 401, "say who you are"),
        ("sdk", 403, "not you"),
        ("of_starlette", 418, "tea only"),
        ("of_fastapi", 402, "pay first"),
        ("authentication_error", 403, "no such user"),
        ("mistake", 500, "@auth.authenticate failed; the log of this replica has the reason"),
    ],
)
async def test_a_handler_refuses_in_any_of_the_ways_that_there_are(
    forms: httpx.AsyncClient, form: str, status: int, said: str
) -> None:
    answer = await forms.post("/threads", json={}, headers={"x-form": form})

    assert (answer.status_code, answer.json()["detail"]) == (status, said)
    assert answer.headers.get("x-why") == {"of_starlette": "teapot", "of_fastapi": "money"}.get(form)


async def test_a_handler_may_have_dependencies_as_an_endpoint_of_fastapi_has(plain: Settings) -> None:
    closed_sessions.clear()
    async with served(replace(plain, auth_path="api_auth:dependent")) as client:
        told = await who(client, {"x-session": "s1"})
        missing = await client.post("/threads", json={})
        old = await client.post("/threads", json={}, headers={"x-session": "old"})

    assert (told["user"]["identity"], told["user"]["method"]) == ("user of s1", "POST")
    assert closed_sessions == ["s1"]
    assert (missing.status_code, missing.json()["detail"]) == (401, "header.x-session: missing or not valid")
    assert (old.status_code, old.json()["detail"]) == (419, "too old")


async def test_an_auth_object_that_cannot_work_stops_the_start(plain: Settings) -> None:
    for name, said in (
        ("asks_too_much", "asks for session"),
        ("nobody", "no handler says who asks"),
        ("missing", "api_auth has no variable missing; it has: "),
        ("PEOPLE", "it is a dict; it must be a langgraph_sdk.Auth object"),
    ):
        with pytest.raises(ConfigError, match=said):
            async with open_replica(replace(plain, auth_path=f"api_auth:{name}")):
                pass


async def test_langgraph_json_names_the_auth_object(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    content = {"graphs": {"a": "./a.py:a"}, "auth": {"path": "./auth.py:auth", "disable_studio_auth": True}}
    file.write_text(json.dumps(content))

    settings = load_settings({}, config=file)

    assert (settings.auth_path, settings.disable_studio_auth) == ("./auth.py:auth", True)
    for wrong in ({"pth": "x:y"}, {"path": "auth.py"}, {"path": "a:b", "disable_studio_auth": "no"}):
        file.write_text(json.dumps({**content, "auth": wrong}))
        with pytest.raises(ConfigError, match="auth"):
            load_settings({}, config=file)


async def test_api_keys_are_asked_for_and_name_who_asks(plain: Settings) -> None:
    async with served(replace(plain, api_keys=f"shop={KEY}, another-key-1")) as client:
        missing = await client.post("/threads", json={})
        wrong = await client.post("/threads", json={}, headers={"X-Api-Key": KEY[:-1]})
        told = await who(client, {"X-Api-Key": KEY})
        second = await who(client, {"X-Api-Key": "another-key-1"})
        alive = await client.get("/metrics")

    assert (missing.status_code, wrong.status_code, alive.status_code) == (401, 401, 200)
    assert "X-Api-Key: missing" in missing.json()["detail"]
    assert KEY[:-1] not in wrong.text
    assert (told["langgraph_auth_user_id"], second["langgraph_auth_user_id"]) == ("shop", "key-2")


async def test_the_stock_client_sends_its_key(plain: Settings) -> None:
    async with (
        open_replica(replace(plain, api_keys=KEY)) as replica,
        client_of(replica.url, api_key=KEY) as client,
    ):
        thread = await client.threads.create()

    assert thread["status"] == "idle"


async def test_keys_in_a_file_are_changed_without_a_restart(plain: Settings, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the shop\nold={KEY}\n")
    async with served(replace(plain, api_keys_file=file)) as client:
        old = {"X-Api-Key": KEY}
        new = {"X-Api-Key": "the-next-long-key"}
        before = [(await client.post("/threads", json={}, headers=one)).status_code for one in (old, new)]
        file.write_text("new=the-next-long-key\n")
        after = [(await client.post("/threads", json={}, headers=one)).status_code for one in (old, new)]
        file.unlink()
        lost = (await client.post("/threads", json={}, headers=new)).status_code
        file.write_text("# none left\n")
        none = (await client.post("/threads", json={}, headers=new)).status_code

    assert (before, after, lost, none) == ([200, 401], [401, 200], 200, 401)


@pytest.mark.parametrize(
    ("keys", "said"), [("short", "must have at least 8"), ("# only a comment", "must have at least one")]
)
async def test_keys_that_cannot_work_stop_the_start_and_are_not_told(
    plain: Settings, keys: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        async with open_replica(replace(plain, api_keys=keys)):
            pass

    assert keys not in str(refused.value)
    assert KEY not in repr(replace(plain, api_keys=KEY))


async def test_with_keys_and_tokens_a_request_needs_both(plain: Settings) -> None:
    async with served(replace(plain, api_keys=KEY, auth_path="api_auth:tokens")) as client:
        key_only = await client.post("/threads", json={}, headers={"X-Api-Key": KEY})
        token_only = await client.post("/threads", json={}, headers=ALICE)
        told = await who(client, {**ALICE, "X-Api-Key": KEY})

    assert (key_only.status_code, token_only.status_code) == (401, 401)
    assert told["langgraph_auth_user_id"] == "alice"


async def test_the_mark_of_studio_opens_nothing_without_a_key(plain: Settings) -> None:
    async with served(replace(plain, auth_path="api_auth:tokens")) as client:
        marked = await client.post("/threads", json={}, headers=STUDIO)
    async with served(replace(plain, api_keys=KEY, auth_path="api_auth:tokens")) as client:
        studio = await who(client, {**STUDIO, "X-Api-Key": KEY})
    closed = replace(plain, api_keys=KEY, auth_path="api_auth:tokens", disable_studio_auth=True)
    async with served(closed) as client:
        disabled = await client.post("/threads", json={}, headers={**STUDIO, "X-Api-Key": KEY})

    assert (marked.status_code, disabled.status_code) == (401, 401)
    assert studio["user"]["kind"] == "StudioUser"


async def test_the_description_says_how_to_prove_who_one_is(plain: Settings) -> None:
    said = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "security": [{"token": []}]}
    async with served(replace(plain, api_keys=KEY, auth_openapi=said)) as client:
        description = (await client.get("/openapi.json")).json()
    async with served(plain) as client:
        open_to_all = (await client.get("/openapi.json")).json()

    assert set(description["components"]["securitySchemes"]) == {"token", "apiKey"}
    assert description["security"] == [{"token": []}]
    assert "security" not in open_to_all


def test_the_padding_of_a_key_in_base64_is_not_taken_for_a_name() -> None:
    key = "c2VjcmV0LWtleS1vZi1zaG9w=="

    alone, named = parse_keys(key, "LGS_API_KEYS"), parse_keys(f"shop={key}", "LGS_API_KEYS")

    assert (list(alone.values()), list(named.values())) == (["key-1"], ["shop"])
    assert list(alone) == list(named)


async def test_a_user_is_asked_for_once_while_remembered_and_a_refusal_each_time(plain: Settings) -> None:
    cache = AuthCache(("authorization",), 3600.0)
    async with served(replace(plain, auth_path="api_auth:counted", auth_cache=cache)) as client:
        visits.clear()
        eve = {"Authorization": "Bearer eve"}
        for token in (ALICE, ALICE, BOB, ALICE, eve, eve):
            await client.post("/threads/count", json={}, headers=token)

    asked = [visit and visit.removeprefix("Bearer ") for visit in visits]
    assert asked == ["alice-token", "bob-token", "eve", "eve"]
