"""Decides which requests a server of the page answers, and what a browser may do with its answers.

Any page that a person has open can send requests to such a server. So requests that name another host are
refused (DNS rebinding: a foreign name that resolves to this address), and so are those from pages of another
origin. No answer can be shown in a frame or run a script that is not a file of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

LOOPBACK: Final = frozenset(("127.0.0.1", "localhost", "::1"))
_OWN: Final = frozenset(("same-origin", "none"))
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""The content security policy of pages: with it, injected HTML runs no script even if a mistake
of ours let it in."""
OF_DATA: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""The content security policy of answers that are not pages: no answer of an application may become a
page of this origin."""
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}
UNBUFFERED: Final = {"X-Accel-Buffering": "no"}
"""The header of a stream, by which nginx in front passes on each event at once."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """What a server is asked by: the names of its host, in lower case, and the path of its page."""

    hosts: Collection[str] = LOOPBACK
    page: str = "/"

    def refusal(self, host: str, origin: str | None, site: str | None, *, is_page: bool) -> str | None:
        """Why a request is refused; None if it is not. `site` is its `Sec-Fetch-Site`; `is_page` says that it
        asks for the page, to which a link may lead from anywhere. Pure."""
        if _name(f"//{host}") not in self.hosts:
            return f"this server is asked by {self._names()}, not by {host or 'no name'}"
        if origin is not None and (_name(origin) not in self.hosts or _netloc(origin) != host):
            return f"a page of {origin} may not ask this server"
        if site is not None and site not in _OWN and not is_page:
            return "a page of another origin may not ask this server"
        return None

    def _names(self) -> str:
        return "127.0.0.1 or localhost" if self.hosts is LOOPBACK else "the names of dashboard.hosts"


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _netloc(address: str) -> str | None:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return None


def protects(asked: Asked) -> Middleware:
    """A middleware that refuses requests with 403. Its refusals and other HTTP errors have the headers
    too."""

    @web.middleware
    async def protected(request: web.Request, handler: Handler) -> web.StreamResponse:
        why = asked.refusal(
            request.headers.get("Host", ""),
            request.headers.get("Origin"),
            request.headers.get("Sec-Fetch-Site"),
            is_page=request.method == "GET" and request.path in (asked.page, asked.page.rstrip("/")),
        )
        if why is not None:
            # What was sent may be no text: bytes that are not UTF-8 are shown as question marks.
            shown = why.encode(errors="replace").decode()
            raise _with_headers(web.HTTPForbidden(text=f"{shown}\n"))
        try:
            return await handler(request)
        except web.HTTPException as error:
            raise _with_headers(error) from None

    return protected


def _with_headers(error: web.HTTPException) -> web.HTTPException:
    error.headers.update(headers(OF_DATA))
    return error


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers before an answer begins; headers that it already has stay."""
    for name, text in headers(OF_DATA).items():
        response.headers.setdefault(name, text)


def headers(policy: str) -> dict[str, str]:
    """The headers of an answer with this content security policy."""
    return {**HEADERS, "Content-Security-Policy": policy, "Cache-Control": "no-store"}
