"""The page in a real browser beside a service whose answers are odd, or do not come, and in many tabs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from aiohttp import web

from lgs_operator.dashboard.server import page_app
from lgs_operator.dashboard.sources import Api, Kept
from lgs_operator.history.service import Histories
from support.browser import DESKTOP, Browser
from support.loopback import in_thread

STATUSES = ("constructor", "__proto__", "toString", "idle")


class Hostile(Kept):
    """A service that answers a search for a graph `s…` never."""

    def __init__(self) -> None:
        super().__init__(Histories(lambda: 1_800_000_000.0))
        self.base, self.uid = "", "one"
        self.asked = 0
        self.keys: Counter[tuple[str, str | None]] = Counter()

    async def api(self, namespace: str, name: str) -> Api | None:
        return Api(f"{self.base}/{self.uid}", self.uid)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        # By its address: what went to the one may come here when there is the other already.
        self.keys[request.path.split("/")[1], request.headers.get("X-Api-Key")] += 1
        wanted = await request.json()
        if wanted.get("metadata", {}).get("graph_id", "").startswith("s"):
            await asyncio.sleep(600)
        if request.path.endswith("/count"):
            return web.json_response(len(STATUSES))
        found = [{"thread_id": f"t-{each}", "status": each, "metadata": {}} for each in STATUSES]
        return web.json_response(found)


@pytest.fixture
def service() -> Hostile:
    return Hostile()


@pytest.fixture
def page(service: Hostile, window: Browser) -> Iterator[Browser]:
    app = web.Application()
    app.router.add_post("/{path:.*}", service.answer)
    with in_thread(app) as base, in_thread(page_app(service)) as url:
        service.base = base.rstrip("/")
        window.window(DESKTOP)
        window.said()
        window.open(f"{url}#/shop/support/sessions")
        yield window
        window.open("about:blank")


def test_a_status_that_no_session_has_is_shown_as_it_is(page: Browser) -> None:
    page.wait_for("t-idle", "table")

    assert all(f"t-{each}" in page.text("table") for each in STATUSES)
    assert page.text("[role=alert]") == ""


def test_answers_that_never_come_keep_no_connection_that_others_need(page: Browser, service: Hostile) -> None:
    page.wait_for("t-idle", "table")
    for turn, letter in enumerate("slow"):
        page.type("input[type=search]", letter)
        page.wait(lambda turn=turn: service.asked >= 4 + 2 * turn)  # type: ignore[misc]

    page.run("location.hash = '#/'")
    page.wait_for("No service is known yet", ".cards")
    page.run("location.hash = '#/shop/support/sessions'")
    page.wait_for("t-idle", "table")


def test_a_tab_that_nobody_looks_at_keeps_no_connection(page: Browser) -> None:
    page.run(
        "window.ends = 0; const close = EventSource.prototype.close;"
        "EventSource.prototype.close = function () { window.ends += 1; close.call(this); };"
        "window.away = false; Object.defineProperty(document, 'hidden', { get: () => window.away })"
    )
    page.run("location.hash = '#/'")
    page.wait_for("live", "#live")
    look = (
        "window.away = arguments[0]; document.dispatchEvent(new Event('visibilitychange'));return window.ends"
    )

    assert page.run(look, True) == 1
    page.run("document.querySelector('#live').textContent = ''")
    page.run(look, False)
    page.wait_for("live", "#live")


def test_a_token_is_not_sent_to_another_service_that_has_the_name_now(
    page: Browser, service: Hostile
) -> None:
    """Another cluster's, whose page has taken the port while this one was open."""
    page.wait_for("idle", "table")
    page.run("document.querySelector('details.token').open = true")
    page.type("input[type=password]", "secret")
    page.click(".token button")
    page.wait(lambda: service.keys["one", "secret"] == 2)  # how many there are, and the first of them

    service.uid = "other"
    page.type("input[type=search]", "a")
    page.wait_for("another service has this name now", "[role=alert]")

    assert page.run("return sessionStorage.length") == 0
    page.type("input[type=search]", "b")
    page.wait(lambda: ("other", None) in service.keys)
    assert ("other", "secret") not in service.keys
