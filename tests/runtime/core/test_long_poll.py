"""Answers that may take long: what is sent, and when, as the server in between sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from starlette.types import Message

from lgs_runtime.api.http import long_poll
from lgs_runtime.api.http.long_poll import LongPollResponse
from support.ports import PATIENCE_SECONDS


@dataclass
class Client:
    """The other end of a connection."""

    gone: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.heard.put_nowait(message)

    async def hears(self) -> Message:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_SECONDS)


@dataclass
class Value:
    """The value that is waited for; it exists once it is put there."""

    found: asyncio.Future[bytes] = field(default_factory=asyncio.Future)

    async def find(self) -> bytes:
        return await self.found


@asynccontextmanager
async def answering(answer: LongPollResponse, client: Client) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(answer({"type": "http"}, client.receive, client.send))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that begins, and beats, at once."""
    monkeypatch.setattr(long_poll, "WHOLE_WITHIN_SECONDS", 0)
    monkeypatch.setattr(long_poll, "HEARTBEAT_SECONDS", 0)


async def test_a_value_that_is_soon_there_is_answered_whole() -> None:
    client, value = Client(), Value()

    async with answering(LongPollResponse(value.find, {"Location": "/here"}), client) as task:
        value.found.set_result(b'{"a":1}')
        await task

    start, body = client.heard.get_nowait(), client.heard.get_nowait()
    assert start["status"] == 200
    assert dict(start["headers"]) == {
        b"location": b"/here",
        b"content-type": b"application/json",
        b"content-length": b"7",
    }
    assert body == {"type": "http.response.body", "body": b'{"a":1}'}
    assert client.heard.empty()


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_waits_longer_hears_where_its_value_is_and_then_white_space() -> None:
    client, value = Client(), Value()

    async with answering(LongPollResponse(value.find, {"Location": "/here"}), client) as task:
        start, beat = await client.hears(), await client.hears()
        value.found.set_result(b'{"a":1}')
        await task

    assert dict(start["headers"]) == {b"location": b"/here", b"content-type": b"application/json"}
    assert beat == {"type": "http.response.body", "body": b"\n", "more_body": True}
    rest = [client.heard.get_nowait() for _ in range(client.heard.qsize())]
    assert [one.get("more_body", False) for one in rest] == [True] * (len(rest) - 1) + [False]
    assert b"".join(one["body"] for one in rest).strip() == b'{"a":1}'


@pytest.mark.parametrize("begun", [False, True])
async def test_a_client_that_goes_ends_the_search(begun: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "WHOLE_WITHIN_SECONDS", 0 if begun else 3600)
    monkeypatch.setattr(long_poll, "HEARTBEAT_SECONDS", 3600)
    client, value, told = Client(), Value(), asyncio.Event()

    async def left() -> None:
        told.set()

    async with answering(LongPollResponse(value.find, {}, left), client) as task:
        if begun:
            await client.hears()
        client.gone.set()
        await task

    assert value.found.cancelled()
    assert told.is_set()
    assert client.heard.empty()


async def test_a_server_that_stops_is_not_a_client_that_has_gone() -> None:
    client, value, told = Client(), Value(), asyncio.Event()

    async def left() -> None:
        told.set()

    async with answering(LongPollResponse(value.find, {}, left), client) as task:
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    assert task.cancelled()
    assert value.found.cancelled()
    assert not told.is_set()


async def test_what_goes_wrong_in_time_is_answered_by_the_application() -> None:
    client, value = Client(), Value()

    async with answering(LongPollResponse(value.find, {}), client) as task:
        value.found.set_exception(ConnectionError("the database is away"))
        with pytest.raises(ConnectionError):
            await task

    assert client.heard.empty()


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_goes_while_it_waits_long_ends_the_search() -> None:
    client, value = Client(), Value()

    async with answering(LongPollResponse(value.find, {}), client) as task:
        await client.hears()
        client.gone.set()
        await task

    assert value.found.cancelled()
