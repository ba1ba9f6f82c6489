"""JSON and text in a form that the databases take, and back to what they were.

Graphs and clients have values that can't be stored as they are: PostgreSQL's text and searchable JSON can't
hold the character NUL, UTF-8 can't hold half a character (a lone surrogate), the usual parser can't read an
integer beyond 64 bits, and PostgreSQL makes integers of large floats. Such a character is stored as a mark
and its number, such a number as a text with a mark. The mark is a code point that Unicode reserves for a
program's own use; a mark that stands in the value is marked too. So each value has one form, and values that
are equal, or contained in another, stay so in the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, overload

import orjson

MARK: Final = "\U0001fffe"
"""A character beyond the usual planes, so that a search for it in text of most languages takes no time."""
MARK_BYTES: Final = MARK.encode()
INTEGER: Final = f"{MARK}i"
MOST_BITS: Final = 14_000
"""Largest size of an integer in bits: Python reads and writes integers of up to 4300 digits. A larger one
becomes null."""
FLOAT: Final = f"{MARK}f"
_FIRST_WITHOUT_POINT: Final = 1e16
_NUMBER: Final = re.compile(f"(?:{INTEGER}(-?[0-9]{{1,4300}})|{FLOAT}(-?[0-9.]+e[+][0-9]+))")
_AWKWARD: Final = re.compile(f"[\x00\ud800-\udfff{MARK}]")
_MARKED: Final = re.compile(f"{MARK}(0000|d[89a-f][0-9a-f]{{2}}|fffe)")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def dump(value: Any) -> str:
    """A JSON document that any column takes. Values that JSON doesn't know become their text."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return json.dumps(_each(value, escape, _marked), ensure_ascii=False, default=str)
    # A search for one character is much faster than one for several.
    if MARK in text or ("\\" in text and "\\u0000" in text) or ("+" in text and "e+1" in text):
        return json.dumps(_each(value, escape, _marked), ensure_ascii=False, default=str)
    return text


def dump_optional(value: Any) -> str | None:
    """A JSON document, or None (NULL) for None."""
    return None if value is None else dump(value)


def load(text: str | bytes) -> Any:
    """The value of a JSON document."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = json.loads(text)
    marked = MARK in text if isinstance(text, str) else MARK_BYTES in text
    return restored(value) if marked else value


def restored(value: Any) -> Any:
    """The value whose marked form another parser has read."""
    return _each(value, unescape, _unmarked)


@overload
def escape(text: str) -> str: ...
@overload
def escape(text: None) -> None: ...
def escape(text: str | None) -> str | None:
    """The text in a form that any column takes."""
    if text is None or (text.isascii() and "\x00" not in text):
        return text
    return _AWKWARD.sub(lambda found: f"{MARK}{ord(found[0]) & 0xFFFF:04x}", text)


@overload
def unescape(text: str) -> str: ...
@overload
def unescape(text: None) -> None: ...
def unescape(text: str | None) -> str | None:
    """The text that `escape` was given."""
    if text is None or MARK not in text:
        return text
    return _MARKED.sub(lambda found: MARK if found[1] == "fffe" else chr(int(found[1], 16)), text)


def contains(whole: Any, part: Any) -> bool:
    """Whether `part` is contained in `whole`, in the sense of PostgreSQL's `@>`: objects by key, arrays by
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


def _each(value: Any, key: Callable[[str], str], scalar: Callable[[Any], Any]) -> Any:
    """The value with `key` applied to each of its keys and `scalar` to each of its scalars."""
    if isinstance(value, dict):
        return {
            key(name) if isinstance(name, str) else name: _each(item, key, scalar)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_each(item, key, scalar) for item in value]
    return scalar(value)


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return f"{INTEGER}{value}" if value.bit_length() <= MOST_BITS else None
    if isinstance(value, float) and _FIRST_WITHOUT_POINT <= abs(value) <= _LARGEST:
        return f"{FLOAT}{value!r}"
    if value is None or isinstance(value, int):
        return value
    # As orjson writes it, where it can: times and identifiers; NaN becomes null.
    try:
        return orjson.loads(orjson.dumps(value))
    except TypeError:
        return escape(str(value))


def _unmarked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if found := _NUMBER.fullmatch(value):
        return int(found[1]) if found[1] else float(found[2])
    return unescape(value)
