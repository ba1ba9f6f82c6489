"""Reads the answers of the API server, which hold what tenants wrote. One unreadable object would hide all
others, so every object must be readable: the server keeps the `data` of a ControllerRevision byte by byte,
whatever they are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from lgs_operator.kube.deep_json import DeepDecoder
from lgs_operator.kube.errors import KubeError

LONGEST_OBJECT: Final = 16 * 2**20
"""Bytes: etcd takes objects of one and a half MiB, and each byte may be six in JSON (`<` is `\\u003c`)."""
_MOST_DIGITS: Final = 400
"""Digits: a number with more is beyond any float, and Python reads no integer of 4300 digits or more."""


class Content(Protocol):
    """The body of a response, piece by piece."""

    def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces as they come."""
        ...


class AnswerTooLong(KubeError):
    """The answer is longer than may be read."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(0, "NoAnswer", f"more than {most_bytes} bytes came")


def parsed(raw: bytes) -> Any:
    """The value of a JSON text. Bytes that are no UTF-8 become U+FFFD, as Kubernetes does elsewhere. Raises
    `ValueError` for a text that is cut off, and `RecursionError` beyond `FRAMES` of `process_setup`."""
    return json.loads(raw.decode(errors="replace"), cls=DeepDecoder, parse_int=_whole)


async def read(content: Content, most_bytes: int) -> bytes:
    """The whole answer. Raises `AnswerTooLong` as soon as it exceeds `most_bytes`."""
    found = bytearray()
    async for piece in content.iter_any():
        found += piece
        if len(found) > most_bytes:
            raise AnswerTooLong(most_bytes)
    return bytes(found)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)
