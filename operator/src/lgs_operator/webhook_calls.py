"""Calls the receiver of a webhook that a manifest names, within bounds.

A host is resolved once, each of its addresses is checked (`receivers.py`), and the call goes to an address
that was checked, whatever the name resolves to a moment later. No proxy, no redirect, no cookie; of an answer
only the status is read. Names are resolved by threads of their own: one that hangs holds up nobody else's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final

import aiohttp
from yarl import URL

from lgs_operator.receivers import Receivers

ANSWER_SECONDS: Final = 10.0
MOST_CALLS: Final = 32
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
            host, address = target.host or "", await self._address(target)
            sent = self._session.post(
                target.with_host(address),
                data=body,
                headers={**headers, "Host": target.authority},
                server_hostname=host if target.scheme == "https" else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._seconds),
            )
            async with sent as answer:
                status = answer.status
        except TimeoutError as late:
            raise NotTaken(f"no answer within {self._seconds:g} s") from late
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as failed:
            raise NotTaken(f"{type(failed).__name__}: {failed}"[:LONGEST_REASON]) from failed
        if not 200 <= status < 300:
            more = ": redirects are not followed" if 300 <= status < 400 else ""
            raise NotTaken(f"it answered {status}{more}")

    async def _address(self, target: URL) -> str:
        """Where its host is. Raises `Forbidden`, `OSError`, `ValueError`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolved, target.host or "", target.port or 0)
        for each in found:
            if rule := self._receivers.refusal(ip_address(each.partition("%")[0]), target.scheme):
                # which address it is, is nothing that a tenant is to find out here
                raise Forbidden(rule)
        return found[0]


def _resolved(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@asynccontextmanager
async def webhook_caller(
    receivers: Receivers, seconds: float = ANSWER_SECONDS
) -> AsyncIterator[WebhookCaller]:
    """One that can call while the context is open."""
    connector = aiohttp.TCPConnector(limit=MOST_CALLS, force_close=True)
    threads = ThreadPoolExecutor(MOST_CALLS, "webhooks")
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
    ) as session:
        try:
            yield WebhookCaller(session, threads, receivers, seconds)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
