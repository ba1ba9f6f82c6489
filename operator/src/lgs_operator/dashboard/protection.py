"""Who may ask a server on the loopback interface, and what a browser may do with its answers.

Any page that a person has open can send requests to such a port. So what names another host is refused (a
name of somebody else that was made to lead here), what a page of another origin sends too, and no answer can
be shown in a frame or run a script that is not a file of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

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
"""Of pages: with it, text that was meant for HTML is none even where a mistake of ours made it so."""
OF_DATA: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""Of answers that are no pages: what an application says must not become one of this origin."""
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refusal(host: str, origin: str | None, site: str | None, *, is_page: bool) -> str | None:
    """Why a request is refused; None where it is not. `site` is its `Sec-Fetch-Site`; `is_page`: it asks for
    a page, to which a link may lead from anywhere. Pure."""
    if _name(f"//{host}") not in LOOPBACK:
        return f"this server is asked by 127.0.0.1 or localhost, not by {host or 'no name'}"
    if origin is not None and (_name(origin) not in LOOPBACK or _netloc(origin) != host):
        return f"a page of {origin} may not ask this server"
    if site is not None and site not in _OWN and not is_page:
        return "a page of another origin may not ask this server"
    return None


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


@web.middleware
async def protected(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses with 403, and sends the headers with every answer."""
    why = refusal(
        request.headers.get("Host", ""),
        request.headers.get("Origin"),
        request.headers.get("Sec-Fetch-Site"),
        is_page=request.method == "GET" and request.path == "/",
    )
    if why is not None:
        raise _with_headers(web.HTTPForbidden(text=f"{why}\n"))
    try:
        return await handler(request)
    except web.HTTPException as error:
        raise _with_headers(error) from None


def _with_headers(error: web.HTTPException) -> web.HTTPException:
    error.headers.update(headers(OF_DATA))
    return error


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Before an answer begins; it may have a policy of its own."""
    for name, text in headers(OF_DATA).items():
        response.headers.setdefault(name, text)


def headers(policy: str) -> dict[str, str]:
    """Those of an answer."""
    return {**HEADERS, "Content-Security-Policy": policy, "Cache-Control": "no-store"}
