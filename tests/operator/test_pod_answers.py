"""What a pod answers is read within bounds: it runs the code of its graph's author."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from unittest.mock import ANY

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_operator.kube.pods import url_of
from lgs_operator.pod_answers import LONGEST_REASON, NoAnswer, read_json, read_text
from lgs_operator.scaling.samples import NoSample, ReplicaSample
from lgs_operator.scaling.scrape import METRICS_PATH, USAGE_PATH, Usage, ask
from support.drawn_manifests import examples
from support.ports import PATIENCE_SECONDS


def of_status(ip: Any, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "support-0"}, "spec": spec, "status": {"podIP": ip}}


@pytest.mark.parametrize(
    ("ip", "url"),
    [
        ("10.244.1.7", "http://10.244.1.7:8000/ready"),
        ("192.0.2.7", "http://192.0.2.7:8000/ready"),
        ("fd00:10:244::7", "http://[fd00:10:244::7]:8000/ready"),
        ("2001:db8::7", "http://[2001:db8::7]:8000/ready"),
    ],
)
def test_a_pod_is_asked_at_its_own_address(ip: str, url: str) -> None:
    assert url_of(of_status(ip), "/ready") == url


@pytest.mark.parametrize(
    "ip",
    [
        "",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "10.1",
        "010.0.0.1",
        "example.com",
        "10.0.0.1@example.com",
    ],
)
def test_what_can_be_no_pods_address_is_not_asked_whoever_wrote_it_there(ip: str) -> None:
    """Who may write pods' status names it, and the operator may reach what they may not."""
    assert url_of(of_status(ip), "/ready") is None


def test_a_pod_with_the_nodes_address_is_none_of_ours() -> None:
    assert url_of(of_status("10.0.0.1", hostNetwork=True), "/ready") is None
    assert url_of(of_status("10.0.0.1", hostNetwork=False), "/ready") is not None


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


async def read(url: str, seconds: float = PATIENCE_SECONDS) -> object:
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


@pytest.mark.parametrize(
    ("begins", "for_ever"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 500),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 4096),
        (b"HTTP/1.1 200 ", b"y" * 4096),
        (head("200 OK", "Transfer-Encoding: chunked"), b"1\r\n \r\n" * 500),
        (head("200 OK", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 500),
    ],
)
async def test_whatever_part_of_an_answer_has_no_end_it_is_given_up_when_it_is_too_long(
    begins: bytes, for_ever: bytes
) -> None:
    async with pod(begins, for_ever=for_ever) as url:
        with pytest.raises(NoAnswer) as given_up:
            await read(url)

    assert "within" not in str(given_up.value)
    assert len(str(given_up.value)) <= LONGEST_REASON


PIECES = st.sampled_from(
    [
        *(head(), head("503 X"), head("204 X"), head("101 X", "Upgrade: h2c"), head("999 X"), head("100 X")),
        *(head("200 OK", f"Content-Length: {size}") for size in ("2", "3", "-1", "9" * 30, "1_0", "")),
        head("200 OK", "Content-Length: 2", "Content-Length: 3"),
        head("200 OK", "Transfer-Encoding: chunked"),
        head("200 OK", "Transfer-Encoding: gzip, chunked"),
        head("200 OK", "Content-Type: text/html; charset=nothing"),
        head("200 OK", "Set-Cookie: a=b", "Location: /", "X: \x00"),
        *(b"2\r\n{}\r\n0\r\n\r\n", b"-5\r\n", b"fffffffffffffffff\r\n", b"0;x=y\r\n\r\n", b"\r\n", b"\n\n"),
        *(
            b"{}",
            b'{"checks": {"a": "\\ud83d"}}',
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"\x16\x03\x01",
            b"PRI * HTTP/2.0\r\n",
        ),
    ]
)


@examples(60)
@given(st.lists(PIECES | st.binary(max_size=20), max_size=4))
def test_whatever_bytes_come_they_are_json_or_no_answer(pieces: list[bytes]) -> None:
    async def asked() -> None:
        async with pod(*pieces) as url:
            with suppress(NoAnswer):
                json.dumps(await read(url))

    asyncio.run(asked())


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async with pod(head(), ends=False) as url:
        with pytest.raises(NoAnswer, match="within"):
            await read(url, seconds=0.2)


async def test_a_page_of_metrics_that_is_none_is_no_sample() -> None:
    async with pod(head(), b"lgs_slots{" * 1000) as url, aiohttp.ClientSession() as session:
        answer = await ask(session, lambda path: url, PATIENCE_SECONDS, "a", "no")
        assert answer == NoSample("a", ANY), "and why"
        assert len(await read_text(session, url, seconds=PATIENCE_SECONDS, most_bytes=65536)) == 10000


async def asked_of(usage: Usage, with_usage: bytes | None) -> tuple[list[str], bool]:
    """The paths at which a replica is asked whose page with cache and tokens is this one, or does not come;
    and whether it gave a sample."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        asked.append(line.split()[1].decode())
        page = with_usage if asked[-1] == USAGE_PATH else b"lgs_slots 8.0\n"
        if page is not None:
            writer.write(head() + page)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with aiohttp.ClientSession() as session:
        hangs = with_usage is None and usage != "no"
        seconds = 2.0 if hangs else PATIENCE_SECONDS
        sample = await ask(session, lambda path: url + path, seconds, "a", usage)
    server.close()
    return asked, isinstance(sample, ReplicaSample)


@pytest.mark.parametrize(
    ("usage", "page", "asked", "known"),
    [
        ("no", None, [METRICS_PATH], True),
        ("wanted", b"lgs_slots 8.0\n", [USAGE_PATH], True),
        ("wanted", b"lgs_slots 8.0\n" + b"x" * 300_000, [USAGE_PATH, METRICS_PATH], True),
        ("wanted", b"x 1\n", [USAGE_PATH, METRICS_PATH], True),
        ("wanted", None, [USAGE_PATH], False),
        ("needed", b"x 1\n", [USAGE_PATH], False),
    ],
    ids=["no", "given", "too long", "unreadable", "hangs", "needed"],
)
async def test_a_replica_is_asked_again_where_less_of_its_page_could_be_taken(
    usage: Usage, page: bytes | None, asked: list[str], known: bool
) -> None:
    """One that hangs would hold up twice what all replicas of its namespace wait for."""
    assert await asked_of(usage, page) == (asked, known)
