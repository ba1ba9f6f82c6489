"""Cache keys: values as canonical bytes, the same in every process and version.

Each value is written with its type, so that `1`, `1.0`, `True` and `"1"` make four keys; mappings and sets
are sorted. A value that has no such form (a client, a connection, an object with an identity of its own) is
refused with an error that names it: its `str()` would differ in each process or, worse, be the same for two
objects.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import CodeType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from lgs_runtime.cache.type_memo import by_type
from lgs_runtime.checks import with_article
from lgs_runtime.tracebacks import named_text

DEEPEST: Final = 64
MOST_BYTES: Final = 16 * 1024 * 1024
"""Largest size of an argument that is a container, in bytes of its canonical form."""
LARGE_BYTES: Final = 1024 * 1024
"""From this size of a container in bytes on, the form of each object in it is computed once: a few lists that
hold each other can make a tree of billions of items."""
WAY_OUT: Final = "leave it out with ignore=(...), or say what makes a call's key with key=..."
DIGEST: Final = 32
"""Hexadecimal digits of a key: 128 bits."""


def _with_zone(moment: datetime | time) -> str:
    # The offset says too little: two zones may have the same one today, and a time without a date has none.
    zone = getattr(moment.tzinfo, "key", None) or getattr(moment.tzinfo, "zone", None)
    if not isinstance(zone, str):
        if moment.tzinfo is not None and moment.tzinfo.utcoffset(None) is None:
            raise _NoForm(moment, f"its zone, {moment.tzinfo!r}, has no name and no offset of its own")
        zone = ""
    # `fold` tells apart the two equal hours when clocks go back.
    return f"{moment.isoformat()}{zone and ' '}{zone}{' fold' if moment.fold else ''}"


TEXTS: Final[Mapping[type, Callable[[Any], str]]] = {
    int: hex,
    float: float.hex,
    datetime: _with_zone,
    date: date.isoformat,
    time: _with_zone,
    timedelta: lambda span: f"{span.days}d{span.seconds}s{span.microseconds}",
    Decimal: lambda number: repr(number.as_tuple()),
    UUID: str,
    bool: str,
    complex: repr,
}
"""Types whose values are written as a text, and how."""
HOLDERS: Final = (dict, list, set, frozenset, tuple, str, bytes, int, float)
"""Base types whose dataclasses hold more than their fields say."""
NOTHING: Final = b"4:None0:"
TEXT: Final = "langchain_core.messages.base.TextAccessor"
"""The type of a message's `text`: a string, except that the old way to read it is a call."""


class UncacheableArgument(TypeError):
    """An argument from which no key can be made. The message names the argument and its type, and says what
    to do instead."""


One = Callable[[Any, int], bytes]
"""Writes a value, given its depth in an argument."""


class _Large(Exception):
    """A value is so large that it must be written by `_once`."""


class _NoForm(Exception):
    """A value without a canonical form."""

    def __init__(self, value: object, rule: str) -> None:
        super().__init__(rule)
        self.kind = _named(type(value))


def cache_key(*args: Any, **kwargs: Any) -> str:
    """A key made of these values, for `CachePolicy(key_func=cache_key)` of a node or a task: equal values
    have the same key in every process, unlike with LangGraph's default, a pickle.

    Raises `UncacheableArgument`.
    """
    named = {**{str(position): value for position, value in enumerate(args)}, **kwargs}
    return digest(_canonical_arguments(named, "cache_key"))


def digest(*parts: str | bytes) -> str:
    """One hexadecimal digest of several parts, each of any length."""
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(raw).to_bytes(8, "big") + raw)
    return found.hexdigest()[:DIGEST]


def code_of(function: Callable[..., Any]) -> bytes:
    """The code of a function in canonical form, for keys that tell apart functions of one name. The same in
    every process."""
    return _once({})(_form_of(function.__code__), 0)


def _form_of(held: Any) -> Any:
    if isinstance(held, CodeType):
        return held.co_code, held.co_names, _form_of(held.co_consts)
    if isinstance(held, tuple):
        return tuple(map(_form_of, held))
    return repr(held) if held is Ellipsis else held


class Arguments:
    """Makes the keys of one function's calls: however an argument is given (by position, by name, by
    default), the same call has the same key."""

    def __init__(self, function: Callable[..., Any], name: str, leave_out: Collection[str] = ()) -> None:
        """Raises `ValueError` if a name in `leave_out` is not a parameter of the function."""
        self._signature = inspect.signature(function)
        self._name = name
        unknown = [one for one in leave_out if one not in self._signature.parameters]
        if unknown:
            there = ", ".join(self._signature.parameters) or "none"
            raise ValueError(f"{name}: ignore: {unknown[0]}: must be a parameter; there are: {there}")
        self._leave_out = frozenset(leave_out)

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The canonical form of a call. Raises `UncacheableArgument`, and `TypeError` where the call itself
        would."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named = {name: value for name, value in bound.arguments.items() if name not in self._leave_out}
        return _canonical_arguments(named, self._name)


def canonical(value: Any, name: str) -> bytes:
    """The canonical form of what a `key` function returned. Raises `UncacheableArgument`."""
    return _canonical_arguments({"key": value}, name)


def _canonical_arguments(named: Mapping[str, Any], name: str, one: One | None = None) -> bytes:
    found: list[bytes] = []
    for argument, value in sorted(named.items()):
        try:
            found += (_one(argument, 0), (one or _one)(value, 0))
        except _Large:
            return _canonical_arguments(named, name, _once({}))
        except _NoForm as none:
            given = _named(type(value))
            inside = "" if given == none.kind else f" with {with_article(none.kind)} in it"
            raise UncacheableArgument(
                f"{name}: argument {argument!r} is {with_article(given)}{inside}: {none}; {WAY_OUT}"
            ) from None
        # A value's parts are read through its own methods, which may raise anything.
        except Exception as raised:
            raise UncacheableArgument(
                f"{name}: argument {argument!r} is {with_article(_named(type(value)))} that can't be read "
                f"({named_text(raised)}); {WAY_OUT}"
            ) from raised
    return b"".join(found)


def _once(forms: dict[int, tuple[Any, bytes]]) -> One:
    """Returns a function that computes an object's form once, even if it is held several times. `forms` has
    the forms so far, by identity; it keeps each value alive, so that no later one gets the same identity."""

    def one(value: Any, depth: int) -> bytes:
        known = forms.get(id(value))
        if known is None:
            known = forms[id(value)] = value, _one(value, depth, one)
        return known[1]

    return one


def _one(value: Any, depth: int, one: One | None = None) -> bytes:
    """Writes a value as type, length and content, so that its bytes can't be mistaken for those of two
    others. `one` writes the values that it holds; raises `_Large` if the value needs `one` and it is not
    given."""
    if depth > DEEPEST:
        raise _NoForm(value, f"a key must not be deeper than {DEEPEST} levels")
    kind: type = type(value)
    if kind is str:
        return _part(b"3:str", value.encode("utf-8", "surrogatepass"))
    if value is None:
        return NOTHING
    if (text := TEXTS.get(kind)) is not None:
        return _part(_marked(kind), text(value).encode())
    if kind in (bytes, bytearray):
        return _part(_marked(kind), bytes(value))
    if isinstance(value, str) and _named(kind) == TEXT:
        return _one(str(value), depth)
    content = b"".join(_parts(value, depth + 1, one or _one))
    if len(content) > LARGE_BYTES:
        _check_size(value, content, one)
    return _part(_marked(kind), content)


def _check_size(value: Any, content: bytes, one: One | None) -> None:
    if one is None:
        raise _Large
    if len(content) > MOST_BYTES:
        raise _NoForm(value, f"a key must not be made of more than {MOST_BYTES} bytes")


def _parts(value: Any, depth: int, one: One) -> Iterable[bytes]:
    """The canonical forms of the parts of a composite value."""
    kind = type(value)
    if kind is list or kind is tuple:
        return [one(item, depth) for item in value]
    if kind is dict:
        return _in_order(value, depth, one)
    if kind is set or kind is frozenset:
        return sorted([one(item, depth) for item in value])
    return _parts_of_object(value, depth, one)


def _parts_of_object(value: Any, depth: int, one: One) -> Iterable[bytes]:
    if isinstance(value, Enum):
        # Not `name`, which the application may have redefined. A combination of flags may have no name: then
        # its value is what distinguishes it.
        named = value._name_
        return [one(named, depth), *([one(value._value_, depth)] if named is None else [])]
    if isinstance(value, PurePath):
        return [one(str(value), depth)]
    if isinstance(value, BaseModel):
        # As pydantic's own `==` compares models: private attributes count too, but what is only remembered (a
        # `cached_property`) does not.
        private: dict[Any, Any] = {(name,): held for name, held in (value.__pydantic_private__ or {}).items()}
        there = value.__dict__
        held = {name: there[name] for name in type(value).model_fields if name in there}
        return _in_order({**held, **(value.__pydantic_extra__ or {}), **private}, depth, one)
    if is_dataclass(value) and not isinstance(value, (type, *HOLDERS)):
        compared = {field.name: getattr(value, field.name) for field in fields(value) if field.compare}
        return _in_order(compared, depth, one)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        # A subclass may have attributes, which distinguish calls too.
        beside = getattr(value, "__dict__", {})
        return [one(item, depth) for item in (*value, *([beside] if beside else []))]
    if type(value).__module__ == "numpy" and hasattr(value, "dtype") and not value.dtype.hasobject:
        kinds = value.dtype.str if value.dtype.names is None else repr(value.dtype.descr)
        return [one(kinds, depth), one(tuple(value.shape), depth), one(value.tobytes(), depth)]
    raise _NoForm(value, "it has no form that is the same in every process")


def _in_order(items: Mapping[Any, Any], depth: int, one: One) -> Sequence[bytes]:
    return sorted([one(key, depth) + one(item, depth) for key, item in items.items()])


def _part(marked: bytes, content: bytes) -> bytes:
    return b"%b%d:%b" % (marked, len(content), content)


@by_type
def _marked(kind: type) -> bytes:
    name = _named(kind).encode()
    return b"%d:%b" % (len(name), name)


def _named(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
