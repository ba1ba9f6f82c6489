"""Streams of events: kept alive while they are silent, and closed when nobody listens any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from lgs_runtime.api.http import sse
from support.ports import PATIENCE_SECONDS


class Client:
    """The other end of one answer: what it was sent, and how it leaves."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.news = asyncio.Event()
        self.leaves = asyncio.Event()

    async def receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        self.news.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def has(self, text: bytes, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.body.count(text) < times:
                self.news.clear()
                await self.news.wait()


class Source:
    """Yields what is put into it, and says whether it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            while (piece := await self.queue.get()) is not None:
                yield piece
        finally:
            self.closed = True


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.02)


@pytest.mark.usefixtures("short_silence")
async def test_a_silent_stream_says_that_it_lives_and_goes_on_with_what_comes() -> None:
    client, source = Client(), Source()
    answering = asyncio.create_task(
        sse.event_stream(source.pieces(), {})({"type": "http"}, client.receive, client.send)
    )

    await client.has(sse.COMMENT, times=2)
    source.queue.put_nowait(b"data: 1\n\n")
    await client.has(b"data: 1\n\n")
    await client.has(sse.COMMENT, times=3)
    source.queue.put_nowait(None)
    await answering

    assert client.messages[0]["status"] == 200
    assert client.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert source.closed


async def test_a_client_that_leaves_closes_the_source_and_that_is_told() -> None:
    client, source, told = Client(), Source(), asyncio.Event()

    async def gone() -> None:
        assert source.closed
        told.set()

    answer = sse.event_stream(source.pieces(), {}, gone)
    answering = asyncio.create_task(answer({"type": "http"}, client.receive, client.send))
    source.queue.put_nowait(b"data: 1\n\n")
    await client.has(b"data: 1\n\n")

    client.leaves.set()
    await answering

    assert told.is_set()


async def test_a_server_that_stops_closes_the_source_and_is_no_client_that_has_gone() -> None:
    client, source, told = Client(), Source(), asyncio.Event()

    async def gone() -> None:
        told.set()

    answer = sse.event_stream(source.pieces(), {}, gone)
    answering = asyncio.create_task(answer({"type": "http"}, client.receive, client.send))
    source.queue.put_nowait(b"data: 1\n\n")
    await client.has(b"data: 1\n\n")

    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering

    assert source.closed
    assert not told.is_set()


async def test_a_source_that_breaks_breaks_the_answer() -> None:
    client = Client()

    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await sse.event_stream(broken(), {})({"type": "http"}, client.receive, client.send)
    assert client.messages[-1]["more_body"]
