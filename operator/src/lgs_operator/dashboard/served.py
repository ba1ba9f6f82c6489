"""The page as a cluster's own Service: read-only, and sessions for who brings a token of their service."""

from __future__ import annotations

import hmac
import time
from asyncio import Lock
from collections.abc import Callable, Collection
from math import inf
from pathlib import Path
from typing import Final

from aiohttp import web

from lgs_operator.dashboard.admission import WithToken
from lgs_operator.dashboard.places import Door
from lgs_operator.dashboard.protection import Asked, Handler, add_headers, protects
from lgs_operator.dashboard.server import add_history, add_page
from lgs_operator.dashboard.sources import Api, Json, Source

MOST_BYTES: Final = 2**20
"""Most bytes of a request: many who ask share the memory."""
_SHARED_SECONDS: Final = 1.0


class Shared:
    """A source whose list of services is read once for all who look at it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: Json = {}
        self._read_at = -inf
        self._lock = Lock()

    async def services(self) -> Json:
        """See `Source`."""
        async with self._lock:
            if time.monotonic() - self._read_at >= _SHARED_SECONDS:
                self._found = await self._source.services()
                self._read_at = time.monotonic()
            return self._found

    async def history(self, namespace: str, name: str, seconds: float, since: float | None) -> Json | None:
        """See `Source`."""
        return await self._source.history(namespace, name, seconds, since)

    async def api(self, namespace: str, name: str) -> Api | None:
        """See `Source`."""
        return await self._source.api(namespace, name)


def served_page(source: Source, door: Door, hosts: Collection[str], path: str = "") -> web.Application:
    """An application that serves the page below `path` (empty, or such as `/lgs`) to browsers that ask by one
    of `hosts`, in lower case."""
    root = f"{path}/"
    guards = [door.middleware(), protects(Asked(hosts, root))]
    app = web.Application(middlewares=guards, client_max_size=MOST_BYTES)
    app.on_response_prepare.append(add_headers)
    page = web.Application() if path else app
    add_page(page, Shared(source), WithToken())
    if not path:
        return app

    async def to_page(_: web.Request) -> web.Response:
        raise web.HTTPPermanentRedirect(root)

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPNotFound(text=f"the page is at {root}: a proxy in front must keep that path\n")

    app.router.add_get(path, to_page)
    app.add_subapp(root, page)
    app.router.add_route("*", "/{path:.*}", elsewhere)
    return app


def token_in(file: Path) -> Callable[[], str]:
    """Reads the token of a file, anew each time; empty while there is none."""

    def read() -> str:
        try:
            return file.read_text("ascii").strip()
        except (OSError, ValueError):
            return ""

    return read


def guarded_history(source: Source, door: Door, token: Callable[[], str]) -> web.Application:
    """An application that serves the history to who brings the token, read anew for each request; nobody is
    served while there is none."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted = token()
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not wanted or not hmac.compare_digest(given, f"Bearer {wanted}".encode()):
            raise web.HTTPUnauthorized(text="the history is for who brings the token\n")
        return await handler(request)

    app = web.Application(middlewares=[door.middleware(), guarded])
    app.on_response_prepare.append(add_headers)
    add_history(app, source)
    return app
