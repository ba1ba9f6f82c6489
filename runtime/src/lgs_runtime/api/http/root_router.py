"""The routing before all other routes: the probes and the prefix.

The probes (`/ok`, `/ready`, `/metrics`) answer at the root, whatever the prefix and whatever the middleware
of the service's own application: kubelet and operator send no credentials.
"""

from __future__ import annotations

from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lgs_runtime.api.http.problems import problem

PROBES = frozenset({"/ok", "/ready", "/metrics"})


class RootRouter:
    """An ASGI application that passes probes to `probes`, and everything else to `app`, mounted at
    `prefix`."""

    def __init__(self, app: ASGIApp, probes: ASGIApp, prefix: str = "") -> None:
        self._app = _mounted(app, prefix) if prefix else app
        self._probes = probes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        is_probe = scope["type"] == "http" and scope["path"] in PROBES
        await (self._probes if is_probe else self._app)(scope, receive, send)


def _mounted(app: ASGIApp, prefix: str) -> ASGIApp:
    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        await _refused(scope, receive, send, f"must begin with {prefix}, where the API stands")

    return Router(routes=[Mount(prefix, app=app)], default=elsewhere, redirect_slashes=False)


async def _refused(scope: Scope, receive: Receive, send: Send, rule: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    else:
        await problem(404, f"path: {scope['path']}: {rule}")(scope, receive, send)


class ProbesOnly:
    """An ASGI application that serves only the probes of `app`, for a replica that only executes runs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] == "http" and scope["path"] in PROBES:
            await self._app(scope, receive, send)
        else:
            await _refused(scope, receive, send, "must be a probe: this replica only executes runs")
