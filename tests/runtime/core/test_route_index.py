"""The index of routes finds what trying every route in turn finds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from lgs_runtime.api.app import ROUTES
from lgs_runtime.api.http.route_index import FOUND, RouteIndex

OURS: list[BaseRoute] = [route for _, router in ROUTES for route in router.routes]
WORDS = sorted({segment for route in OURS for segment in route.path.split("/") if "{" not in segment})  # type: ignore[attr-defined]


async def answer(request: Request) -> Response:
    return PlainTextResponse(f"{request.scope['endpoint'].__name__} {dict(request.path_params)}")


async def other(request: Request) -> Response:
    return await answer(request)


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


MIXED: list[BaseRoute] = [
    Route("/things/search", answer, methods=["POST"]),
    Route("/things/{name}", other),
    Route("/things/{name}", answer, methods=["DELETE"]),
    Route("/things/{name}/{rest:path}", other, name="rest"),
    Route("/things/{number:int}/parts", answer),
    Route("/v{major}/things", answer),
    Mount("/below", routes=[Route("/things", other)]),
    WebSocketRoute("/things/{name}", greet),
    Route("/", answer),
]


def scope_of(method: str, path: str) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}


def in_turn(routes: Sequence[BaseRoute], scope: dict[str, Any]) -> tuple[BaseRoute | None, Any]:
    """What Starlette does: the first route that matches in full."""
    for route in routes:
        match, found = route.matches(scope)
        if match is Match.FULL:
            return route, found
    return None, {}


@pytest.mark.parametrize("routes", [OURS, MIXED], ids=["ours", "mixed"])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    segments=st.lists(
        st.one_of(st.sampled_from([*WORDS, "things", "below", "v1", "7", ""]), st.text(max_size=3)),
        max_size=6,
    ),
    end=st.sampled_from(["", "/", "\n"]),
)
def test_it_finds_the_first_route_that_matches(
    routes: list[BaseRoute], method: str, segments: list[str], end: str
) -> None:
    scope = scope_of(method, "/" + "/".join(segments) + end)
    index = RouteIndex(routes)

    match, found = index.matches(scope)

    route, as_found = in_turn(routes, scope)
    assert (match is Match.FULL) == (route is not None)
    assert found.get(FOUND) is route
    assert {name: value for name, value in found.items() if name != FOUND} == as_found


@pytest.mark.parametrize("route", OURS, ids=lambda route: f"{getattr(route, 'methods', 'WS')} {route.path}")
def test_every_route_of_ours_is_found_among_few(route: Any) -> None:
    candidates = RouteIndex(OURS).candidates(route.path.replace("{", "").replace("}", ""))

    assert route in candidates
    assert len(candidates) <= 12


@pytest.mark.parametrize("route", OURS, ids=lambda route: f"{getattr(route, 'methods', 'WS')} {route.path}")
def test_no_route_of_ours_stands_behind_one_that_takes_its_path(route: Any) -> None:
    path = re.sub(r"\{\w+(:path)?\}", "1", route.path)
    scopes = [scope_of(method, path) for method in getattr(route, "methods", ())]

    first = [in_turn(OURS, scope)[0] for scope in scopes or [{**scope_of("", path), "type": "websocket"}]]

    assert all(each is route for each in first), (
        "it must stand before that one: see the order of ROUTES in lgs_runtime/api/app.py"
    )


def test_what_it_does_not_find_is_left_to_the_routes_behind_it() -> None:
    client = TestClient(Router([RouteIndex(MIXED), *MIXED], redirect_slashes=False))

    assert client.get("/things/a").text == "other {'name': 'a'}"
    assert client.head("/things/a").status_code == 200
    assert client.get("/things/a/b/c").text == "other {'name': 'a', 'rest': 'b/c'}"
    assert client.get("/below/things").text.startswith("other")
    assert client.get("/nothing").status_code == 404
    refused = client.put("/things/a")
    assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
    with client.websocket_connect("/things/a"):
        pass


def test_it_finds_routes_below_a_prefix() -> None:
    client = TestClient(Router([Mount("/api", routes=[RouteIndex(MIXED)])], redirect_slashes=False))

    assert client.get("/api/things/a").text == "other {'name': 'a'}"
    assert client.post("/api/things/search").text.startswith("answer")
    assert client.get("/things/a").status_code == 404
