"""Reads what the API server answers, which holds what tenants wrote. One object that can't be read would keep
all others from being seen, so there is none: the server keeps the `data` of a ControllerRevision byte by
byte, whatever they are.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from lgs_operator.kube.deep_json import DeepDecoder
from lgs_operator.kube.errors import KubeError

LONGEST_OBJECT: Final = 16 * 2**20
"""Bytes: etcd takes objects of one and a half MiB, of which each may be six in JSON (`<` is `\\u003c`)."""
_MOST_DIGITS: Final = 400
"""More are beyond any number, and from 4300 on Python reads none."""


class Content(Protocol):
    """What a response gives piece by piece."""

    def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces as they come."""
        ...


class AnswerTooLong(KubeError):
    """More came than was to be read."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(0, "NoAnswer", f"more than {most_bytes} bytes came")


def parsed(raw: bytes) -> Any:
    """What a text of JSON says. Bytes that are no UTF-8 are U+FFFD, as Kubernetes has them elsewhere.
    Raises `ValueError` for what is cut off, and `RecursionError` beyond `FRAMES` of `main`."""
    return json.loads(raw.decode(errors="replace"), cls=DeepDecoder, parse_int=_whole)


async def read(content: Content, most_bytes: int) -> bytes:
    """The whole answer. Raises `AnswerTooLong` as soon as it is."""
    found = bytearray()
    async for piece in content.iter_any():
        found += piece
        if len(found) > most_bytes:
            raise AnswerTooLong(most_bytes)
    return bytes(found)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)
