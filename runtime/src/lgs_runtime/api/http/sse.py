"""Server-sent events: how a stream is sent while a client listens.

A stream that has been silent for `HEARTBEAT_SECONDS` sends a comment, so that proxies do not cut the
connection as idle; clients ignore it. When the client disconnects, the source is closed at once, wherever it
stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial

from starlette.types import Receive, Scope, Send

from lgs_runtime.api.http.long_lived import LongLivedResponse, client_gone, piece_of_body
from lgs_runtime.streams.events import StreamEvent

HEARTBEAT_SECONDS = 3.0
"""Below five seconds, after which common HTTP clients give up a silent connection."""
COMMENT = b": heartbeat\n\n"


def encode_event(event: StreamEvent) -> bytes:
    """An event in its wire form. Its JSON has no raw line feeds, so one `data` line holds it. An event
    without an id, after which no client can resume, has no `id` line."""
    head = b"event: %b\ndata: %b\n" % (event.event.encode(), event.data)
    return head + (b"id: %b\n\n" % event.id.encode() if event.id else b"\n")


class _HeartbeatSender:
    """Sends the pieces of an answer, and a comment whenever there was no piece for `HEARTBEAT_SECONDS`. One
    timer serves the whole answer and is not moved for each piece; a task exists only when there is a
    heartbeat to send."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._sending = False
        self._sent_at = self._loop.time()
        self._heartbeat: asyncio.Task[None] | None = None
        self._timer = self._loop.call_at(self._sent_at + HEARTBEAT_SECONDS, self._check)

    async def send(self, piece: bytes) -> None:
        """Sends one piece; waits as long as the client does not read."""
        self._sending = True
        await self._send(piece_of_body(piece))
        self._sending = False
        self._sent_at = self._loop.time()

    async def stop(self) -> None:
        """Ends the heartbeats."""
        self._timer.cancel()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.wait({self._heartbeat})

    def _check(self) -> None:
        now = self._loop.time()
        if not self._sending and now >= self._sent_at + HEARTBEAT_SECONDS:
            self._heartbeat = asyncio.create_task(self.send(COMMENT))
        due = self._sent_at + HEARTBEAT_SECONDS
        self._timer = self._loop.call_at(due if due > now else now + HEARTBEAT_SECONDS, self._check)


class LiveResponse(LongLivedResponse):
    """Streams `source` until it ends or the client has disconnected; then closes it, and in the second case
    calls `on_gone`.

    When the server stops, `on_gone` is not called.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        on_gone: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(headers, on_gone)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams the answer."""
        whole = False
        try:
            async with asyncio.timeout(None) as here:
                gone = asyncio.create_task(client_gone(receive))
                gone.add_done_callback(partial(_leave, here))
                try:
                    await self._send_all(send)
                    whole = True
                finally:
                    gone.cancel()
                    await asyncio.wait({gone})
        except TimeoutError:
            if not here.expired():
                raise
        finally:
            await self._source.aclose()
        if not whole and self._on_gone is not None:
            await self._on_gone()

    async def _send_all(self, send: Send) -> None:
        await send(self.start())
        sender = _HeartbeatSender(send)
        try:
            async for piece in self._source:
                await sender.send(piece)
        finally:
            await sender.stop()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _leave(here: asyncio.Timeout, gone: asyncio.Task[None]) -> None:
    """Ends the stream by its timeout, because the client has disconnected."""
    if not gone.cancelled():
        here.reschedule(asyncio.get_running_loop().time())


def event_stream(
    source: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    on_gone: Callable[[], Awaitable[None]] | None = None,
) -> LiveResponse:
    """A response that streams `source` as server-sent events."""
    unbuffered = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return LiveResponse(source, {**unbuffered, **headers}, on_gone)
