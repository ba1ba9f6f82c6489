"""A TCP proxy on 127.0.0.1, for a network that fails: connections that are cut, refused, or hang for ever.

Lives in a thread with an event loop of its own; every method may be called from any other thread.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from support.ports import PATIENCE_SECONDS, free_port


class Proxy:
    """Forwards what comes on `port` to another port, until `close`."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self._to_port = to_port
        self._refusing = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._flows.set()
        self._server = self._call(asyncio.start_server(self._forward, "127.0.0.1", self.port))

    def cut(self) -> None:
        """Every connection breaks now; new ones are taken."""
        self._call(self._cut())

    def refuse(self) -> None:
        """Every connection breaks now, and new ones do at once, until `mend`."""
        self._refusing = True
        self.cut()

    def freeze(self) -> None:
        """Nothing gets through any more, without an error, until `mend`."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def strand(self) -> None:
        """Nothing gets through the connections there are, ever, without an error; new ones work. So it is
        after a fail-over that says no good-bye."""
        self._call(self._strand())

    def mend(self) -> None:
        """All is well again for new connections. Those that were frozen break: what they held never
        arrives."""
        self._refusing = False
        if not self._flows.is_set():
            self.cut()
        self._loop.call_soon_threadsafe(self._flows.set)

    def close(self) -> None:
        """Ends the thread."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _cut(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _strand(self) -> None:
        self._flows.clear()
        self._flows = asyncio.Event()
        self._flows.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        flows = self._flows
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._to_port)
            ways = [
                asyncio.ensure_future(self._copy(reader, there, flows)),
                asyncio.ensure_future(self._copy(back, writer, flows)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            if there is not None:
                there.transport.abort()
            self._tasks.discard(task)

    async def _copy(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, flows: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await flows.wait()
                to.write(data)
                await to.drain()
