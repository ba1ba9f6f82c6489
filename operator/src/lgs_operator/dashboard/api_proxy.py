"""Passes the page's requests on to the API of a service, with the token that its user gave and nothing else.

The browser asks only one origin, so that its policy can forbid all others. Only what is named here is passed
on: no cookie, of the headers that identify a caller only the two for a token, and of the answer only JSON and
events. So the page can do what the token can, and no answer of an application becomes a page of this origin.
A token goes only to the service for which it was given, not to a later one of the same name.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from lgs_operator.dashboard.admission import UID, VIA, Admission
from lgs_operator.dashboard.protection import OF_DATA, UNBUFFERED, headers
from lgs_operator.dashboard.sources import Source
from lgs_operator.dashboard.ways import Unreachable

PREFIX: Final = "/runtime/{namespace}/{name}/{path:.+}"
SERVED: Final = re.compile(r"(?:assistants|threads|runs|users)(?:/[A-Za-z0-9._~%@:-]+)*|info")
"""The paths of the API that are served, those about sessions, as they are written in the request."""
SENT: Final = ("Accept", "Content-Type", "Last-Event-ID")
"""The headers that are sent on beside the token."""
GIVEN: Final = ("Retry-After", "X-Pagination-Total", "X-Pagination-Next", "WWW-Authenticate")
EVENTS: Final = "text/event-stream"
KINDS: Final = ("application/json", "application/problem+json", EVENTS)
MOST_BYTES: Final = 8 * 2**20
MOST_GIVEN: Final = 64 * 2**20
"""Most bytes of an answer that is no stream: a browser must hold all of it."""
ASKS_BY_ITSELF: Final = re.compile(r"(?<![\w-])(?:basic|digest|ntlm|negotiate)(?![\w-])", re.IGNORECASE)
"""Authentication schemes for which a browser opens its own dialogue: what is typed there would go to every
service, since all share one origin."""
_CONNECT_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 60.0
"""Seconds of silence after which an answer that is no stream is given up: a browser has few connections
for the whole page."""

SENDING_SECONDS: Final = 60.0
"""Seconds within which the body of a request must have come."""


def add_api(app: web.Application, source: Source, admission: Admission) -> None:
    """Adds routes that pass on what is below `/runtime/NAMESPACE/NAME/`."""

    async def opened(_: web.Application) -> None:
        # Without a limit of its own, at which the streams of some would hold up all others: how many there
        # are is decided where requests come in.
        app[_SESSION] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def closed(_: web.Application) -> None:
        await app[_SESSION].close()

    async def passed_on(request: web.Request) -> web.StreamResponse:
        return await _pass_on(request, source, admission)

    app.on_startup.append(opened)
    app.on_cleanup.append(closed)
    for method in ("GET", "POST", "PATCH", "DELETE"):
        app.router.add_route(method, PREFIX, passed_on)


_SESSION: Final = web.AppKey("session", aiohttp.ClientSession)


def path_of(raw: str, depth: int = 4) -> str | None:
    """The path at the service for a path requested here, where it begins at the slash of this number; None if
    it is not served. Pure."""
    path = raw.split("/", depth)[-1]
    segments = path.split("/")
    # The service decodes the path, and a slash written as %2F may count as one there.
    steps = [step for each in segments for step in re.split(r"[/\\]", unquote(each))]
    if not SERVED.fullmatch(path) or "%2e" in path.lower() or any(each in (".", "..") for each in steps):
        return None
    return f"/{path}"


async def _pass_on(request: web.Request, source: Source, admission: Admission) -> web.StreamResponse:
    resource = request.match_info.route.resource
    assert resource is not None
    path = path_of(request.rel_url.raw_path, resource.canonical.count("/"))
    if path is None:
        raise web.HTTPNotFound(text="the page asks for no such thing\n")
    try:
        api = await source.api(request.match_info["namespace"], request.match_info["name"])
    except Unreachable as error:
        raise web.HTTPBadGateway(text=f"{error}\n") from None
    if api is None:
        raise web.HTTPNotFound(text="there is no such service, or it can't be reached\n")
    if request.headers.get(UID, api.uid) != api.uid:
        raise web.HTTPConflict(text="another service has this name now\n", headers={UID: api.uid})
    token = await admission.admit(request.headers, api, request.app[_SESSION])
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    sent = token | {name: request.headers[name] for name in SENT if name in request.headers}
    sent["Via"] = VIA
    # A compressed answer could be small on its way and huge here, and take all memory.
    sent["Accept-Encoding"] = "identity"
    silent = None if EVENTS in sent.get("Accept", "") else SILENT_SECONDS
    patience = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silent)
    body = await _body(request)
    url = URL(f"{api.url}{path}{query}", encoded=True)
    try:
        async with request.app[_SESSION].request(
            request.method, url, headers=sent, data=body, allow_redirects=False, timeout=patience
        ) as answer:
            return await _given(request, answer, api.uid)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise web.HTTPBadGateway(text=f"the service does not answer: {type(error).__name__}\n") from None


async def _body(request: web.Request) -> bytes | None:
    """The whole body; None without one. Who sends it too slowly is given up."""
    if not request.body_exists:
        return None
    try:
        async with asyncio.timeout(SENDING_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body of the request does not come\n") from None
    except web.RequestPayloadError:
        raise web.HTTPBadRequest(text="the body of the request is not in the coding that it has\n") from None


async def _given(request: web.Request, answer: aiohttp.ClientResponse, uid: str) -> web.StreamResponse:
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPBadGateway(text="the service answers in a coding that it was not asked for\n")
    kind = answer.content_type if answer.content_type in KINDS else "application/octet-stream"
    stream = web.StreamResponse(
        status=answer.status if 200 <= answer.status < 300 or 400 <= answer.status < 600 else 502,
        headers={**headers(OF_DATA), **_passed(answer), "Content-Type": kind, UID: uid},
    )
    if kind == EVENTS:
        stream.headers.update(UNBUFFERED)
    await stream.prepare(request)
    try:
        length = 0
        async for part in answer.content.iter_any():
            length += len(part)
            if length > MOST_GIVEN and kind != EVENTS:
                return _cut(request, stream)
            await stream.write(part)
        await stream.write_eof()
    except (aiohttp.ClientError, ConnectionResetError, TimeoutError):
        return _cut(request, stream)
    return stream


def _passed(answer: aiohttp.ClientResponse) -> dict[str, str]:
    found = {name: answer.headers[name] for name in GIVEN if name in answer.headers}
    if ASKS_BY_ITSELF.search(found.get("WWW-Authenticate", "")):
        del found["WWW-Authenticate"]
    return found


def _cut(request: web.Request, stream: web.StreamResponse) -> web.StreamResponse:
    """Closes the connection of an answer that has begun, so that it is seen to be cut off: an error sent now
    would be read as part of it."""
    if request.transport is not None:
        request.transport.close()
    return stream
