"""Access control before the routes and the middleware of the service's own application.

Our own routes authenticate callers themselves (`access.py`), unless this middleware already has. The
application finds the user as `request.user`.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lgs_runtime.api.callers import FOUND_USER
from lgs_runtime.api.http.limits import parse_body, whole_body
from lgs_runtime.api.http.problems import headers_of, problem, status_of
from lgs_runtime.errors import InvalidRequest, RuntimeFault
from lgs_runtime.services import Services

POLICY_VIOLATION = 1008


class Guard:
    """Authenticates each connection for which `guards` returns true, before `app` sees it."""

    def __init__(self, app: ASGIApp, services: Services, guards: Callable[[Scope], bool]) -> None:
        self._app = app
        self._services = services
        self._guards = guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection: passes it on, or refuses it here."""
        known = FOUND_USER in scope
        if scope["type"] in ("http", "websocket") and not known and self._guards(scope):
            request = Request({**scope, "type": "http", "method": scope.get("method", "GET")}, receive)
            try:
                if scope["type"] == "http" and self._services.access.reads_body:
                    receive = await _read(request, self._services.settings.max_body_bytes)
                scope[FOUND_USER] = scope["user"] = await self._services.access.authenticate(request)
            except RuntimeFault as refused:
                await _refuse(refused, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _read(request: Request, max_bytes: int) -> Receive:
    """Reads the body, JSON or not, and returns a `Receive` from which the application can read it again."""
    request._body = await whole_body(request, max_bytes)
    try:
        request._json = parse_body(request._body)
    except InvalidRequest:
        request._json = None
    pending: list[Message] = [{"type": "http.request", "body": request._body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await request.receive()

    return again


async def _refuse(refused: RuntimeFault, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    answer = problem(status_of(refused), str(refused), headers_of(refused))
    await answer(scope, receive, send)
