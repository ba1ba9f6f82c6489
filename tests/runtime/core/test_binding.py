"""Endpoints that are called by their binding are given, and refuse, what FastAPI gives and refuses."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.testclient import TestClient

from lgs_runtime.api.access import Route
from lgs_runtime.api.app import ROUTES
from lgs_runtime.api.http.binding import binding
from lgs_runtime.api.http.limits import LimitedRoute

BOUND = [
    route
    for _, router in ROUTES
    for route in router.routes
    if isinstance(route, Route) and route.binding is not None
]
SERVICES = SimpleNamespace(settings=SimpleNamespace(max_body_bytes=100_000))
SEGMENTS = st.one_of(
    st.uuids().map(str),
    st.sampled_from(["1", "0", "-1", "99999999999", "x", "1.5", "%20"]),
    st.text("ab7-", min_size=1),
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
NUMBERS = st.one_of(st.integers(-2, 2000), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)


def echo(endpoint: Any) -> Any:
    """An endpoint of the same signature that answers with what it was given."""

    @functools.wraps(endpoint)
    async def answer(**named: Any) -> Response:
        plain = {name: value for name, value in named.items() if isinstance(value, str | int)}
        models = {name: value for name, value in named.items() if isinstance(value, BaseModel)}
        told = {
            name: [value.model_dump(mode="json"), sorted(value.model_fields_set)]
            for name, value in models.items()
        }
        return JSONResponse({**plain, **told, "names": sorted(named)})

    return answer


def client_of(route_class: type[APIRoute], route: APIRoute) -> TestClient:
    app = FastAPI(redirect_slashes=False, openapi_url=None)  # Without pages of FastAPI's own.
    app.state.services = SERVICES
    echoing = route_class(route.path, echo(route.endpoint), methods=route.methods)
    assert not isinstance(echoing, LimitedRoute) or echoing.binding is not None
    app.router.routes.append(echoing)
    return TestClient(app, raise_server_exceptions=False)


def told(response: httpx.Response) -> tuple[int, str | None, Any]:
    """The status, the length, which is all that a HEAD answers about a body, and the body."""
    return (
        response.status_code,
        response.headers.get("content-length"),
        response.json() if response.content else None,
    )


def bodies_of(route: APIRoute) -> st.SearchStrategy[Any]:
    """What is likely to be nearly right, and what is not."""
    fields = route.body_field.field_info.annotation.model_fields if route.body_field else {}  # type: ignore[union-attr]
    if not fields:
        return VALUES
    return st.one_of(VALUES, st.dictionaries(st.sampled_from(sorted(fields)), VALUES, max_size=len(fields)))


@pytest.mark.parametrize("route", BOUND, ids=lambda route: f"{'/'.join(route.methods)} {route.path}")
def test_a_binding_gives_and_refuses_as_fastapi_does(route: Route) -> None:
    bound, general = client_of(LimitedRoute, route), client_of(APIRoute, route)
    [method] = route.methods or {"GET"}

    @settings(max_examples=20)
    @given(data=st.data())
    def compare(data: st.DataObject) -> None:
        path = route.path_format.format(**{name: data.draw(SEGMENTS) for name in route.param_convertors})
        sent: dict[str, Any] = {} if data.draw(st.booleans()) else {"json": data.draw(bodies_of(route))}

        ours, theirs = (client.request(method, path, **sent) for client in (bound, general))

        assert told(ours) == told(theirs)

    compare()


async def of_request(request: Request) -> str:
    return request.method


async def of_more(request: Request, name: str = "x") -> str:
    return name


class Given(BaseModel):
    number: int


async def simple(
    made: Annotated[str, Depends(of_request)], request: Request, key: str, body: Given
) -> JSONResponse:
    return JSONResponse([made, request.url.path, key, body.number])


async def wants_query(key: str, limit: Annotated[int, Query()] = 10) -> Response:
    return Response()


async def wants_two_bodies(body: Given, other: Given) -> Response:
    return Response()


async def wants_more_than_the_request(made: Annotated[str, Depends(of_more)]) -> Response:
    return Response()


async def answers_with_a_value(key: str) -> dict[str, str]:
    return {"key": key}


def takes_a_thread(request: Request) -> Response:
    return Response()


def test_an_endpoint_of_the_simple_kind_is_bound() -> None:
    bound = binding(simple, {"key"})

    assert bound is not None
    assert (bound.requests, [name for name, _ in bound.made]) == (("request",), ["made"])
    assert ([one.name for one in bound.path], bound.body and bound.body.name) == (["key"], "body")


@pytest.mark.parametrize(
    "endpoint",
    [wants_query, wants_two_bodies, wants_more_than_the_request, answers_with_a_value, takes_a_thread],
)
def test_any_other_endpoint_is_left_to_fastapi(endpoint: Any) -> None:
    assert binding(endpoint, {"key"}) is None


def test_the_routes_that_make_runs_and_threads_are_bound() -> None:
    known = {(method, route.path) for route in BOUND for method in route.methods or ()}

    assert known >= {
        ("POST", "/threads"),
        ("POST", "/runs/wait"),
        ("POST", "/threads/{thread_id}/runs"),
        ("POST", "/threads/{thread_id}/runs/wait"),
        ("POST", "/threads/{thread_id}/runs/stream"),
    }
