"""Bounds on who takes how much of a page that a whole cluster reaches: connections, requests, and time.

All connections of a page share a number of places; one address may have half of them, so that others still
get in. Behind an Ingress all requests come from a few addresses: there a client is whom the last entry of
`X-Forwarded-For` names, and may have a quarter of the places with requests that are not answered yet,
streams among them. Who connects and asks nothing is disconnected.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final, cast
from weakref import WeakSet

from aiohttp import web
from aiohttp.typedefs import Middleware

from lgs_operator.dashboard.protection import Handler

ASKING_SECONDS: Final = 15.0
"""Seconds after which a connection on which no whole request has come is closed."""
IDLE_SECONDS: Final = 60.0
"""Seconds for which a connection stays open between two requests."""
_LINGERING_SECONDS: Final = 1.0
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 27\r\n\r\ntoo many connections: wait\n\n"
)


class Places:
    """Places that are taken and given back; no holder has more than its share. Pure."""

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._taken = Counter[str]()

    def take(self, holder: str) -> bool:
        """Whether there was a place left for this holder, who has it now."""
        if self._taken.total() >= self._most or self._taken[holder] >= self._share:
            return False
        self._taken[holder] += 1
        return True

    def give_back(self, holder: str) -> None:
        """Gives back one place of the holder."""
        self._taken[holder] -= 1
        if self._taken[holder] <= 0:
            del self._taken[holder]

    @contextmanager
    def held(self, holder: str) -> Iterator[bool]:
        """A place for as long as the block runs; says whether there was one."""
        had = self.take(holder)
        try:
            yield had
        finally:
            if had:
                self.give_back(holder)


class Door:
    """Lets connections in, and requests: `most` connections at a time."""

    def __init__(self, most: int) -> None:
        self.connections = Places(most, max(1, most // 2))
        self.requests = Places(most, max(1, most // 4))
        self.asking = WeakSet[asyncio.BaseTransport]()
        """The connections on which a request has come."""

    def middleware(self) -> Middleware:
        """Answers 429 to a client that has too many requests open."""

        @web.middleware
        async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.transport is not None:
                self.asking.add(request.transport)
            with self.requests.held(client_of(request)) as has_place:
                if not has_place:
                    text = "too many requests of this client are open: close some\n"
                    raise web.HTTPTooManyRequests(text=text, headers={"Retry-After": "5"})
                return await handler(request)

        return bounded

    async def serve(self, stack: AsyncExitStack, app: web.Application, host: str, port: int) -> int:
        """Serves until the stack is closed; returns the port. Raises `OSError` if the port is taken."""
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=1.0,
            keepalive_timeout=IDLE_SECONDS,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        speaks = cast("Callable[[], asyncio.Protocol]", runner.server)
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self, speaks), host, port)
        stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])


class _Connection(asyncio.Protocol):
    """One connection. What speaks HTTP on it is made once it is let in."""

    def __init__(self, door: Door, speaks: Callable[[], asyncio.Protocol]) -> None:
        self._door = door
        self._speaks = speaks
        self._http: asyncio.Protocol | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast("asyncio.Transport", transport)
        self._peer = str((wire.get_extra_info("peername") or ("",))[0])
        if not self._door.connections.take(self._peer):
            wire.write(_FULL)
            wire.write_eof()
            # Closed at once, with a request that was not read, the answer would be lost on its way.
            asyncio.get_running_loop().call_later(_LINGERING_SECONDS, wire.abort)
            return
        self._http = self._speaks()
        self._http.connection_made(transport)
        asyncio.get_running_loop().call_later(ASKING_SECONDS, self._has_asked, wire)

    def _has_asked(self, transport: asyncio.Transport) -> None:
        if transport not in self._door.asking:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._http is not None:
            self._door.connections.give_back(self._peer)
            self._http.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            self._http.data_received(data)

    def eof_received(self) -> bool | None:
        return self._http.eof_received() if self._http is not None else None

    def pause_writing(self) -> None:
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._http is not None:
            self._http.resume_writing()


def client_of(request: web.Request) -> str:
    """Whom a request counts for: who has connected and, where that is a proxy, whom it has seen. Somebody who
    only says that they are a proxy counts for none of its clients."""
    seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return f"{request.remote} {seen[:100]}"
