"""The common part of long-lived answers: they begin without a body, and the client may disconnect before the
end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Message, Receive


class LongLivedResponse(Response):
    """An answer that may take long. Subclasses call `on_gone` when the client disconnects before the end, not
    when the server stops."""

    def __init__(
        self, headers: Mapping[str, str], on_gone: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.status_code = 200
        self.background = None
        # There is no body yet, so the headers have no length.
        self.init_headers(headers)
        self._on_gone = on_gone

    def start(self, *more: tuple[bytes, bytes]) -> Message:
        """The ASGI message with the status, the headers, and the headers `more`."""
        headers = [*self.raw_headers, *more]
        return {"type": "http.response.start", "status": self.status_code, "headers": headers}


def piece_of_body(piece: bytes) -> Message:
    """The ASGI message with a part of the body that is not the last."""
    return {"type": "http.response.body", "body": piece, "more_body": True}


async def client_gone(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
