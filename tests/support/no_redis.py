"""What listens where a Redis should be, and is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Final

GARBLED: Final = [b":xyz\r\n", b"$abc\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
"""No answers by the rules of the protocol."""
NOT_OF_REDIS: Final = [
    *GARBLED, b"*2\r\n:7\r\n:9\r\n", b"*3\r\n:1\r\n:2\r\n:3\r\n", b"*0\r\n",
    b"*2\r\n$6\r\nlgs2\0\x01\r\n$3\r\n1.5\r\n",
]  # fmt: skip
"""Answers that a lookup never has."""


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The URI of what gives this answer to all but a greeting, and a look whether it is there."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while asked := await reader.read(65536):
                greets = b"CLIENT" in asked or b"-probe" in asked
                writer.write((b"+OK\r\n" if greets else answer) * max(1, asked.count(b"CLIENT\r\n")))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
