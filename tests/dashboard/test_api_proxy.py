"""The page's way to the API of a service: with the token of its user, and nothing that makes it more."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from lgs_operator.dashboard.api_proxy import path_of
from lgs_operator.dashboard.server import page_app, serve_loopback
from lgs_operator.dashboard.sources import Api, Kept
from lgs_operator.history.service import Histories
from support.ports import PATIENCE_SECONDS
from support.waiting import until


class Service(Kept):
    """A service whose API notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(Histories(lambda: 0.0))
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.base: str | None = None
        self.uid = "one"
        self.go_on = asyncio.Event()

    async def api(self, namespace: str, name: str) -> Api | None:
        is_it = self.base is not None and (namespace, name) == ("shop", "support")
        return Api(self.base or "", self.uid) if is_it else None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        if request.path.endswith("/held"):
            await self.go_on.wait()
        if request.path.endswith("/html"):
            return web.Response(
                text="<script>alert(1)</script>", content_type="text/html", headers={"Set-Cookie": "a=b"}
            )
        if request.path.endswith("/away"):
            raise web.HTTPFound("http://169.254.169.254/")
        if request.path.endswith("/refused"):
            return web.json_response({"detail": "no"}, status=403, headers={"WWW-Authenticate": "x"})
        if request.path.endswith("/stream"):
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await stream.prepare(request)
            await stream.write(b"data: 1\n\n")
            await stream.write(b"data: 2\n\n")
            return stream
        return web.json_response({"it": "is"})


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    it = Service()
    app = web.Application()

    async def answer(request: web.Request) -> web.StreamResponse:
        return await it.answer(request)

    app.router.add_route("*", "/{path:.*}", answer)
    async with AsyncExitStack() as stack:
        it.base = f"http://127.0.0.1:{await serve_loopback(stack, app, 0)}"
        yield it


@pytest.fixture
async def address(service: Service) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        port = await serve_loopback(stack, page_app(service), 0)
        yield f"http://127.0.0.1:{port}/runtime/shop/support/"


async def ask(method: str, url: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
    async with aiohttp.ClientSession() as client, client.request(method, url, **more) as answer:
        return answer.status, dict(answer.headers), await answer.read()


async def test_what_is_asked_is_passed_on_with_the_token_and_without_what_would_make_it_another_caller(
    service: Service, address: str
) -> None:
    sent = {
        "X-Api-Key": "key",
        "Authorization": "Bearer token",
        "Cookie": "session=1",
        "x-auth-scheme": "langsmith",
        "X-Forwarded-For": "10.0.0.1",
        "X-User": "root",
        "Origin": address.partition("/runtime")[0],
    }

    status, _, body = await ask(
        "POST", f"{address}threads/search?limit=1&a=%26", headers=sent, data=b'{"a":1}'
    )

    assert (status, body) == (200, b'{"it": "is"}')
    ((method, path, headers, received),) = service.asked
    assert (method, path, received) == ("POST", "/threads/search?limit=1&a=%26", b'{"a":1}')
    assert (headers["X-Api-Key"], headers["Authorization"]) == ("key", "Bearer token")
    assert headers.keys().isdisjoint({"Cookie", "x-auth-scheme", "X-Forwarded-For", "X-User", "Origin"})
    assert headers["Via"] == "1.1 lgs-dashboard"


async def test_a_token_goes_to_no_other_service_that_has_the_name_now(service: Service, address: str) -> None:
    """Made anew, or of another cluster or folder whose page has taken this port."""
    _, answered, _ = await ask("GET", f"{address}info")
    sent = {"X-Api-Key": "key", "Lgs-Service": answered["Lgs-Service"]}
    assert (await ask("GET", f"{address}threads/a", headers=sent))[0] == 200
    assert "Lgs-Service" not in service.asked.pop()[2]
    service.asked.clear()

    service.uid = "other"
    refused = [await ask(each, f"{address}threads/a", headers=sent) for each in ("GET", "POST", "DELETE")]

    assert [(status, headers["Lgs-Service"]) for status, headers, _ in refused] == [(409, "other")] * 3
    assert service.asked == []


async def test_what_an_application_answers_is_no_page_of_this_origin(service: Service, address: str) -> None:
    status, headers, _ = await ask("GET", f"{address}threads/html")

    assert status == 200
    assert headers["Content-Type"] == "application/octet-stream"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers


async def test_it_is_led_nowhere_else(service: Service, address: str) -> None:
    status, headers, _ = await ask("GET", f"{address}threads/away", allow_redirects=False)

    assert status == 502
    assert "Location" not in headers


async def test_a_refusal_keeps_its_status_and_words(service: Service, address: str) -> None:
    status, headers, body = await ask("GET", f"{address}threads/refused")

    assert (status, headers["WWW-Authenticate"], body) == (403, "x", b'{"detail": "no"}')


@pytest.mark.parametrize("way", ['Basic realm="your password"', "negotiate", 'Bearer, DIGEST realm="x"'])
async def test_no_answer_makes_a_browser_ask_its_user_for_a_password(
    service: Service, address: str, way: str
) -> None:
    async def asks(_: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "who?"}, status=401, headers={"WWW-Authenticate": way})

    service.answer = asks  # type: ignore[method-assign]
    status, headers, body = await ask("GET", f"{address}threads/a")

    assert (status, body) == (401, b'{"detail": "who?"}')
    assert "WWW-Authenticate" not in headers


async def test_no_answer_grows_here(service: Service, address: str) -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        service.asked.append(("", "", dict(request.headers), b""))
        return web.json_response(body=gzip.compress(b" " * 1_000_000), headers={"Content-Encoding": "gzip"})

    service.answer = packed  # type: ignore[method-assign]
    status, _, body = await ask("GET", f"{address}threads/a")

    assert status == 502
    assert len(body) < 1000
    assert service.asked[0][2]["Accept-Encoding"] == "identity"


async def test_an_answer_that_is_too_long_for_a_browser_or_never_comes_ends(
    service: Service, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        while True:
            await stream.write(b"1" * 100_000)

    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    monkeypatch.setattr("lgs_operator.dashboard.api_proxy.MOST_GIVEN", 1_000_000)
    service.answer = endless  # type: ignore[method-assign]
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask("GET", f"{address}threads/a")

    monkeypatch.setattr("lgs_operator.dashboard.api_proxy.SILENT_SECONDS", 0.2)
    service.answer = silent  # type: ignore[method-assign]
    status, _, body = await ask("GET", f"{address}threads/a")
    assert (status, b"does not answer" in body) == (502, True)


async def test_an_answer_that_is_cut_is_no_beginning_of_another(service: Service, address: str) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        await stream.write(b"[1, 2")
        assert request.transport is not None
        request.transport.close()
        return stream

    service.answer = cut  # type: ignore[method-assign]
    host, _, path = address.removeprefix("http://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(f"GET /{path}threads/a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    answered = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)

    writer.close()
    assert answered.endswith(b"[1, 2\r\n")
    assert answered.count(b"HTTP/1.1") == 1


async def test_events_are_passed_on(service: Service, address: str) -> None:
    status, headers, body = await ask("GET", f"{address}threads/a/stream")

    assert (status, body) == (200, b"data: 1\n\ndata: 2\n\n")
    assert headers["Content-Type"] == "text/event-stream"


@pytest.mark.parametrize(
    "path", ["docs", "openapi.json", "metrics", "store/items", "mcp/", "a2a/x", "custom", "cache"]
)
async def test_what_is_no_matter_of_sessions_is_not_asked_for(
    service: Service, address: str, path: str
) -> None:
    status, _, _ = await ask("GET", f"{address}{path}")

    assert (status, service.asked) == (404, [])


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_a_page_of_somebody_else_can_not_use_it(service: Service, address: str, method: str) -> None:
    """Nor one of another server of this machine, nor one whose name was made to lead here."""
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.", "Origin": "http://localhost."},
        {"Host": "evil.example:80", "Origin": "http://evil.example:80", "Sec-Fetch-Site": "same-origin"},
    ):
        status, _, _ = await ask(method, f"{address}threads/a", headers=headers)
        assert status == 403, headers

    assert service.asked == []


async def test_however_many_streams_are_open_the_next_request_is_answered(
    service: Service, address: str
) -> None:
    """Each session that somebody looks at is a stream, and many of them must not hold up others."""
    opened = [asyncio.create_task(ask("GET", f"{address}threads/held")) for _ in range(101)]
    await until(lambda: len(service.asked) == 101, lambda: f"{len(service.asked)} are open")

    status, _, _ = await ask("GET", f"{address}threads/a")

    assert status == 200
    service.go_on.set()
    assert {status for status, _, _ in await asyncio.gather(*opened)} == {200}


async def test_a_service_that_is_away_is_told(service: Service, address: str) -> None:
    service.base = "http://127.0.0.1:1"

    status, _, body = await ask("GET", f"{address}threads/a")

    assert status == 502
    assert b"does not answer" in body


@pytest.mark.parametrize(
    "path",
    [
        "threads/../metrics",
        "threads/%2e%2e/metrics",
        "threads/.%2E/metrics",
        "threads/./x",
        "threads//x",
        "threads/a%2F..%2F..%2Fmetrics",
        "threads/a%5c..%5Cmetrics",
        "threads/a\\b",
        "/threads",
        "threads?x",
        "threads/%",
        "http://evil/threads",
        "",
    ],
)
def test_no_path_leads_out_of_what_is_served(path: str) -> None:
    found = path_of(f"/runtime/shop/support/{path}")

    assert found is None or found == f"/{path}" == "/threads/%"


@given(st.text(alphabet="athreds/.%2eE\\?#:@-", max_size=40))
def test_whatever_is_asked_stays_below_what_is_served(path: str) -> None:
    found = path_of(f"/runtime/shop/support/threads/{path}")

    if found is not None:
        assert found.startswith("/threads/")
        assert ".." not in re.split(r"[/\\]", unquote(found))
        assert not set("?#\\") & set(found)
