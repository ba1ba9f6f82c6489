"""A server of the page in a thread of its own, for tests that drive a browser and wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from threading import Event, Thread

from aiohttp import web

from lgs_operator.dashboard.server import serve_loopback
from support.ports import PATIENCE_SECONDS


@contextmanager
def in_thread(app: web.Application) -> Iterator[str]:
    """Gives its address."""
    begun, loop = Event(), asyncio.new_event_loop()
    ports: list[int] = []
    stop = asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            ports.append(await serve_loopback(stack, app, 0))
            begun.set()
            await stop.wait()

    thread = Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    try:
        yield f"http://127.0.0.1:{ports[0]}/"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_SECONDS)
        loop.close()
