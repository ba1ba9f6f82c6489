"""What answers that may take long have in common: they begin without a body, and their client may go before
they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Message, Receive


class LongLivedResponse(Response):
    """`on_gone` is for the subclass to call when the client has gone before the end. A server that stops is
    not a client that has gone."""

    def __init__(
        self, headers: Mapping[str, str], on_gone: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.status_code = 200
        self.background = None
        # There is no body yet, so these are the headers without a length.
        self.init_headers(headers)
        self._on_gone = on_gone

    def start(self, *more: tuple[bytes, bytes]) -> Message:
        """The status and the headers, and these besides."""
        headers = [*self.raw_headers, *more]
        return {"type": "http.response.start", "status": self.status_code, "headers": headers}


def piece_of_body(piece: bytes) -> Message:
    """A part of the body, after which more comes."""
    return {"type": "http.response.body", "body": piece, "more_body": True}


async def client_gone(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
