"""Writes the JSON of values that orjson refuses: text with half a character (a lone surrogate), integers
beyond 64 bits, keys of other types, nesting beyond its limit, objects whose own methods raise. Everything
else in them is written as usual.

JSON has no half characters, and clients' parsers refuse them: each becomes `?`, as in LangGraph's server. A
value that refers to itself is null where it would begin again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import time
from enum import Enum
from typing import Any, Final

import orjson

MOST_LEVELS: Final = 1000
"""Levels of nesting that are written. Clients' parsers take 1024; a checkpoint has far fewer."""
NULL: Final = b"null"
_HALF: Final = re.compile("[\ud800-\udfff]")


def encode(value: Any, simpler: Callable[[Any], Any], options: int) -> bytes:
    """JSON bytes of any value. `simpler` brings a value that is not JSON one level nearer to it."""
    return b"".join(_Writer(simpler, options).written(value))


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that is still to be written."""

    value: Any


@dataclass(frozen=True, slots=True)
class _Left:
    """The end of a value that holds others. Keeps that value alive until then, so that no other gets its
    identity."""

    value: Any


_Part = bytes | _Value | _Left


class _Writer:
    """Writes without recursion: the interpreter's own limit is lower than the depth that is to be written."""

    def __init__(self, simpler: Callable[[Any], Any], options: int) -> None:
        self._simpler = simpler
        self._options = options
        self._open: set[int] = set()
        """The values from the root down to the current one, by identity."""

    def written(self, root: Any) -> Iterator[bytes]:
        """The document, piece by piece."""
        ahead: list[_Part] = [_Value(root)]
        while ahead:
            part = ahead.pop()
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, _Left):
                self._open.discard(id(part.value))
            else:
                ahead.extend(reversed(self._parts(part.value)))

    def _parts(self, value: Any) -> list[_Part]:
        try:
            if (simple := self._simple(value)) is not None:
                return [simple]
            if id(value) in self._open or len(self._open) >= MOST_LEVELS:
                return [NULL]
            inner = self._inner(value)
        # The methods of users' objects may raise anything, even what would end the caller's task.
        except BaseException:  # noqa: BLE001
            return [NULL]
        self._open.add(id(value))
        return [*inner, _Left(value)]

    def _simple(self, value: Any) -> bytes | None:
        if isinstance(value, Enum):
            return None
        if isinstance(value, str):
            return orjson.dumps(_whole(value))
        if isinstance(value, int):
            return orjson.dumps(value) if isinstance(value, bool) else b"%d" % value
        if isinstance(value, time):
            return orjson.dumps(value.isoformat())
        return orjson.dumps(value, option=self._options) if isinstance(value, float | None) else None

    def _inner(self, value: Any) -> Iterable[_Part]:
        if isinstance(value, dict):
            return self._object(value.items())
        if isinstance(value, list) or type(value) is tuple:
            return _joined(b"[", [(_Value(item),) for item in value], b"]")
        if isinstance(value, Enum):
            return [_Value(value.value)]
        if is_dataclass(value) and not isinstance(value, type):
            named = [field.name for field in fields(value) if not field.name.startswith("_")]
            return self._object((name, getattr(value, name)) for name in named)
        return self._other(value)

    def _other(self, value: Any) -> list[_Part]:
        simpler: list[_Part] = []

        def default(unknown: Any) -> None:
            simpler.append(_Value(self._simpler(unknown)))

        written = orjson.dumps(value, default=default, option=self._options)
        return simpler or [written]

    def _object(self, items: Iterable[tuple[Any, Any]]) -> list[_Part]:
        return _joined(b"{", [(self._key(key), b":", _Value(item)) for key, item in items], b"}")

    def _key(self, key: Any) -> bytes:
        if isinstance(key, str) and not isinstance(key, Enum):
            return orjson.dumps(_whole(key))
        try:
            return orjson.dumps({key: None}, option=self._options)[1 : -len(b":null}")]
        except TypeError:
            return orjson.dumps(_whole(str(key)))


def _joined(first: bytes, groups: Iterable[Iterable[_Part]], last: bytes) -> list[_Part]:
    parts: list[_Part] = []
    for group in groups:
        parts += (b",", *group)
    return [first, *parts[1:], last]


def _whole(text: str) -> str:
    return _HALF.sub("?", str(text))
