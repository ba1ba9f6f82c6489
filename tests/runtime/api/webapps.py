"""Applications of a service's own, as its authors write them, and a graph that answers which headers it
got."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph_sdk.runtime import ServerRuntime
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route
from typing_extensions import TypedDict

seen: list[str] = []
"""What the lifespan and the middleware of `shop` saw, in its order."""


class Heard(TypedDict, total=False):
    """The headers that a run finds in its configuration."""

    headers: dict[str, str]


def listen(state: Heard, config: RunnableConfig) -> Heard:
    names = ("x-tenant", "x-api-key", "authorization", "cookie", "user-agent", "x-color")
    return {
        "headers": {name: config["configurable"][name] for name in names if name in config["configurable"]}
    }


heard = StateGraph(Heard).add_node(listen).add_edge(START, "listen").compile()


opened: list[tuple[str, str | None]] = []
"""Why and for whom the factory `made_for` was called."""


@asynccontextmanager
async def made_for(runtime: ServerRuntime[None]) -> AsyncIterator[Any]:
    opened.append((runtime.access_context, runtime.user and runtime.ensure_user().identity))
    yield heard


class OutOfStock(Exception):
    """An error of the shop's own."""


class RunCreateStateful(BaseModel):
    """A model whose name is also that of one of the API's."""

    item: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    seen.append("opened")
    shop.counter = 0  # type: ignore[attr-defined]
    yield {"till": "open till"}
    seen.append("closed")


shop = FastAPI(lifespan=lifespan)


@shop.middleware("http")
async def mark(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    seen.append(request.url.path)
    user = request.scope.get("user")
    answer = await call_next(request)
    answer.headers["X-Shop"] = "yes"
    answer.headers["X-Known"] = user.identity if user else "nobody"
    return answer


@shop.exception_handler(OutOfStock)
async def out_of_stock(request: Request, error: OutOfStock) -> Response:
    return JSONResponse({"sold": "out"}, status_code=410)


@shop.exception_handler(404)
async def lost(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"the shop has no {request.url.path}", status_code=404)


@shop.get("/shop/till")
async def till(request: Request) -> dict[str, Any]:
    request.app.counter += 1
    return {"till": request.state.till, "counter": shop.counter}  # type: ignore[attr-defined]


@shop.post("/shop/orders")
async def order(body: RunCreateStateful) -> RunCreateStateful:
    return body


@shop.get("/shop/rare")
async def rare() -> None:
    raise OutOfStock


@shop.get("/shop/refused")
async def refused() -> None:
    raise HTTPException(418, "no")


@shop.get("/shop/broken")
async def broken() -> None:
    raise ZeroDivisionError("the scales")


@shop.post("/shop/me")
async def me(request: Request) -> dict[str, Any]:
    user = request.scope.get("user")
    return {"me": user.identity if user else None, "body": (await request.body()).decode()}


@shop.get("/store/namespaces")
async def shadow() -> dict[str, str]:
    return {"from": "the shop"}


@shop.websocket("/shop/bell")
async def bell(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("ding")
    await socket.close()


@shop.get("/ok")
async def taken_over() -> dict[str, str]:
    return {"ok": "the shop's own"}


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


front = Starlette(routes=[Route("/", hello)])
plain = Starlette(routes=[Route("/hello", hello)])


@asynccontextmanager
async def no_till(app: FastAPI) -> AsyncIterator[None]:
    raise OSError("no till")
    yield


failing = FastAPI(lifespan=no_till)
number = 7
