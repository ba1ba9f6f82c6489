"""JSON and text as the databases take them.

Databases refuse the character NUL in text and in searchable JSON, and graphs do produce it; it is dropped
there rather than losing the run that carries it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def dump(value: Any) -> str:
    """A JSON document. Integers beyond 64 bit are kept; what JSON doesn't know becomes its text."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return json.dumps(value, default=str, ensure_ascii=True)


def dump_searchable(value: Any) -> str:
    """A JSON document without NUL."""
    text = dump(value)
    return _ESCAPED_NUL.sub(r"\1", text) if "\\u0000" in text else text


def dump_optional(value: Any) -> str | None:
    """A JSON document without NUL, or NULL for None."""
    return None if value is None else dump_searchable(value)


def load(text: str | bytes) -> Any:
    """The value of a JSON document."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def clean(text: str | None) -> str | None:
    """Text without NUL and lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def contains(whole: Any, part: Any) -> bool:
    """Whether `part` is contained in `whole`, as the `@>` of Postgres means it: objects by key, arrays by
    element."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and contains(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(
            any(contains(item, wanted) for item in whole) for wanted in part
        )
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)
