"""What a pod answers is read within bounds: it runs the code of whoever wrote its graph."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from lgs_operator.answers import NoAnswer, read_json, read_text
from lgs_operator.scaling.scrape import scrape


def head(status: str = "200 OK", *more: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *more, "Connection: close", "", ""]).encode()


@asynccontextmanager
async def pod(*pieces: bytes, ends: bool = True, for_ever: bytes = b"") -> AsyncIterator[str]:
    """The address of a server that answers with these bytes, and perhaps never ends."""
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(pieces)
        try:
            while for_ever:
                writer.write(for_ever)
                await writer.drain()
        except ConnectionError:
            return
        if ends:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ready"
    finally:
        server.close()
        for writer in writers:
            writer.close()


async def read(url: str, seconds: float = 20.0) -> object:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        return await read_json(session, url, seconds=seconds, most_bytes=65536, statuses=(200, 503))


async def test_an_answer_is_read_with_the_status_that_it_may_have() -> None:
    async with pod(head("503 Service Unavailable"), b'{"ready": false}') as url:
        assert await read(url) == {"ready": False}


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ((head(), b"[" * 60000), "no JSON"),
        ((head(), b"\xff\xfe"), "utf-8"),
        ((head("302 Found", "Location: http://127.0.0.1:1/secret"),), "HTTP 302"),
        ((head("200 OK", "Content-Encoding: gzip"), gzip.compress(b"0" * 10_000_000)), "packed"),
        ((b"SSH-2.0-OpenSSH\r\n",), "."),
        ((), "."),
    ],
)
async def test_what_can_not_be_taken_is_no_answer(pieces: tuple[bytes, ...], said: str) -> None:
    async with pod(*pieces) as url:
        with pytest.raises(NoAnswer, match=said):
            await read(url)


async def test_an_answer_without_an_end_is_given_up_when_it_is_too_long() -> None:
    async with pod(head(), for_ever=b" " * 4096) as url:
        with pytest.raises(NoAnswer, match="longer than 65536"):
            await read(url)


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async with pod(head(), ends=False) as url:
        with pytest.raises(NoAnswer, match="within"):
            await read(url, seconds=0.2)


async def test_a_page_of_metrics_that_is_none_is_no_sample() -> None:
    async with pod(head(), b"lgs_slots{" * 1000) as url, aiohttp.ClientSession() as session:
        assert await scrape(session, url, 20.0) is None
        assert len(await read_text(session, url, seconds=20.0, most_bytes=65536)) == 10000
