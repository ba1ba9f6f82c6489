"""JSON for stream events and stored values: what graphs emit (messages, pydantic models, dataclasses, sets,
exceptions) becomes what LangGraph's clients expect. Nothing raises: what has no JSON form becomes its
text."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Set
from typing import Any

import orjson
from pydantic import BaseModel

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z

CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (BaseModel, lambda model: model.model_dump(mode="python")),
    (BaseException, lambda raised: {"error": type(raised).__name__, "message": str(raised)}),
    (Mapping, dict),
    ((Set, deque), list),
    (bytes, lambda raw: raw.decode("utf-8", errors="replace")),
)


def encode(value: Any) -> bytes:
    """JSON bytes of any value."""
    try:
        # Copied: what orjson returns goes on taking the four KiB that it wrote into, and events are kept.
        return bytes(memoryview(orjson.dumps(value, default=_plain, option=OPTIONS)))
    except (TypeError, orjson.JSONEncodeError, RecursionError):
        # Deep inside is a key or a text that JSON can't hold; its readable form is better than a lost event.
        return orjson.dumps(_readable(value, depth=0))


def to_json(value: Any) -> Any:
    """The plain JSON value of anything: what `encode` writes, read back."""
    return orjson.loads(encode(value))


def _plain(value: Any) -> Any:
    """The `default` of orjson: one level nearer to JSON."""
    for kind, convert in CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    return value._asdict() if hasattr(value, "_asdict") else str(value)


def _readable(value: Any, depth: int) -> Any:
    if depth > 50:
        return str(type(value).__name__)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="python")
    if isinstance(value, Mapping):
        return {_text(key): _readable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | Set | deque):
        return [_readable(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    return _text(value)


def _text(value: Any) -> str:
    return str(value).encode("utf-8", errors="replace").decode("utf-8")
