"""What the machine can do at most, so that a rate says something: servers that do next to nothing.

`python -m bench.floors fastapi|bytes PORT` serves one: `fastapi` answers `/ok` by FastAPI and uvicorn, as
any service in Python would; `bytes` answers whatever comes with the same bytes, which shows what the
generator can send.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvicorn
import uvloop
from fastapi import FastAPI

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Bytes(asyncio.Protocol):
    """Answers each piece of data."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._transport.write(ANSWER)


async def serve_bytes(port: int) -> None:
    """Until it is stopped."""
    server = await asyncio.get_running_loop().create_server(Bytes, "127.0.0.1", port)
    await server.serve_forever()


def serve_fastapi(port: int) -> None:
    """Until it is stopped."""
    app = FastAPI()

    @app.get("/ok")
    async def ok() -> dict[str, bool]:
        return {"ok": True}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def main() -> None:
    """Serves what the command line names."""
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "fastapi":
        serve_fastapi(port)
    else:
        uvloop.run(serve_bytes(port))


if __name__ == "__main__":
    main()
