"""The page as a Service of a cluster, in a real browser, below a path: what it shows without a token and with
one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiohttp import web

from lgs_operator.dashboard.places import Door
from lgs_operator.dashboard.protection import LOOPBACK
from lgs_operator.dashboard.served import served_page
from lgs_operator.dashboard.sources import Api, Kept
from lgs_operator.history.service import Histories
from lgs_operator.scaling import Decision, Memory, Observation
from support.browser import DESKTOP, PHONE, Browser
from support.loopback import in_thread

NOW = 1_800_000_000.0
KEY = "a-key-of-anna"


class Cluster(Kept):
    """Two services: the API of one asks for a key, that of the other for none."""

    def __init__(self) -> None:
        histories = Histories(lambda: NOW)
        for name in ("support", "open"):
            history = histories.begin("shop", name, "uid")
            assert history is not None
            decided = Decision(3, "17 wait", "ScaledOut", {}, None, Memory())
            history.observe(NOW, Observation(at=NOW, samples=(), ready=2), decided)
        super().__init__(histories)
        self.base = ""

    async def api(self, namespace: str, name: str) -> Api | None:
        return Api(f"{self.base}/{name}", name)

    async def answer(self, request: web.Request) -> web.Response:
        given = (request.headers.get("X-Api-Key"), request.headers.get("Authorization"))
        if request.path.startswith("/support/") and given not in ((KEY, None), (None, f"Bearer {KEY}")):
            return web.json_response({"detail": "must be an API key of this service"}, status=401)
        if request.path.endswith("/count"):
            return web.json_response(1)
        return web.json_response([{"thread_id": "t-1", "status": "idle", "metadata": {"customer": "anna"}}])


@pytest.fixture
def address(window: Browser) -> Iterator[str]:
    cluster, app = Cluster(), web.Application()
    app.router.add_route("*", "/{path:.*}", cluster.answer)
    served = served_page(cluster, Door(40), LOOPBACK, "/lgs")
    with in_thread(app) as base, in_thread(served) as url:
        cluster.base = base.rstrip("/")
        window.window(DESKTOP)
        window.said()
        yield f"{url}lgs/"
        window.open("about:blank")


def errors(window: Browser) -> list[str]:
    """What the console says but for the refusals that are wanted here."""
    return [each for each in window.said() if "status of 401" not in each and "status of 403" not in each]


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_without_a_token_services_and_decisions_are_shown_and_no_session(
    window: Browser, address: str, size: tuple[int, int], dark: bool
) -> None:
    window.window(size, dark=dark)
    window.open(address)
    window.wait_for("17 wait", ".cards")
    assert window.axe() == []

    window.click("a.cover[href$='support']")
    window.wait_for("17 wait", "main")
    assert window.axe() == []

    window.run("location.hash = '#/shop/support/sessions'")
    window.wait_for("this page shows sessions to who gives a token", "[role=alert]")
    assert window.run("return document.querySelector('details.token').open")
    assert "t-1" not in window.text()
    assert window.axe() == []
    assert errors(window) == []


@pytest.mark.parametrize("kind", ["X-Api-Key", "Authorization"])
def test_with_a_token_the_sessions_are_shown_that_it_may_see(
    window: Browser, address: str, kind: str
) -> None:
    window.open(f"{address}#/shop/support/sessions")
    window.wait_for("this page shows sessions to who gives a token", "[role=alert]")
    window.run("document.querySelector('.token select').value = arguments[0]", kind)
    window.type("input[type=password]", "guessed")
    window.click(".token button")
    window.wait_for("must be an API key of this service", "[role=alert]")

    window.run("document.querySelector('input[type=password]').value = ''")
    window.type("input[type=password]", KEY)
    window.click(".token button")

    window.wait_for("customer=anna", "table")
    assert window.run("return document.querySelector('[role=alert]').hidden")
    assert window.axe() == []
    assert errors(window) == []
    window.run("sessionStorage.clear()")


def test_sessions_of_an_api_that_asks_nobody_are_not_shown_and_the_way_out_is(
    window: Browser, address: str
) -> None:
    window.open(f"{address}#/shop/open/sessions")
    window.wait_for("this page shows sessions to who gives a token", "[role=alert]")

    window.type("input[type=password]", "anything")
    window.click(".token button")

    window.wait_for("the API of this service asks nobody for a token", "[role=alert]")
    assert "lgs dashboard" in window.text("[role=alert]")
    assert "customer=anna" not in window.text()
    assert window.axe() == []
    window.run("sessionStorage.clear()")
