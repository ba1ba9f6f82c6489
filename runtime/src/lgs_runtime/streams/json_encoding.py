"""Encodes whatever graphs keep and emit as JSON: one encoder for answers, streams, webhooks and stored
values.

Each type gets the form that LangGraph's own server gives it, so that clients find the same: bytes are base64,
a `timedelta` its seconds, a `Decimal` a number, a pattern its text, a model its fields, an object without any
form null. Nothing raises: `json_fallback` writes what orjson refuses.
"""

from __future__ import annotations

import ipaddress
import json
import re
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping, Set
from datetime import timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from langgraph.types import Send

from lgs_runtime.streams import json_fallback

OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
LARGEST_EXPONENT: Final = 400
"""A `Decimal` with a higher exponent is written as a float: no double is that large, and the digits of such
an integer could fill the memory."""

Conversion = Callable[[Any], Any]


def encode(value: Any) -> bytes:
    """JSON bytes of any value."""
    try:
        # Copied: orjson's result keeps the whole four KiB that it was written into, and events are kept.
        return bytes(memoryview(orjson.dumps(value, default=simpler, option=OPTIONS)))
    except (TypeError, RecursionError):
        # Some value inside can't be written by orjson; only that one is written in another way.
        return json_fallback.encode(value, simpler, OPTIONS)


def to_json(value: Any) -> Any:
    """Any value as plain JSON types: what `encode` writes, read back, with integers of any size."""
    try:
        return orjson.loads(orjson.dumps(value, default=simpler, option=OPTIONS))
    except (TypeError, RecursionError):
        return _read(json_fallback.encode(value, simpler, OPTIONS))


def _read(document: bytes) -> Any:
    try:
        return json.loads(document)
    except RecursionError:
        # Too deep for the `json` parser; orjson's makes doubles of integers beyond 64 bits.
        return orjson.loads(document)


def simpler(value: Any) -> Any:
    """Brings a value that orjson doesn't know one level nearer to JSON; used as orjson's `default`."""
    return conversion(type(value))(value)


def _conversion(kind: Any) -> Conversion:
    """How values of a type are written: the first rule that fits, in the order of LangGraph's server."""
    if issubclass(kind, Send):
        return lambda send: {"node": send.node, "args": send.arg}
    for method in ("model_dump", "dict", "_asdict"):
        if callable(getattr(kind, method, None)) and not issubclass(kind, type):
            return _call(method)
    for kinds, convert in CONVERSIONS:
        if issubclass(kind, kinds):
            return convert
    # Arrays that orjson does not write: those that are not contiguous, or of kinds that it doesn't know.
    return _call("tolist") if kind.__module__.partition(".")[0] == "numpy" else _nothing


conversion: Callable[[Any], Conversion] = lru_cache(maxsize=1024)(_conversion)


def _call(method: str) -> Conversion:
    return lambda value: getattr(value, method)()


def _nothing(_value: Any) -> None:
    return None


def _number(value: Decimal) -> int | float:
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= 0 and value.adjusted() < LARGEST_EXPONENT:
        return int(value)
    return float(value)


CONVERSIONS: Final[tuple[tuple[Any, Conversion], ...]] = (
    (BaseException, lambda raised: {"error": type(raised).__name__, "message": str(raised)}),
    ((Set, deque), list),
    ((timezone, ZoneInfo), lambda zone: zone.tzname(None) or str(zone)),
    (timedelta, timedelta.total_seconds),
    (Decimal, _number),
    (
        (
            UUID,
            PurePath,
            ipaddress.IPv4Address,
            ipaddress.IPv6Address,
            ipaddress.IPv4Interface,
            ipaddress.IPv6Interface,
            ipaddress.IPv4Network,
            ipaddress.IPv6Network,
        ),
        str,
    ),
    (re.Pattern, lambda pattern: pattern.pattern),
    ((bytes, bytearray, memoryview), lambda raw: b64encode(raw).decode()),
    (Mapping, dict),
)
"""LangGraph's server leaves out the message of most exceptions, and makes null of mappings that are no
`dict`; here both are whole."""
