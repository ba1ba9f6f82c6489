"""`get_client()` without a URL: code in this process calls its own server, without a socket.

The SDK expects the server to provide the transport (`langgraph_sdk.client.configure_loopback_transports`).
Ours passes each request, from any loop or thread, to the application on the server's own event loop, and
passes streams back piece by piece.

These requests are not authenticated. A node's request has the rights of its run's user, and so has one from
an `@auth.on` handler; code that runs for no user (a route or the lifespan of `http.app`, an authentication
handler) may do everything, as on LangGraph's server.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from starlette.types import ASGIApp, Message, Scope

from lgs_runtime.api.callers import FOUND_USER
from lgs_runtime.auth.authorization import for_nobody
from lgs_runtime.errors import Conflict
from lgs_runtime.graphs.factories import caller
from lgs_runtime.tracing.propagation import outgoing
from lgs_runtime.worker.lending import Slot, own_slot

SDK_MODULES: Final = (
    "langgraph_sdk._shared.utilities",
    "langgraph_sdk._async.client",
    "langgraph_sdk.client",
)
"""The modules that hold the SDK's transport factory, in its various versions."""
MAKES: Final = "get_asgi_transport"
REGISTERED: Final = "_registered_transports"
DEFER: Final = "__LANGGRAPH_DEFER_LOOPBACK_TRANSPORT"
WAITING: Final = re.compile(r"/(wait|join|stream)(/|$)|^/(mcp|a2a)(/|$)")
"""Paths whose answer may be complete only when a run has ended."""
MAKES_A_RUN: Final = re.compile(r"/runs/(wait|stream)$")
ON_A_THREAD: Final = re.compile(r"/threads/(?P<thread_id>[^/]+)/runs/(wait|stream)$")
Headers = list[tuple[bytes, bytes]]
PIECES: Final = 64
"""How many pieces of a stream may be buffered for a slow reader."""


@dataclass(slots=True)
class Server:
    """The server of this process: a replica's application and its event loop."""

    prefix: str
    loop: asyncio.AbstractEventLoop
    app: ASGIApp | None = None
    """The application; None until it is created."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


_here: ContextVar[Server | None] = ContextVar("_here", default=None)
"""The server that runs the current code. Threads that user code starts itself don't inherit it."""
_servers: list[Server] = []


@contextmanager
def answering(prefix: str) -> Iterator[Server]:
    """Lets code of this process call the server as long as the context is open; the caller sets `Server.app`.
    `prefix`: the path below which the application has its routes."""
    server = Server(prefix, asyncio.get_running_loop())
    _servers.append(server)
    _here.set(server)
    try:
        yield server
    finally:
        _servers.remove(server)
        if _here.get() is server:
            _here.set(None)


def install() -> None:
    """Makes the SDK's clients without a URL use `LoopbackTransport`, from now on."""
    # Otherwise clients would import LangGraph's own server, if the application's environment has it.
    os.environ[DEFER] = "true"
    for module in _of_the_sdk():
        if hasattr(module, MAKES):
            setattr(module, MAKES, lambda: LoopbackTransport)


def _of_the_sdk() -> Iterator[Any]:
    """The modules of `SDK_MODULES` that this version of the SDK has."""
    for name in SDK_MODULES:
        with suppress(ImportError):
            yield importlib.import_module(name)


class LoopbackTransport(httpx.AsyncBaseTransport):
    """A transport to the server of this process, with the constructor parameters of `httpx.ASGITransport`."""

    def __init__(self, app: Any = None, root_path: str = "", **_: Any) -> None:
        self.app = app
        self.root_path = root_path
        # The SDK keeps a list of transports to set their application later. Ours finds it by itself, and code
        # that creates a client for each run would let the list grow for ever.
        for module in _of_the_sdk():
            if isinstance(registered := getattr(module, REGISTERED, None), list):
                registered.clear()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Passes the request to the server, and returns the answer when its headers are available. Raises
        `Conflict` for a request that would wait for ever."""
        server = _here.get() or (_servers[-1] if _servers else None)
        if server is None or (app := server.app) is None:
            raise httpx.ConnectError(
                "get_client() without a URL: no server runs in this process", request=request
            )
        body, slot, user = await request.aread(), own_slot.get(), caller.get()
        if slot is not None and (refusal := _waits_for_itself(request, body, slot.thread_id)):
            raise Conflict(refusal)
        exchange = _Exchange(
            server, app, _scope(request, server.prefix, user), body, nobody=user is None, slot=slot
        )
        server.loop.call_soon_threadsafe(exchange.begin)
        try:
            status, headers = await exchange.head
        except BaseException:
            exchange.leave()
            raise
        return httpx.Response(status, headers=headers, stream=exchange, request=request)


def _scope(request: httpx.Request, prefix: str, user: Any) -> Scope:
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [*((name.lower(), value) for name, value in request.headers.raw), *outgoing.get()],
        "scheme": request.url.scheme,
        "path": prefix + request.url.path,
        "raw_path": prefix.encode() + request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port or 80),
        "client": ("127.0.0.1", 0),
        "root_path": "",
        FOUND_USER: user,
    }
    return scope if user is None else {**scope, "user": user}


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer, passed between the caller's loop and the server's loop."""

    def __init__(
        self, server: Server, app: ASGIApp, scope: Scope, body: bytes, *, nobody: bool, slot: Slot | None
    ) -> None:
        self._server = server
        self._app = app
        self._scope = scope
        self._body: bytes | None = body
        self._nobody = nobody
        self._slot = slot
        self._loop = asyncio.get_running_loop()
        self.head: asyncio.Future[tuple[int, Headers]] = self._loop.create_future()
        self._pieces: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        # Used on the server's loop; neither is bound to a loop before it waits.
        self._gone = asyncio.Event()
        self._room = asyncio.Semaphore(PIECES)
        self._status = 0
        self._headers: Headers = []

    def begin(self) -> None:
        """Starts the server's side, on its loop. It gets an empty context: in the caller's, a run that it
        starts would inherit the configuration and the trace of the node."""
        task = self._server.loop.create_task(self._serve(), context=Context())
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def leave(self) -> None:
        """Tells the server that the caller reads no further."""
        self._call_on(self._server.loop, self._disconnected)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces of the body."""
        try:
            while (piece := await self._pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                self._call_on(self._server.loop, self._room.release)
                yield piece
        finally:
            self.leave()

    async def aclose(self) -> None:
        """Ends the exchange."""
        self.leave()

    async def _serve(self) -> None:
        _here.set(self._server)
        for_nobody.set(self._nobody)
        try:
            with self._lent_slot():
                await self._app(self._scope, self._receive, self._send)
            self._put(None)
        # An exception that the application raises is raised in the caller, also after its answer has begun.
        except Exception as raised:  # noqa: BLE001
            self._put(httpx.RemoteProtocolError(f"{type(raised).__name__}: {raised}"))

    def _lent_slot(self) -> AbstractContextManager[None]:
        """Lends the slot of the calling run while it waits for another run. If it creates that run, the slot
        is for it; otherwise any run may take it."""
        path = self._scope["path"]
        if self._slot is None or not WAITING.search(path):
            return nullcontext()
        in_thread = self._loop is not self._server.loop
        return self._slot.lent(any_may=not MAKES_A_RUN.search(path), in_thread=in_thread)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone.is_set():
            return
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", ()))
            self._call_on(self._loop, self._started)
        elif body := message.get("body", b""):
            await self._room.acquire()
            self._put(body)

    def _started(self) -> None:
        if not self.head.done():
            self.head.set_result((self._status, self._headers))

    def _put(self, piece: bytes | BaseException | None) -> None:
        self._call_on(self._loop, self._received, piece)

    def _received(self, piece: bytes | BaseException | None) -> None:
        if not self.head.done():
            raised = piece if isinstance(piece, BaseException) else httpx.RemoteProtocolError("no answer")
            self.head.set_exception(raised)
        self._pieces.put_nowait(piece)

    def _disconnected(self) -> None:
        self._gone.set()
        for _ in range(PIECES):
            self._room.release()

    @staticmethod
    def _call_on(loop: asyncio.AbstractEventLoop, what: Callable[..., Any], *given: Any) -> None:
        """Calls `what` on `loop`, unless the loop is closed."""
        with suppress(RuntimeError):  # The loop is closed.
            loop.call_soon_threadsafe(what, *given)


def _waits_for_itself(request: httpx.Request, body: bytes, thread_id: str) -> str | None:
    """Why a run can't wait for the run that it requests: that one would come after it on its own thread. None
    if it can."""
    found = ON_A_THREAD.search(request.url.path)
    if request.method != "POST" or found is None or found["thread_id"] != thread_id:
        return None
    if any(strategy in body for strategy in (b'"interrupt"', b'"rollback"', b'"reject"')):
        return None
    return (
        f"thread {thread_id}: a run can't wait for another run of its own thread, which begins when it has "
        "ended; it must use another thread, or none, or runs.create"
    )
