"""What is answered to requests that a replica which closes can wait for no longer."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lgs_runtime.api.http.problems import problem

CLOSES = "this replica closes, and the request was not answered before: it may have had its effect; try again"
RETRY_AFTER_SECONDS = 1


class LastAnswers:
    """An ASGI application around `app` that answers 503 with `Retry-After` where `app` is cancelled before it
    began to answer, as the HTTP server does with what is open when its time is over. The server would answer
    500, which no client asks again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
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
            # This is the last that the task does: the server cancels it once, and forgets it.
            await problem(503, CLOSES, {"Retry-After": str(RETRY_AFTER_SECONDS)})(scope, receive, send)
