"""Calls the receiver of a webhook that a manifest names, within bounds.

A host is resolved once, each of its addresses is checked (`receivers.py`), and the call goes to a checked
address, whatever the name resolves to a moment later. No proxy, no redirect, no cookie. Only the first line
of an answer is read, and only its status is reported: nobody may use us to read what a receiver answers. That
is why this is no HTTP client that reads whole answers. Names are resolved in threads of their own: one that
hangs holds up nothing else.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final

from yarl import URL

from lgs_operator.receivers import Receivers

ANSWER_SECONDS: Final = 10.0
MOST_CALLS: Final = 32
MOST_ADDRESSES: Final = 4
LONGEST_REASON: Final = 300
LONGEST_LINE: Final = 8192
MOST_INTERIM: Final = 8
"""How many interim answers (100 to 199) may come before the final one."""
MOST_HEADERS: Final = 100
"""How many headers an interim answer may have."""
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Forbidden(Exception):
    """A rule forbids this call; the message is the rule. `final`: later calls are forbidden, too. Otherwise
    the name may resolve to another address later, if its server was wrong for a moment."""

    def __init__(self, rule: str, *, final: bool) -> None:
        super().__init__(rule)
        self.final = final


class NotTaken(Exception):
    """The receiver was not reached, or did not take the call; the message says why."""


class WebhookCaller:
    """Makes the calls. `seconds` is the time within which an answer must come."""

    def __init__(
        self, threads: ThreadPoolExecutor, receivers: Receivers, seconds: float = ANSWER_SECONDS
    ) -> None:
        self._threads = threads
        self._receivers = receivers
        self._seconds = seconds
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def call(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """POSTs the body; returns when the receiver took it. Raises `Forbidden` or `NotTaken`."""
        try:
            target = URL(url)
            async with asyncio.timeout(None) as bound:
                addresses = await self._addresses(target)
                # the time starts here: a thread that resolves can't be ended, and keeps its place as long as
                # it takes
                bound.reschedule(asyncio.get_running_loop().time() + self._seconds)
                status = await self._post(target, addresses, _request(target, headers, body))
        except TimeoutError as late:
            raise NotTaken(f"no answer within {self._seconds:g} s") from late
        except (OSError, EOFError, ValueError) as failed:
            raise NotTaken(_reason(failed)[:LONGEST_REASON]) from failed
        if not 200 <= status < 300:
            more = ": redirects are not followed" if 300 <= status < 400 else ""
            raise NotTaken(f"it answered {status}{more}")

    async def _post(self, target: URL, addresses: Sequence[str], request: bytes) -> int:
        """The status answered by the first address that can be reached."""
        reader, writer = await self._connected(target, addresses)
        try:
            writer.write(request)
            await writer.drain()
            return await _status(reader)
        finally:
            # the rest of the answer is of no interest, nor is a clean end of the connection
            writer.transport.abort()

    async def _connected(self, target: URL, addresses: Sequence[str]) -> Streams:
        """A connection to the first address that can be reached; each address gets its share of the time."""
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            try:
                async with asyncio.timeout(self._seconds / len(addresses) if left else None):
                    return await asyncio.open_connection(
                        address,
                        target.port,
                        limit=LONGEST_LINE,
                        ssl=self._tls if target.scheme == "https" else None,
                        server_hostname=target.host if target.scheme == "https" else None,
                    )
            except OSError as unreached:
                # an address that is reached but shows a wrong certificate is no reason to try another
                if not left or isinstance(unreached, ssl.SSLError):
                    raise
        raise NotTaken("it has no address")

    async def _addresses(self, target: URL) -> list[str]:
        """The checked addresses of the host. Raises `Forbidden`, `OSError`, `ValueError`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolved, target.host or "", target.port or 0)
        for each in found:
            if rule := self._receivers.refusal(ip_address(each.partition("%")[0]), target.scheme):
                # a tenant must not find out here which address it is
                raise Forbidden(rule, final=_is_address(target.host or ""))
        return found[:MOST_ADDRESSES]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _resolved(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _request(target: URL, headers: Mapping[str, str], body: bytes) -> bytes:
    own = {"Host": target.authority, "Content-Length": str(len(body)), "Connection": "close"}
    lines = (f"{name}: {value}" for name, value in {**headers, **own}.items())
    head = "\r\n".join((f"POST {target.raw_path_qs} HTTP/1.1", *lines, "", ""))
    return head.encode("ascii") + body


async def _status(reader: asyncio.StreamReader) -> int:
    """The final status, after any interim ones. Raises `NotTaken`, or `ValueError` for a line that is too
    long."""
    for _ in range(MOST_INTERIM):
        found = _STATUS.fullmatch(await reader.readline())
        if found is None:
            raise NotTaken("it does not answer as HTTP")
        status = int(found[1])
        if not 100 <= status < 200:
            return status
        for _ in range(MOST_HEADERS):
            if not (await reader.readline()).strip():
                break
    raise NotTaken("it answers for ever that it will answer")


def _reason(failed: Exception) -> str:
    """Why the call failed, without what the other side said or its address."""
    if isinstance(failed, socket.gaierror | ssl.SSLError):
        return f"{type(failed).__name__}: {failed}"
    if isinstance(failed, OSError):
        return f"not reached: {os.strerror(failed.errno) if failed.errno else type(failed).__name__}"
    return f"{type(failed).__name__}: {failed}"


@asynccontextmanager
async def webhook_caller(
    receivers: Receivers, seconds: float = ANSWER_SECONDS
) -> AsyncIterator[WebhookCaller]:
    """A caller that works while the context is open."""
    threads = ThreadPoolExecutor(MOST_CALLS, "webhooks")
    try:
        yield WebhookCaller(threads, receivers, seconds)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
