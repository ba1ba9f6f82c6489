"""How much of the page one who asks may take: connections, open requests, and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import cast

import pytest
from aiohttp import web

from lgs_operator.dashboard.places import Door, Places, _Connection
from support.ports import PATIENCE_SECONDS
from support.waiting import until


def test_a_holder_has_no_more_than_its_share_and_gives_it_back() -> None:
    places = Places(most=3, share=2)

    taken = [places.take(each) for each in ("anna", "anna", "anna", "ben", "carla")]
    places.give_back("anna")

    assert taken == [True, True, False, True, False]
    assert [places.take(each) for each in ("carla", "ben")] == [True, False]


class Served:
    """A server with eight places, whose answers can be held."""

    def __init__(self) -> None:
        self.door = Door(8)
        self.go_on = asyncio.Event()
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/held":
            await self.go_on.wait()
        await request.read()
        return web.Response(text="it is")

    async def connect(self, address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    it = Served()
    app = web.Application(middlewares=[it.door.middleware()])
    app.router.add_route("*", "/{path:.*}", it.answer)
    async with AsyncExitStack() as stack:
        it.port = await it.door.serve(stack, app, "127.0.0.1", 0)
        yield it
        it.go_on.set()


async def asks(
    served: Served, path: str = "/", of: str = "", address: str = "127.0.0.1"
) -> asyncio.Task[bytes]:
    """A request that has been sent, and its answer."""
    reader, writer = await served.connect(address)
    seen = f"X-Forwarded-For: {of}\r\n" if of else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n{seen}Connection: close\r\n\r\n".encode())

    async def answer() -> bytes:
        found = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
        writer.close()
        return found

    return asyncio.create_task(answer())


async def test_one_address_takes_half_of_the_connections_and_others_still_get_in(served: Served) -> None:
    silent = [await served.connect() for _ in range(4)]
    await until(lambda: served.door.connections._taken["127.0.0.1"] == 4)

    refused = await (await asks(served))
    other = await (await asks(served, address="127.0.0.2"))

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After" in refused
    assert other.endswith(b"it is")
    silent[0][1].close()
    await until(lambda: served.door.connections._taken["127.0.0.1"] == 3)
    assert (await (await asks(served))).endswith(b"it is")


async def test_one_client_of_a_proxy_takes_a_quarter_and_others_still_get_answers(served: Served) -> None:
    """Who forges the header only adds before what the proxy says."""
    held = [await asks(served, "/held", f"10.0.0.{each}, 192.0.2.1") for each in range(2)]
    await until(lambda: served.door.requests._taken["127.0.0.1 192.0.2.1"] == 2)

    refused = await (await asks(served, "/", "10.9.9.9, 192.0.2.1"))
    other = await (await asks(served, "/", "192.0.2.2"))
    of_another_proxy = await (await asks(served, "/", "192.0.2.1", address="127.0.0.2"))

    assert refused.startswith(b"HTTP/1.1 429 ")
    assert other.endswith(b"it is")
    assert of_another_proxy.endswith(b"it is"), "nobody takes the places of another's clients"
    served.go_on.set()
    assert [(await each)[-5:] for each in held] == [b"it is"] * 2
    assert served.door.requests._taken.total() == 0


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-"])
async def test_who_asks_nothing_is_disconnected(
    served: Served, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_operator.dashboard.places.ASKING_SECONDS", 0.05)
    reader, writer = await served.connect()
    writer.write(sent)

    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
    writer.close()
    await until(lambda: served.door.connections._taken.total() == 0)


async def test_who_waits_for_an_answer_is_not_disconnected(served: Served) -> None:
    """However late that is, once a request has come."""
    held = await asks(served, "/held")
    await until(lambda: len(served.door.asking) == 1)
    (wire,) = served.door.asking

    _Connection(served.door, asyncio.Protocol)._has_asked(cast("asyncio.Transport", wire))
    served.go_on.set()

    assert (await held).endswith(b"it is")
