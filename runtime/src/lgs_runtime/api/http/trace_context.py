"""Notes when each request that may create a run arrived, and which trace it belongs to. Used only if runs are
traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lgs_runtime.tracing.propagation import incoming

if TYPE_CHECKING:
    from lgs_runtime.tracing.tracer import Tracing


class TraceContext:
    """An ASGI wrapper of `app` that sets the trace context of POST requests and WebSockets."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        stays = scope["type"] == "websocket"
        method = scope.get("method", "GET")
        if stays or method == "POST":
            headers = Headers(scope=scope)
            incoming.set(self._tracing.request(method, scope["path"], headers, now=not stays))
        await self._app(scope, receive, send)
