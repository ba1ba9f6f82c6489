"""An answer that may take long: one JSON value, sent when it is available.

A value that is available within `WHOLE_WITHIN_SECONDS` is sent as an ordinary answer, with its length. If it
takes longer, the status and the headers are sent by then, so that the client learns what it waits for. A line
feed follows after each `HEARTBEAT_SECONDS` without output, so that proxies do not cut the connection as idle;
clients ignore it as white space before the value. If the client disconnects, the wait for the value is
cancelled: at once if there is an `on_gone`, else from the moment when the headers would have been sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from lgs_runtime.api.http.long_lived import LongLivedResponse, client_gone, piece_of_body
from lgs_runtime.api.http.sse import HEARTBEAT_SECONDS

WHOLE_WITHIN_SECONDS = 1.0
"""Seconds until the headers are sent, which tell the client that its run was created. Most runs that are
waited for end sooner."""
WHITE_SPACE = b"\n"


class LongPollResponse(LongLivedResponse):
    """Answers with the bytes that `find` returns. If the client disconnects first, `find` is cancelled and
    `on_gone` called; a server that stops does not call it.

    What `find` raises within `WHOLE_WITHIN_SECONDS` is answered like an error of the route itself.
    """

    media_type = "application/json"

    def __init__(
        self,
        find: Callable[[], Coroutine[Any, Any, bytes]],
        headers: Mapping[str, str],
        on_gone: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(headers, on_gone)
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits for the value and sends the answer."""
        finding = asyncio.ensure_future(self._find())
        ends: set[asyncio.Future[Any]] = {finding}
        # Watching the client costs more than all else here, and most values are available before it matters.
        if self._on_gone is not None:
            ends.add(asyncio.ensure_future(client_gone(receive)))
        started = False
        try:
            while not await _any_of(ends, HEARTBEAT_SECONDS if started else WHOLE_WITHIN_SECONDS):
                if not started and self._on_gone is None:
                    ends.add(asyncio.ensure_future(client_gone(receive)))
                await send(piece_of_body(WHITE_SPACE) if started else self.start())
                started = True
            left = not finding.done()
        finally:
            await _cancelled({one for one in ends if not one.done()})
        if not left:
            await self._end(finding.result(), started, send)
        elif self._on_gone is not None:
            await self._on_gone()

    async def _end(self, value: bytes, started: bool, send: Send) -> None:
        if not started:
            await send(self.start((b"content-length", b"%d" % len(value))))
        await send({"type": "http.response.body", "body": value})


async def _any_of(tasks: set[asyncio.Future[Any]], seconds: float) -> bool:
    """Whether one of the tasks is done within `seconds`."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _cancelled(tasks: set[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
