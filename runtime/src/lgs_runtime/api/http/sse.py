"""Server-sent events: what is sent while a client listens.

A stream sends a comment when it has been silent for `HEARTBEAT_SECONDS`: proxies that cut silent connections
see life, and clients ignore it. When the client goes away the source is closed at once, wherever it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from lgs_runtime.streams.contract import StreamEvent

HEARTBEAT_SECONDS = 3.0
"""Below the five seconds after which common HTTP clients give a silent connection up."""
COMMENT = b": heartbeat\n\n"


def encode_event(event: StreamEvent) -> bytes:
    """One event in the wire form. Its JSON has no raw line feeds, so one `data` line holds it. An event
    made here, which no client can resume after, has no id."""
    head = b"event: %b\ndata: %b\n" % (event.event.encode(), event.data)
    return head + (b"id: %b\n\n" % event.id.encode() if event.id else b"\n")


async def with_heartbeat(source: AsyncGenerator[bytes, None], beat: bytes) -> AsyncGenerator[bytes, None]:
    """What `source` yields, and `beat` whenever it has been silent for `HEARTBEAT_SECONDS`. Closes
    `source`."""
    following = asyncio.ensure_future(anext(source, None))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=HEARTBEAT_SECONDS)
            if not done:
                yield beat
                continue
            chunk = following.result()
            if chunk is None:
                return
            yield chunk
            following = asyncio.ensure_future(anext(source, None))
    finally:
        following.cancel()
        await asyncio.wait({following})
        await source.aclose()


class LiveResponse(StreamingResponse):
    """Streams `source` until it ends or the client has gone; then closes it, and in the second case calls
    `on_gone`.

    A server that stops is not a client that has gone: `on_gone` is not called then.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        media_type: str,
        headers: Mapping[str, str],
        on_gone: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(source, media_type=media_type, headers=headers)
        self._source = source
        self._on_gone = on_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer."""
        sending = asyncio.ensure_future(self.stream_response(send))
        gone = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            left = not sending.done()
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.wait({sending, gone})
            await self._source.aclose()
        if not sending.cancelled():
            sending.result()
        if left and self._on_gone is not None:
            await self._on_gone()


def event_stream(
    source: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    on_gone: Callable[[], Awaitable[None]] | None = None,
) -> LiveResponse:
    """Answers with server-sent events."""
    unbuffered = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    beating = with_heartbeat(source, COMMENT)
    return LiveResponse(beating, "text/event-stream", {**unbuffered, **headers}, on_gone)
