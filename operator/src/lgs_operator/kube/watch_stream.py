"""The events in the stream of a watch: an object of JSON a line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final, Protocol

from lgs_operator.kube.kinds import Manifest

LONGEST_EVENT: Final = 8 * 2**20
"""Bytes: etcd takes objects of one and a half MiB."""


class Content(Protocol):
    """What a response gives piece by piece."""

    def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces as they come."""
        ...


async def events(content: Content) -> AsyncIterator[tuple[str, Manifest]]:
    """The type and the object of each. Raises `ValueError` for what is none."""
    async for line in _lines(content):
        event = json.loads(line)
        if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
            raise ValueError(f"no event of a watch: {line[:80]!r}")
        yield str(event.get("type")), event["object"]


async def _lines(content: Content) -> AsyncIterator[bytes]:
    """As aiohttp's own, which may be no longer than 128 KiB: a pod's annotations alone may be twice that."""
    begun = bytearray()
    async for piece in content.iter_any():
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield bytes(begun) + line
            begun.clear()
        begun += rest
        if len(begun) > LONGEST_EVENT:
            raise ValueError(f"an event of a watch is longer than {LONGEST_EVENT} bytes")
    if begun:
        yield bytes(begun)
