"""The HTTP servers: the history as JSON, which the operator serves, and with the page for people."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from math import isfinite
from typing import Final

from aiohttp import web

from lgs_operator.dashboard.admission import Admission, Anybody
from lgs_operator.dashboard.api_proxy import MOST_BYTES, add_api
from lgs_operator.dashboard.pages import add_pages
from lgs_operator.dashboard.protection import UNBUFFERED, Asked, add_headers, protects
from lgs_operator.dashboard.sources import Json, Source
from lgs_operator.history.service import DAY

LIVE_SECONDS: Final = 2.0
"""Seconds between two events of a stream."""
SPAN_SECONDS: Final = 900.0
_SOURCE: Final = web.AppKey("source", Source)


def history_app(source: Source) -> web.Application:
    """An application that serves the history as JSON, read-only, on the loopback interface."""
    app = web.Application(middlewares=[protects(Asked())], client_max_size=MOST_BYTES)
    app.on_response_prepare.append(add_headers)
    add_history(app, source)
    return app


def page_app(source: Source) -> web.Application:
    """An application that serves the page, and all that it needs, on the loopback interface."""
    app = web.Application(middlewares=[protects(Asked())], client_max_size=MOST_BYTES)
    app.on_response_prepare.append(add_headers)
    add_page(app, source, Anybody())
    return app


def add_history(app: web.Application, source: Source) -> None:
    """Adds routes that serve the history as JSON, read-only."""
    app[_SOURCE] = source
    app.add_routes(
        [
            web.get("/api/services", _services),
            web.get("/api/services/{namespace}/{name}/history", _history),
        ]
    )


def add_page(app: web.Application, source: Source, admission: Admission) -> None:
    """Adds the page and all that it needs: the history, also as streams of events, and the way to the APIs of
    services."""
    add_history(app, source)
    app.add_routes(
        [
            web.get("/api/events", _services_live),
            web.get("/api/services/{namespace}/{name}/events", _history_live),
        ]
    )
    add_pages(app)
    add_api(app, source, admission)


async def serve_loopback(stack: AsyncExitStack, app: web.Application, port: int) -> int:
    """Serves until the stack is closed; returns the port. Raises `OSError` if the port is taken."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return int(runner.addresses[0][1])


async def _services(request: web.Request) -> web.Response:
    return _answer(await request.app[_SOURCE].services())


async def _history(request: web.Request) -> web.Response:
    return _answer(await _read(request, _number(request, "since", None)))


async def _read(request: web.Request, since: float | None) -> Json:
    namespace, name = request.match_info["namespace"], request.match_info["name"]
    seconds = _number(request, "span", SPAN_SECONDS) or SPAN_SECONDS
    found = await request.app[_SOURCE].history(namespace, name, min(max(seconds, 1.0), DAY), since)
    if found is None:
        raise web.HTTPNotFound(text="there is no such service, or nothing is known of it yet\n")
    return found


def _number(request: web.Request, name: str, default: float | None) -> float | None:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise web.HTTPUnprocessableEntity(text=f"{name}: {text}: must be a number of seconds\n")
    return value


async def _services_live(request: web.Request) -> web.StreamResponse:
    stream = await _begin(request)
    with suppress(ConnectionResetError):
        while True:
            await _send(stream, await request.app[_SOURCE].services())
            await asyncio.sleep(LIVE_SECONDS)
    return stream


async def _history_live(request: web.Request) -> web.StreamResponse:
    """Streams the whole span first, then what is new."""
    found = {**await _read(request, None), "whole": True}
    stream = await _begin(request)
    with suppress(ConnectionResetError, web.HTTPException):
        while True:
            await _send(stream, found)
            await asyncio.sleep(LIVE_SECONDS)
            found = await _read(request, found["now"])
    return stream


async def _begin(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", **UNBUFFERED})
    await stream.prepare(request)
    return stream


async def _send(stream: web.StreamResponse, data: Json) -> None:
    await stream.write(f"data: {json.dumps(data, allow_nan=False)}\n\n".encode())


def _answer(data: Json) -> web.Response:
    return web.json_response(text=json.dumps(data, allow_nan=False))
