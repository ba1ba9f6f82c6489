"""Reads a replica's answer to a GET within bounds: a pod runs the code of its graph's author, and the
operator also serves others. Redirects are not followed, and nothing is decompressed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any

import aiohttp

LONGEST_REASON = 300
IDENTITY = {"Accept-Encoding": "identity"}


class NoAnswer(Exception):
    """No answer came in time, or none that can be used; the message says why."""


class TooLong(NoAnswer):
    """An answer came, but longer than may be read."""


async def read_text(
    session: aiohttp.ClientSession,
    url: str,
    *,
    seconds: float,
    most_bytes: int,
    statuses: Collection[int] = (200,),
) -> str:
    """The text at `url`. It must be complete within `seconds` and `most_bytes`, with one of `statuses`.
    Raises `NoAnswer`."""
    try:
        async with (
            asyncio.timeout(seconds),
            session.get(url, headers=IDENTITY, allow_redirects=False) as response,
        ):
            if response.status not in statuses:
                raise NoAnswer(f"HTTP {response.status}: must be one of {sorted(statuses)}")
            if "Content-Encoding" in response.headers:
                raise NoAnswer("the answer is packed: must be as it is")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > most_bytes:
                    raise TooLong(f"the answer is longer than {most_bytes} bytes")
            return body.decode()
    except TimeoutError as late:
        raise NoAnswer(f"no whole answer within {seconds:g} s") from late
    except (aiohttp.ClientError, OSError, ValueError) as failed:
        # the error quotes what came, which the pod chose
        raise NoAnswer(str(failed)[:LONGEST_REASON] or type(failed).__name__) from failed


async def read_json(session: aiohttp.ClientSession, url: str, **bounds: Any) -> Any:
    """Like `read_text`, for a JSON value. Raises `NoAnswer`, also for a value that is nested too deeply."""
    text = await read_text(session, url, **bounds)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise NoAnswer(f"the answer is no JSON: {wrong}") from wrong
