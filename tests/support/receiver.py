"""A receiver of webhooks: a small HTTP server of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from support.ports import PATIENCE_SECONDS


@dataclass
class Receiver:
    """It answers with the next of `answers`, then with 200, and keeps what it is sent."""

    answers: list[int] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    """The request line and headers of each call, in lower case."""
    calls: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _called: asyncio.Event = field(default_factory=asyncio.Event)

    async def first(self) -> dict[str, Any]:
        """The first call, when it has come."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._called.wait()
        return self.calls[0]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes one call."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode().lower())
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self.calls.append(orjson.loads(await reader.readexactly(length)))
        status = self.answers.pop(0) if self.answers else 200
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()
        self._called.set()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens while the context is open."""
    receiver = Receiver()
    async with await asyncio.start_server(receiver.answer, "127.0.0.1", 0) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/told"
        yield receiver
