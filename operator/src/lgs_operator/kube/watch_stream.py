"""The events in the stream of a watch: one JSON object a line."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lgs_operator.kube.answers import LONGEST_OBJECT, Content, parsed
from lgs_operator.kube.kinds import Manifest


async def events(content: Content) -> AsyncIterator[tuple[str, Manifest]]:
    """Yields the type and the object of each event. Raises `ValueError` for a line that is no event."""
    async for line in _lines(content):
        event = parsed(line)
        if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
            raise ValueError(f"no event of a watch: {line[:80]!r}")
        yield str(event.get("type")), event["object"]


async def _lines(content: Content) -> AsyncIterator[bytes]:
    """Lines of any length up to `LONGEST_OBJECT`. aiohttp's own stop at 128 KiB, and a pod's annotations
    alone may be twice that."""
    begun = bytearray()
    async for piece in content.iter_any():
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield bytes(begun) + line
            begun.clear()
        begun += rest
        if len(begun) > LONGEST_OBJECT:
            raise ValueError(f"an event of a watch is longer than {LONGEST_OBJECT} bytes")
    if begun:
        yield bytes(begun)
