"""A proxy before a Redis: what it answers comes late, or gets lost with its connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class RedisProxy:
    """Forwards what is asked at once, and what is answered after `seconds`. Of as many answers as `swallows`
    says nothing arrives, and the connection breaks. `asked` counts the scripts that were called."""

    to_host: str
    to_port: int
    port: int = 0
    seconds: float = 0.0
    swallows: int = 0
    asked: int = 0
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    silent: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def uri(self) -> str:
        """Its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def strand(self) -> None:
        """Nothing gets through the connections there are any more, without an error; new ones work."""
        self.silent |= self.tasks

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        back, there = await asyncio.open_connection(self.to_host, self.to_port)
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def asks() -> None:
            while data := await reader.read(65536):
                if task in self.silent:
                    continue
                self.asked += data.count(b"EVAL")
                there.write(data)

        async def answers() -> None:
            while data := await back.read(65536):
                if task in self.silent:
                    continue
                if self.swallows:
                    self.swallows -= 1
                    break
                late.put_nowait((time.monotonic() + self.seconds, data))
            await late.join()

        async def delivers() -> None:
            while True:
                due, data = await late.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                writer.write(data)
                late.task_done()

        ways = [asyncio.ensure_future(way()) for way in (asks, answers, delivers)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, there):
                end.transport.abort()


@asynccontextmanager
async def proxied(uri: str) -> AsyncIterator[RedisProxy]:
    """A proxy before the Redis of `uri`, on a free port of 127.0.0.1."""
    to = urlsplit(uri)
    proxy = RedisProxy(to.hostname or "127.0.0.1", to.port or 6379)
    async with await asyncio.start_server(proxy.forward, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            for task in proxy.tasks:
                task.cancel()
            await asyncio.gather(*proxy.tasks, return_exceptions=True)
