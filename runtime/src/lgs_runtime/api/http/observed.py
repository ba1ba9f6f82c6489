"""Records each request once it is answered: metrics at `/metrics`, and a log line if the service asks for
it."""

from __future__ import annotations

import time

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lgs_runtime.api.http.route_index import FOUND
from lgs_runtime.graphs.http_section import HeaderRule
from lgs_runtime.request_metrics import RequestMetrics
from lgs_runtime.series import OTHER

log = structlog.get_logger(__name__)


class ObservedRequests:
    """An ASGI wrapper of `app` that counts its requests and, if there is a `rule`, logs them with the headers
    that it selects."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, rule: HeaderRule | None) -> None:
        self._app = app
        self._metrics = metrics
        self._rule = rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, path = time.monotonic(), 500, scope["path"]

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.began()
        try:
            await self._app(scope, receive, observed)
        finally:
            seconds = time.monotonic() - began
            self._metrics.ended(scope["method"], _route_of(scope), status, seconds)
            if self._rule is not None:
                self._log(scope, path, status, seconds, self._rule)

    def _log(self, scope: Scope, path: str, status: int, seconds: float, rule: HeaderRule) -> None:
        log.info(
            "http.request",
            method=scope["method"],
            path=path,
            status=status,
            seconds=round(seconds, 6),
            headers=rule.taken(Headers(scope=scope)),
        )


def _route_of(scope: Scope) -> str:
    """The declared path of the route that answered; `other` if it is none of ours, because clients could
    choose any number of paths."""
    return getattr(scope.get(FOUND), "path", OTHER)
