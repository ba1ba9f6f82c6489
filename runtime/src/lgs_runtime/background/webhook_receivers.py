"""Calls receivers of webhooks under the rules of `webhooks.url`.

If addresses are restricted, a host is resolved once, each of its addresses is checked, and the call goes to a
checked address, even if the name resolves to another one a moment later. Such calls don't go through a proxy,
which would resolve the name again. Redirects are not followed.

Proxies and certificates in the environment are configured for the machine, not for the service: if httpx
can't use them, the replica starts and serves anyway, and each call that needs them fails with the reason.

Only the status of an answer counts. Its body may be endless: it is read only as far as needed to reuse the
connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Final
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import httpx
import structlog

from lgs_runtime.database.addresses import masked
from lgs_runtime.graphs.webhook_section import UrlPolicy, WebhookSection

MOST_ANSWER_BYTES = 64 * 1024
REST_SECONDS = 1.0
log = structlog.get_logger(__name__)
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_HOSTS: Final = ("no_proxy", "NO_PROXY")


class Forbidden(Exception):
    """A rule forbids this call, permanently. The message is the rule."""


def open_client(
    section: WebhookSection, timeout_seconds: float, environment: Mapping[str, str] = os.environ
) -> httpx.AsyncClient:
    """The client for all calls. If httpx can't use something in the environment, the calls that need it fail:
    those through the invalid proxy, or all. The log says why (`webhooks.environment`)."""
    try:
        return httpx.AsyncClient(
            timeout=timeout_seconds,
            verify=httpx.create_ssl_context(),
            trust_env=not section.url.checks_addresses,
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        proxies = _proxies(environment)
        wrong = {scheme: words for scheme, proxy in proxies.items() if (words := _wrong_proxy(*proxy))}
        for_all = _wrong_certificates(environment) or (None if wrong else _wrong_hosts(environment))
        reason = for_all or next(iter(wrong.values()), type(error).__name__)
        log.warning("webhooks.environment", reason=reason)
        if for_all or not wrong:
            return httpx.AsyncClient(transport=_Unusable(reason), trust_env=False)
        routes = _Routes(proxies, wrong, environment)
        return httpx.AsyncClient(timeout=timeout_seconds, transport=routes, trust_env=False)


class _Unusable(httpx.AsyncBaseTransport):
    """A transport that sends nothing; each request fails with the reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(self._reason, request=request)


class _Routes(httpx.AsyncBaseTransport):
    """Routes a call by its scheme: through the scheme's proxy, or directly if there is none or the host is in
    `NO_PROXY`. Calls through a proxy in `wrong` fail with its reason."""

    def __init__(
        self, proxies: Mapping[str, tuple[str, str]], wrong: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        context = httpx.create_ssl_context()
        self._direct = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
        self._through: dict[str, httpx.AsyncBaseTransport] = {
            scheme: _Unusable(wrong[scheme])
            if scheme in wrong
            else httpx.AsyncHTTPTransport(verify=context, trust_env=False, proxy=_address(value))
            for scheme, (_, value) in proxies.items()
        }
        self._hosts = {"no": next(filter(None, map(environment.get, _HOSTS)), "")}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        through = self._through.get(request.url.scheme, self._direct)
        if proxy_bypass_environment(request.url.host, self._hosts):
            through = self._direct
        return await through.handle_async_request(request)

    async def aclose(self) -> None:
        for each in (self._direct, *self._through.values()):
            await each.aclose()


def _proxies(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """By scheme: the variable that sets its proxy, and its value."""
    found = {}
    for scheme in ("http", "https"):
        names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
        if name := next(filter(environment.get, names), None):
            found[scheme] = (name, environment[name])
    return found


def _address(value: str) -> str:
    return value if "://" in value else f"http://{value}"


def _wrong_proxy(name: str, value: str) -> str | None:
    """Why httpx can't use a proxy, as `name: value: rule` without its password; None if it can."""
    try:
        httpx.AsyncHTTPTransport(proxy=_address(value), verify=False)
    except ImportError:
        return f"{name}: {masked(value)}: needs httpx[socks] installed beside lgs-runtime"
    except (ValueError, httpx.InvalidURL):
        return f"{name}: {masked(value)}: must be http://host:port, or socks5://host:port"
    return None


def _wrong_certificates(environment: Mapping[str, str]) -> str | None:
    if name := next(filter(environment.get, _CERTIFICATES), None):
        try:
            httpx.create_ssl_context()
        except OSError as error:
            return f"{name}: {environment[name]}: must name certificates that can be read: {error}"
    return None


def _wrong_hosts(environment: Mapping[str, str]) -> str | None:
    """The error of `NO_PROXY`, assumed wrong if nothing else is; None if it is not set."""
    name = next(filter(environment.get, _HOSTS), None)
    return name and f"{name}: {environment[name]}: must be hosts between commas"


async def call(http: httpx.AsyncClient, section: WebhookSection, url: str, body: bytes) -> httpx.Response:
    """POSTs JSON to a receiver; returns its answer, without the body. Raises `Forbidden`, `OSError`, and what
    httpx raises."""
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
    """Reads the body of an answer within limits. If it was read to its end, the connection is reused;
    otherwise it is closed."""
    read = 0
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(REST_SECONDS):
            async for piece in answer.aiter_raw():
                read += len(piece)
                if read > MOST_ANSWER_BYTES:
                    return


async def _pinned(target: httpx.URL, policy: UrlPolicy) -> httpx.URL:
    """The URL with its host name replaced by a checked address. Raises `Forbidden`, `OSError`."""
    port = target.port or (443 if target.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in found]
    for address in addresses:
        if rule := policy.refuses_address(ip_address(address.partition("%")[0])):
            raise Forbidden(f"{rule}, as {address} is")
    return target.copy_with(host=addresses[0])
