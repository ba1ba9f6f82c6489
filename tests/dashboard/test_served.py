"""The page as a Service of a cluster: by which names it is asked, and sessions for who brings a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from lgs_operator.dashboard.places import Door
from lgs_operator.dashboard.protection import LOOPBACK, POLICY
from lgs_operator.dashboard.served import MOST_BYTES, guarded_history, served_page
from lgs_operator.dashboard.server import serve_loopback
from lgs_operator.dashboard.sources import Api, Kept
from lgs_operator.history.service import Histories
from support.ports import PATIENCE_SECONDS

HOSTS = LOOPBACK | {"page.example.com", "lgs-dashboard.lgs.svc"}
KEY = "a-key-of-anna"
UID = "one"


class Cluster(Kept):
    """A service that notes what its API is asked, and refuses who brings no key of it."""

    def __init__(self) -> None:
        super().__init__(Histories(lambda: 1.0))
        self.asked: list[dict[str, str]] = []
        self.base = ""
        self.is_open, self.status = False, 0

    async def api(self, namespace: str, name: str) -> Api | None:
        return Api(self.base, UID) if (namespace, name) == ("shop", "support") else None

    async def answer(self, request: web.Request) -> web.Response:
        given = dict(request.headers)
        has_key = given.get("X-Api-Key") == KEY or given.get("Authorization") == f"Bearer {KEY}"
        self.asked.append(given)
        if self.status:
            return web.Response(status=self.status)
        return web.json_response({"path": request.path}, status=200 if has_key or self.is_open else 401)

    def tokens(self) -> set[str | None]:
        """All that it was given as a token."""
        return {each.get(name) for each in self.asked for name in ("X-Api-Key", "Authorization")}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as it:
        yield it


@pytest.fixture
async def cluster(stack: AsyncExitStack) -> Cluster:
    it, app = Cluster(), web.Application()
    app.router.add_route("*", "/{path:.*}", it.answer)
    it.base = f"http://127.0.0.1:{await serve_loopback(stack, app, 0)}"
    return it


class Page:
    """What the page answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._base = f"http://127.0.0.1:{port}"

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, self._base + path, headers=named, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.text(), dict(answer.headers)

    async def session(self, **headers: str) -> tuple[int, str, dict[str, str]]:
        return await self.ask("/runtime/shop/support/threads/a", **headers)


async def sent(port: int, *lines: bytes, body: bytes = b"") -> bytes:
    """What is answered to a request of these lines, as it stands on the wire."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\r\n".join([*lines, b"Connection: close", b"", body]))
    answer = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    writer.close()
    return answer


async def serve(stack: AsyncExitStack, cluster: Cluster, path: str = "") -> Page:
    door = Door(40)
    return Page(await door.serve(stack, served_page(cluster, door, HOSTS, path), "127.0.0.1", 0))


@pytest.fixture
async def page(stack: AsyncExitStack, cluster: Cluster) -> Page:
    return await serve(stack, cluster)


async def test_a_session_is_shown_to_who_brings_a_token_of_its_service(page: Page, cluster: Cluster) -> None:
    by_key = await page.session(X_Api_Key=KEY, Lgs_Service=UID)
    by_bearer = await page.session(Lgs_Authorization=f"Bearer {KEY}", Lgs_Service=UID)
    by_another = await page.session(X_Api_Key="guessed", Lgs_Service=UID)

    assert [each[0] for each in (by_key, by_bearer, by_another)] == [200, 200, 401]
    assert by_key[2]["Lgs-Service"] == UID
    assert all(each.get("Via") == "1.1 lgs-dashboard" for each in cluster.asked)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Lgs_Service": UID},
        {"X_Api_Key": "", "Lgs_Service": UID},
        {"Lgs_Authorization": "", "Lgs_Service": UID},
        {"Authorization": f"Bearer {KEY}", "Lgs_Service": UID},
        {"Authorization": f"Bearer {KEY}"},
        {"X_Api_Key": KEY},
        {"Cookie": "session=1", "X_Forwarded_User": "anna", "Lgs_Service": UID},
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
async def test_without_a_token_that_the_page_sent_no_service_is_asked(
    page: Page, cluster: Cluster, method: str, headers: dict[str, str], is_open: bool
) -> None:
    """What a proxy in front adds is no token: a service must not get who somebody is elsewhere."""
    cluster.is_open = is_open
    status, said, answered = await page.session(method=method, **headers)

    assert status == 401
    assert "gives a token of the service's API" in said
    assert answered["Lgs-Service"] == UID
    assert "WWW-Authenticate" not in answered
    assert cluster.asked == []


async def test_what_a_proxy_sends_does_not_reach_a_service_beside_a_token(
    page: Page, cluster: Cluster
) -> None:
    await page.session(X_Api_Key=KEY, Lgs_Service=UID, Authorization="Bearer of-the-proxy", Cookie="a=b")

    assert cluster.tokens() == {None, KEY}
    assert not any("Cookie" in each for each in cluster.asked)


@pytest.mark.parametrize("status", [0, 404, 302, 422])
async def test_an_api_that_asks_nobody_for_a_token_shows_nothing_by_the_page(
    page: Page, cluster: Cluster, status: int
) -> None:
    """With it any text would be a token."""
    cluster.is_open, cluster.status = True, status

    answers = [await page.session(method=each, X_Api_Key="x", Lgs_Service=UID) for each in ("GET", "POST")]

    assert [each[0] for each in answers] == [403, 403]
    assert "spec.auth" in answers[0][1]
    assert "lgs dashboard" in answers[0][1]
    assert cluster.tokens() == {None}, "only whether it is open was asked"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_while_it_can_not_be_told_whether_an_api_is_open_nothing_is_shown(
    page: Page, cluster: Cluster, status: int
) -> None:
    cluster.status = status
    assert (await page.session(X_Api_Key=KEY, Lgs_Service=UID))[0] == 502
    cluster.base = "http://127.0.0.1:1"
    assert (await page.session(X_Api_Key=KEY, Lgs_Service=UID))[0] == 502

    assert cluster.tokens() == {None}


async def test_whether_an_api_is_open_is_found_out_again_and_again(
    page: Page, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await page.session(X_Api_Key=KEY, Lgs_Service=UID))[0] == 200
    cluster.is_open = True
    monkeypatch.setattr("lgs_operator.dashboard.admission.CLOSED_SECONDS", 0.0)
    assert (await page.session(X_Api_Key=KEY, Lgs_Service=UID))[0] == 403
    cluster.is_open = False
    assert (await page.session(X_Api_Key=KEY, Lgs_Service=UID))[0] == 200


async def test_a_token_goes_to_no_other_service_of_the_name(page: Page, cluster: Cluster) -> None:
    status, _, answered = await page.session(X_Api_Key=KEY, Lgs_Service="earlier")

    assert (status, answered["Lgs-Service"]) == (409, UID)
    assert cluster.asked == []


@pytest.mark.parametrize(
    ("path", "namespace"), [("..", "shop"), ("threads/a", "kube-system"), ("metrics", "shop"), ("ok", "shop")]
)
async def test_nothing_but_sessions_of_services_is_asked(
    page: Page, cluster: Cluster, path: str, namespace: str
) -> None:
    answer = await page.ask(f"/runtime/{namespace}/support/{path}", X_Api_Key=KEY, Lgs_Service=UID)

    assert answer[0] == 404
    assert cluster.asked == []


@pytest.mark.parametrize(
    "host", ["page.example.com", "PAGE.example.com:8443", "lgs-dashboard.lgs.svc", "localhost:9"]
)
async def test_the_page_is_asked_by_the_names_that_it_was_given(page: Page, host: str) -> None:
    status, said, answered = await page.ask("/", Host=host)

    assert (status, "<!doctype html>" in said) == (200, True)
    assert answered["Content-Security-Policy"] == POLICY
    assert "Set-Cookie" not in answered
    own = {"Host": host, "Origin": f"https://{host}", "Sec_Fetch_Site": "same-origin"}
    assert (await page.ask("/api/services", **own))[0] == 200


@pytest.mark.parametrize("path", ["/", "/api/services", "/assets/app.js", "/runtime/shop/support/threads/a"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "page.example.com.evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example", "Sec_Fetch_Site": "same-origin"},
        {"Host": "10.1.2.3:8080"},
        {"Host": "page.example.com", "Origin": "https://evil.example"},
        {"Host": "page.example.com", "Origin": "https://lgs-dashboard.lgs.svc"},
        {"Host": "page.example.com", "Origin": "https://page.example.com:8443"},
        {"Host": "page.example.com", "Origin": "null"},
        {"X_Forwarded_Host": "page.example.com", "Host": "evil.example"},
    ],
)
async def test_pages_of_others_and_names_of_others_get_nothing(
    page: Page, cluster: Cluster, path: str, headers: dict[str, str]
) -> None:
    for method in ("GET", "POST", "DELETE"):
        more = {"X_Api_Key": KEY, "Lgs_Service": UID}
        status, said, answered = await page.ask(path, method=method, **headers, **more)
        assert (status, "sandbox" in answered["Content-Security-Policy"]) == (403, True)
        assert "services" not in said

    assert cluster.asked == []


@pytest.mark.parametrize(
    "lines", [[b"Host: \xff"], [b"Host: localhost", b"Origin: http://\xff"]], ids=["host", "origin"]
)
async def test_a_name_that_is_no_text_is_refused_as_any_other(page: Page, lines: list[bytes]) -> None:
    answer = await sent(page.port, b"GET /api/services HTTP/1.1", *lines)

    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("token", [b"Bearer \xff", b"Bearer the token\xff", b"\xff"])
async def test_a_token_that_is_no_text_is_a_wrong_one(
    stack: AsyncExitStack, cluster: Cluster, token: bytes
) -> None:
    door = Door(10)
    port = await door.serve(stack, guarded_history(cluster, door, lambda: "the token"), "127.0.0.1", 0)

    answer = await sent(port, b"GET /api/services HTTP/1.1", b"Host: a", b"Authorization: " + token)

    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_body_that_is_not_in_its_coding_is_refused(page: Page, cluster: Cluster) -> None:
    own = [b"Host: localhost", b"X-Api-Key: " + KEY.encode(), b"Lgs-Service: " + UID.encode()]
    coded = [b"Content-Encoding: gzip", b"Content-Length: 4"]

    answer = await sent(page.port, b"POST /runtime/shop/support/threads HTTP/1.1", *own, *coded, body=b"text")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert cluster.tokens() == {None}


async def test_a_link_leads_to_the_page_and_another_site_reads_nothing_of_it(page: Page) -> None:
    of_a_link = {"Host": "page.example.com", "Sec_Fetch_Site": "cross-site"}

    assert (await page.ask("/", **of_a_link))[0] == 200
    for path in ("/api/services", "/api/events", "/assets/app.js"):
        assert (await page.ask(path, **of_a_link))[0] == 403


async def test_below_a_path_all_is_there_and_elsewhere_it_is_said_where(
    stack: AsyncExitStack, cluster: Cluster
) -> None:
    page = await serve(stack, cluster, "/runtime/lgs")
    own = {"Host": "page.example.com"}

    assert (await page.ask("/runtime/lgs", **own))[2]["Location"] == "/runtime/lgs/"
    for path in ("/runtime/lgs/", "/runtime/lgs/assets/app.js", "/runtime/lgs/api/services"):
        assert (await page.ask(path, **own))[0] == 200
    token: Any = {"X_Api_Key": KEY, "Lgs_Service": UID}
    status, said, _ = await page.ask("/runtime/lgs/runtime/shop/support/threads/a", **own, **token)
    assert (status, said) == (200, '{"path": "/threads/a"}')
    for path in ("/", "/api/services", "/assets/app.js", "/runtime/shop/support/threads/a"):
        status, said, _ = await page.ask(path, **own)
        assert (status, "the page is at /runtime/lgs/" in said) == (404, True)


async def test_a_body_that_is_too_long_is_refused(
    page: Page, cluster: Cluster, stack: AsyncExitStack
) -> None:
    headers = {"X-Api-Key": KEY, "Lgs-Service": UID}
    client = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
    url = f"{page._base}/runtime/shop/support/threads/search"

    async with client.post(url, data=b"x" * (MOST_BYTES + 1)) as answer:
        assert answer.status == 413

    assert cluster.tokens() == {None}
