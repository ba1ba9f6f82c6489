"""Calls the receiver of a webhook that a manifest names, within bounds.

A host is resolved once, each of its addresses is checked (`receivers.py`), and the call goes to an address
that was checked, whatever the name resolves to a moment later. No proxy, no redirect, no cookie; of an answer
only the status is read. Names are resolved by threads of their own: one that hangs holds up nobody else's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final

import aiohttp
from yarl import URL

from lgs_operator.receivers import Receivers

ANSWER_SECONDS: Final = 10.0
MOST_CALLS: Final = 32
MOST_ADDRESSES: Final = 4
LONGEST_REASON: Final = 300


class Forbidden(Exception):
    """A rule forbids this call, now and later. The message is the rule."""


class NotTaken(Exception):
    """The receiver was not reached, or did not take it; says why."""


class WebhookCaller:
    """`seconds`: within which an answer must come."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        threads: ThreadPoolExecutor,
        receivers: Receivers,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._session = session
        self._threads = threads
        self._receivers = receivers
        self._seconds = seconds

    async def call(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """POSTs it; returns when it was taken. Raises `Forbidden` or `NotTaken`."""
        try:
            target = URL(url)
            async with asyncio.timeout(None) as bound:
                addresses = await self._addresses(target)
                # from here on: a thread that resolves is not ended, and its place is kept as long as it takes
                bound.reschedule(asyncio.get_running_loop().time() + self._seconds)
                status = await self._post(target, addresses, headers, body)
        except TimeoutError as late:
            raise NotTaken(f"no answer within {self._seconds:g} s") from late
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as failed:
            raise NotTaken(f"{type(failed).__name__}: {failed}"[:LONGEST_REASON]) from failed
        if not 200 <= status < 300:
            more = ": redirects are not followed" if 300 <= status < 400 else ""
            raise NotTaken(f"it answered {status}{more}")

    async def _post(
        self, target: URL, addresses: Sequence[str], headers: Mapping[str, str], body: bytes
    ) -> int:
        """The status that the first address answers which can be reached."""
        for last, address in zip((*[False] * (len(addresses) - 1), True), addresses, strict=True):
            sent = self._session.post(
                target.with_host(address),
                data=body,
                headers={**headers, "Host": target.authority},
                server_hostname=target.host if target.scheme == "https" else None,
                allow_redirects=False,
            )
            try:
                async with sent as answer:
                    return answer.status
            except aiohttp.ClientConnectorError as unreached:
                # one that is reached and shows a wrong certificate is no reason to ask another one
                if last or isinstance(unreached, aiohttp.ClientConnectorCertificateError):
                    raise
        raise NotTaken("it has no address")

    async def _addresses(self, target: URL) -> list[str]:
        """Where its host is. Raises `Forbidden`, `OSError`, `ValueError`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolved, target.host or "", target.port or 0)
        for each in found:
            if rule := self._receivers.refusal(ip_address(each.partition("%")[0]), target.scheme):
                # which address it is, is nothing that a tenant is to find out here
                raise Forbidden(rule)
        return found[:MOST_ADDRESSES]


def _resolved(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@asynccontextmanager
async def webhook_caller(
    receivers: Receivers, seconds: float = ANSWER_SECONDS
) -> AsyncIterator[WebhookCaller]:
    """One that can call while the context is open."""
    connector = aiohttp.TCPConnector(limit=MOST_CALLS, force_close=True, ssl=ssl.create_default_context())
    threads = ThreadPoolExecutor(MOST_CALLS, "webhooks")
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
    ) as session:
        try:
            yield WebhookCaller(session, threads, receivers, seconds)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
