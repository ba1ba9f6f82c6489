"""The history over HTTP: on this machine alone, for who asks it by its own name, and to be read only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_operator.dashboard.protection import Asked
from lgs_operator.dashboard.server import history_app, page_app, serve_loopback
from lgs_operator.dashboard.sources import Kept
from lgs_operator.history.service import Histories
from lgs_operator.main import _serve_history
from lgs_operator.scaling import Decision, Memory, Observation, ReplicaSample
from lgs_operator.settings import Settings

NOW = 1_800_000_000.0
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def histories() -> Histories:
    kept = Histories(lambda: NOW)
    history = kept.begin("shop", "support", "uid")
    assert history is not None
    for second in (30, 20, 10, 0):
        at = NOW - second
        sample = ReplicaSample("a", at, slots=10, in_use=second)
        decided = Decision(1 + second // 20, f"{HOSTILE} {second}", "ScaledOut", {}, None, Memory())
        history.observe(at, Observation(at=at, samples=(sample,), ready=1), decided)
    return kept


@pytest.fixture
async def address(histories: Histories) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        yield f"http://127.0.0.1:{await serve_loopback(stack, page_app(Kept(histories)), 0)}"


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_all_services_and_the_history_of_one(client: aiohttp.ClientSession, address: str) -> None:
    async with client.get(f"{address}/api/services") as answer:
        (one,) = (await answer.json())["services"]
    async with client.get(f"{address}/api/services/shop/support/history?span=900") as answer:
        known = await answer.json()

    assert (one["namespace"], one["name"], one["values"]["slots"]) == ("shop", "support", 10)
    assert one["spark"] == [30, 20, 10, 0]
    assert known["at"] == [NOW - 30, NOW - 20, NOW - 10, NOW]
    assert known["values"]["inUse"] == [30, 20, 10, 0]
    assert [each["replicas"] for each in known["decisions"]] == [2, 1]
    assert HOSTILE in known["decisions"][0]["reason"]


async def test_what_came_since(client: aiohttp.ClientSession, address: str) -> None:
    async with client.get(f"{address}/api/services/shop/support/history?since={NOW - 10}") as answer:
        known = await answer.json()

    assert known["at"] == [NOW - 10, NOW]
    assert known["decisions"] == []


async def test_a_stream_begins_with_all_that_is_asked_for(
    client: aiohttp.ClientSession, address: str
) -> None:
    async with client.get(f"{address}/api/services/shop/support/events?span=900") as answer:
        assert answer.content_type == "text/event-stream"
        first = json.loads((await answer.content.readline()).removeprefix(b"data: "))

    assert first["whole"] is True
    assert len(first["at"]) == 4


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/services/shop/nobody/history", 404),
        ("/api/services/shop/support/history?span=soon", 422),
        ("/api/services/shop/support/history?since=nan", 422),
        ("/api/services/shop/support/history?since=1e999", 422),
        ("/api/services/shop/support/history?span=-5&since=-1e300", 200),
        ("/api/services/shop/support/history?since=1e300", 200),
        ("/assets/../server.py", 404),
        ("/assets/..%2fserver.py", 404),
        ("/assets/%2fetc%2fpasswd", 404),
        ("/assets/vendor", 404),
    ],
)
async def test_what_can_not_be_answered_is_said(
    client: aiohttp.ClientSession, address: str, path: str, status: int
) -> None:
    async with client.get(f"{address}{path}") as answer:
        assert answer.status == status, await answer.text()
        assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_it_is_to_be_read_only(client: aiohttp.ClientSession, address: str, method: str) -> None:
    async with client.request(method, f"{address}/api/services") as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "localhost.evil.example"},
        {"Host": "evil@127.0.0.1.example"},
        {"Host": "[::1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_somebody_else_gets_nothing(
    client: aiohttp.ClientSession, address: str, headers: dict[str, str]
) -> None:
    async with client.get(f"{address}/api/services", headers=headers) as answer:
        assert answer.status == 403
        assert "support" not in await answer.text()


async def test_the_page_has_no_script_but_its_files_and_asks_no_other_host(
    client: aiohttp.ClientSession, address: str
) -> None:
    async with client.get(f"{address}/", headers={"Sec-Fetch-Site": "cross-site"}) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    async with client.get(f"{address}/api/services") as answer:
        of_data = answer.headers["Content-Security-Policy"]
    async with client.get(f"{address}/assets/vendor/LICENSES.txt") as answer:
        licences = await answer.text()

    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "://" not in page
    assert of_data.startswith("default-src 'none'")
    assert all(name in licences for name in ("uplot", "@dagrejs/dagre", "@dagrejs/graphlib"))


async def test_the_operator_gives_the_history_and_no_page(
    client: aiohttp.ClientSession, histories: Histories
) -> None:
    async with AsyncExitStack() as stack:
        port = await serve_loopback(stack, history_app(Kept(histories)), 0)
        async with client.get(f"http://127.0.0.1:{port}/api/services") as answer:
            assert answer.status == 200
        async with client.get(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 404


@given(st.text(), st.none() | st.text(), st.none() | st.text(), st.booleans())
def test_only_a_name_of_this_machine_is_let_in(
    host: str, origin: str | None, site: str | None, is_page: bool
) -> None:
    why = Asked().refusal(host, origin, site, is_page=is_page)

    if why is None:
        assert any(name in host.lower() for name in ("127.0.0.1", "localhost", "::1"))


@pytest.mark.parametrize("host", ["127.0.0.1:8124", "localhost:8124", "[::1]:8124", "LOCALHOST"])
def test_its_own_names_are_let_in_with_their_own_origin(host: str) -> None:
    assert Asked().refusal(host, f"http://{host}", "same-origin", is_page=False) is None
    assert Asked().refusal(host, None, None, is_page=False) is None
    assert Asked().refusal(host, "http://127.0.0.1:9", "same-origin", is_page=False) is not None


async def test_an_operator_whose_port_of_the_history_is_taken_works_without(
    client: aiohttp.ClientSession, histories: Histories
) -> None:
    async with AsyncExitStack() as stack:
        port = await serve_loopback(stack, page_app(Kept(histories)), 0)
        async with AsyncExitStack() as another:
            taken = Settings(history_port=port, page_port=port, page_token_file=Path("/no/token"))
            await _serve_history(another, Histories(lambda: NOW), taken)
        async with client.get(f"http://127.0.0.1:{port}/api/services") as answer:
            assert len((await answer.json())["services"]) == 1
