"""Calls receivers of webhooks under the rules of `webhooks.url`.

A host is resolved once, each of its addresses is checked, and the call goes to an address that was checked,
even if the name resolves to another one a moment later. Such calls don't go through a proxy, which would
resolve the name again. Redirects are not followed.

What the environment says of proxies and certificates is the machine's, not the service's: where httpx can't
take it, the replica starts and serves, and each call fails with the reason.

What a receiver answers is its status. The rest may be endless: it is read only so far as keeps the
connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

import httpx
import structlog

from lgs_runtime.database.addresses import masked
from lgs_runtime.graphs.webhook_section import UrlPolicy, WebhookSection

MOST_ANSWER_BYTES = 64 * 1024
REST_SECONDS = 1.0
log = structlog.get_logger(__name__)
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class Forbidden(Exception):
    """A rule forbids this call, now and later. The message is the rule."""


def open_client(
    section: WebhookSection, timeout_seconds: float, environment: Mapping[str, str] = os.environ
) -> httpx.AsyncClient:
    """The client for all calls. With an environment that httpx can't take, one whose calls all fail; the log
    says why (`webhooks.environment`)."""
    try:
        return httpx.AsyncClient(
            timeout=timeout_seconds,
            verify=httpx.create_ssl_context(),
            trust_env=not section.url.checks_addresses,
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        reason = next(_unusable(environment), type(error).__name__)
        log.warning("webhooks.environment", reason=reason)
        return httpx.AsyncClient(transport=_Unusable(reason), trust_env=False)


class _Unusable(httpx.AsyncBaseTransport):
    """Sends nothing."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(self._reason, request=request)


def _unusable(environment: Mapping[str, str]) -> Iterator[str]:
    """What of it httpx can't take, each as `name: value: rule`; a proxy's password is not shown."""
    for name in filter(environment.get, _CERTIFICATES):
        try:
            httpx.create_ssl_context()
        except OSError as error:
            yield f"{name}: {environment[name]}: must name certificates that can be read: {error}"
    proxies = [name for name, value in environment.items() if value and name.upper() in _PROXIES]
    for name in proxies:
        value = environment[name]
        try:
            httpx.AsyncHTTPTransport(proxy=value if "://" in value else f"http://{value}", verify=False)
        except ImportError:
            yield f"{name}: {masked(value)}: needs httpx[socks] installed beside lgs-runtime"
        except (ValueError, httpx.InvalidURL):
            yield f"{name}: {masked(value)}: must be http://host:port, or socks5://host:port"
    for name in filter(environment.get, ("NO_PROXY", "no_proxy")):
        yield f"{name}: {environment[name]}: must be hosts between commas"


async def call(http: httpx.AsyncClient, section: WebhookSection, url: str, body: bytes) -> httpx.Response:
    """POSTs JSON to a receiver; its answer has no body. Raises `Forbidden`, and what httpx raises."""
    if rule := section.url.refusal(url):
        raise Forbidden(rule)
    headers = httpx.Headers({"Content-Type": "application/json", **section.headers})
    target, host = httpx.URL(url), None
    if section.url.checks_addresses:
        headers["Host"] = target.netloc.decode()
        target, host = await _pinned(target, section.url), target.host
    extensions = {"sni_hostname": host} if host else {}
    sent = http.stream("POST", target, content=body, headers=headers, extensions=extensions)
    async with sent as answer:
        await _rest(answer)
        return answer


async def _rest(answer: httpx.Response) -> None:
    """A connection whose answer was read to its end is used again, another one is closed."""
    read = 0
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(REST_SECONDS):
            async for piece in answer.aiter_raw():
                read += len(piece)
                if read > MOST_ANSWER_BYTES:
                    return


async def _pinned(target: httpx.URL, policy: UrlPolicy) -> httpx.URL:
    """The URL with the address of its host in place of the name. Raises `Forbidden`, `OSError`."""
    port = target.port or (443 if target.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in found]
    for address in addresses:
        if rule := policy.refuses_address(ip_address(address.partition("%")[0])):
            raise Forbidden(f"{rule}, as {address} is")
    return target.copy_with(host=addresses[0])
