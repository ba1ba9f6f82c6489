"""A Redis whose answers get lost with the connection that they were to come by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Proxy:
    """Forwards to Redis; of as many of its answers as `swallows` says nothing arrives, and the connection
    breaks."""

    to_port: int
    port: int = 0
    swallows: int = 0
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        back, there = await asyncio.open_connection("127.0.0.1", self.to_port)

        async def asks() -> None:
            while data := await reader.read(65536):
                there.write(data)

        async def answers() -> None:
            while data := await back.read(65536):
                if self.swallows:
                    self.swallows -= 1
                    return
                writer.write(data)

        ways = [asyncio.ensure_future(way()) for way in (asks, answers)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, there):
                end.transport.abort()


@asynccontextmanager
async def answers_lost(to_port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(to_port)
    async with await asyncio.start_server(proxy.forward, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            for task in proxy.tasks:
                task.cancel()
            await asyncio.gather(*proxy.tasks, return_exceptions=True)
