"""HTTP/1.1 over a kept connection, at next to no cost in processor time.

A load generator that shares the machine with the server must not be what is measured. So a request is bytes
made beforehand, and of an answer only what is needed is read: status, headers when asked, and the body, whole
or piece by piece. Only what servers of this project send is understood: `content-length` or `chunked`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

HEAD_END: Final = b"\r\n\r\n"
JSON: Final = "content-type: application/json\r\n"


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of a request. `headers`: further ones, each with its `\\r\\n`."""
    about = f"{JSON}content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nhost: bench\r\n{about}{headers}\r\n".encode() + body


class Reply:
    """An answer that comes in pieces. `done` when it is whole; `status` 0 until its head is there."""

    __slots__ = ("_buffer", "_chunked", "_left", "_on_data", "body", "done", "head", "status")

    def __init__(self, on_data: Callable[[bytes], None] | None = None) -> None:
        """`on_data` gets each piece of the body as it comes, and `body` then stays empty."""
        self.status = 0
        self.head = b""
        self.body = b""
        self.done = False
        self._buffer = b""
        self._chunked = False
        self._left = 0
        self._on_data = on_data

    def header(self, name: str) -> str | None:
        """A header by its name in lower case."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.encode():
                return value.strip().decode()
        return None

    def feed(self, data: bytes) -> None:
        """Takes what the connection received."""
        self._buffer += data
        if not self.status and not self._begin():
            return
        if self._chunked:
            self._chunks()
        elif len(self._buffer) >= self._left:
            self._take(self._buffer)
            self.done = True

    def _begin(self) -> bool:
        head, found, rest = self._buffer.partition(HEAD_END)
        if not found:
            return False
        self.head, self._buffer = head, rest
        self.status = int(head[9:12])
        self._chunked = self.header("transfer-encoding") == "chunked"
        self._left = int(self.header("content-length") or 0)
        return True

    def _chunks(self) -> None:
        """Whole chunks only; what is left of the buffer begins with the size of a chunk."""
        while True:
            size, found, rest = self._buffer.partition(b"\r\n")
            length = int(size, 16) if found else 0
            if not found or len(rest) < length + 2:
                return
            self._buffer = rest[length + 2 :]
            if length == 0:
                self.done = True
                return
            self._take(rest[:length])

    def _take(self, piece: bytes) -> None:
        if self._on_data is None:
            self.body += piece
        else:
            self._on_data(piece)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._reply: Reply | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Raises `OSError`."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    async def ask(self, sent: bytes, on_data: Callable[[bytes], None] | None = None) -> Reply:
        """The answer to a request. Raises `ConnectionError` when the server closes before it is whole."""
        if self._transport is None or self.closed:
            raise ConnectionResetError("closed before the request")
        self._reply = Reply(on_data)
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(sent)
        return await self._waiter

    @property
    def closed(self) -> bool:
        """Whether it can't be used any more."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Closes it; an answer that is still to come is lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        reply, waiter = self._reply, self._waiter
        if reply is None or waiter is None:
            return
        reply.feed(data)
        if reply.done and not waiter.done():
            self._reply = self._waiter = None
            waiter.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError(f"closed by the server: {exc}"))
