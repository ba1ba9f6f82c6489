"""The answer to requests still open when a closing replica can wait no longer."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lgs_runtime.api.http.problems import problem

CLOSES = "this replica closes, and the request was not answered before: it may have had its effect; try again"
RETRY_AFTER_SECONDS = 1


class LastAnswers:
    """An ASGI wrapper of `app` that answers 503 with `Retry-After` if `app` is cancelled before it began to
    answer. The HTTP server cancels requests that are still open when its shutdown time is over, and would
    answer 500, which no client retries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        begun = scope["type"] != "http"

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if begun:
                raise
            # The task ends after this: the server cancels it once, and forgets it.
            await problem(503, CLOSES, {"Retry-After": str(RETRY_AFTER_SECONDS)})(scope, receive, send)
