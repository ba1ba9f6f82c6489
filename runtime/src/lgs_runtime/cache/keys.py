"""What distinguishes calls: values as canonical bytes, the same in every process and version.

Each value is written with its type, so that `1`, `1.0`, `True` and `"1"` are four keys; mappings and sets are
put in order. What has no such form (a client, a connection, an object with an identity of its own) is refused
by name: `str()` of it would differ in each process, or, worse, be the same for two.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import CodeType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from lgs_runtime.checks import with_article

DEEPEST: Final = 64
WAY_OUT: Final = "leave it out with ignore=(...), or say what makes a call's key with key=..."
DIGEST: Final = 32
"""Hexadecimal digits of a key: 128 bits."""


def _with_zone(moment: datetime | time) -> str:
    # Its offset says too little: that of two zones may be the same today, and a time without a date has none.
    zone = getattr(moment.tzinfo, "key", None) or getattr(moment.tzinfo, "zone", None)
    return f"{moment.isoformat()} {zone}" if isinstance(zone, str) else moment.isoformat()


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
"""Types whose values are a text."""
TEXT: Final = "langchain_core.messages.base.TextAccessor"
"""What a message's `text` is: a text, but for an old way to ask for it."""


class UncacheableArgument(TypeError):
    """An argument from which no key can be made. Says which one, its type, and the way out."""


class _NoForm(Exception):
    """A value without a canonical form."""

    def __init__(self, value: object, rule: str) -> None:
        super().__init__(rule)
        self.kind = _named(type(value))


def cache_key(*args: Any, **kwargs: Any) -> str:
    """A key of these values, for `CachePolicy(key_func=cache_key)` of a node or a task: the same for equal
    values in every process, which LangGraph's own, a pickle, is not.

    Raises `UncacheableArgument`.
    """
    named = {**{str(position): value for position, value in enumerate(args)}, **kwargs}
    return digest(_canonical_arguments(named, "cache_key"))


def digest(*parts: str | bytes) -> str:
    """One name for several parts, each of any length."""
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(raw).to_bytes(8, "big") + raw)
    return found.hexdigest()[:DIGEST]


def code_of(function: Callable[..., Any]) -> bytes:
    """What a function does, for its keys: others may have its name. The same in every process."""
    return _one(_form_of(function.__code__), 0)


def _form_of(held: Any) -> Any:
    if isinstance(held, CodeType):
        return held.co_code, held.co_names, _form_of(held.co_consts)
    if isinstance(held, tuple):
        return tuple(map(_form_of, held))
    return repr(held) if held is Ellipsis else held


class Arguments:
    """Makes keys of calls of one function: however an argument is given (by place, by name, by default), the
    same call has the same key."""

    def __init__(self, function: Callable[..., Any], name: str, leave_out: Collection[str] = ()) -> None:
        """Raises `ValueError` when a parameter to `leave_out` is not there."""
        self._signature = inspect.signature(function)
        self._name = name
        unknown = [one for one in leave_out if one not in self._signature.parameters]
        if unknown:
            there = ", ".join(self._signature.parameters) or "none"
            raise ValueError(f"{name}: ignore: {unknown[0]}: must be a parameter; there are: {there}")
        self._leave_out = frozenset(leave_out)

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The canonical form of a call. Raises `UncacheableArgument`, and `TypeError` as the call would."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named = {name: value for name, value in bound.arguments.items() if name not in self._leave_out}
        return _canonical_arguments(named, self._name)


def canonical(value: Any, name: str) -> bytes:
    """The canonical form of what a `key` function returned. Raises `UncacheableArgument`."""
    return _canonical_arguments({"key": value}, name)


def _canonical_arguments(named: Mapping[str, Any], name: str) -> bytes:
    found = bytearray()
    for argument, value in sorted(named.items()):
        try:
            _write(argument, found, 0)
            _write(value, found, 0)
        except _NoForm as none:
            given = _named(type(value))
            inside = "" if given == none.kind else f" with {with_article(none.kind)} in it"
            raise UncacheableArgument(
                f"{name}: argument {argument!r} is {with_article(given)}{inside}: {none}; {WAY_OUT}"
            ) from None
        # Its parts are asked for by its own methods, which may raise anything.
        except Exception as raised:
            raise UncacheableArgument(
                f"{name}: argument {argument!r} is {with_article(_named(type(value)))} that can't be read "
                f"({type(raised).__name__}: {raised}); {WAY_OUT}"
            ) from raised
    return bytes(found)


def _write(value: Any, to: bytearray, depth: int) -> None:
    """Appends type, length and content: no value's bytes can be taken for those of two others."""
    if depth > DEEPEST:
        raise _NoForm(value, f"a key must not be deeper than {DEEPEST} levels")
    kind = type(value)
    if kind is str:
        _part(to, b"str", value.encode("utf-8", "surrogatepass"))
    elif value is None:
        _part(to, b"None", b"")
    elif kind in (bytes, bytearray):
        _part(to, kind.__name__.encode(), bytes(value))
    elif (text := TEXTS.get(kind)) is not None:
        _part(to, kind.__name__.encode(), text(value).encode())
    elif isinstance(value, str) and _named(kind) == TEXT:
        _write(str(value), to, depth)
    else:
        inner = bytearray()
        for part in _parts(value, depth + 1):
            inner += part if isinstance(part, bytes) else _one(part, depth + 1)
        _part(to, _named(kind).encode(), bytes(inner))


def _parts(value: Any, depth: int) -> Sequence[Any]:
    """What a value of several is made of; what is bytes already is in its form."""
    kind = type(value)
    if kind in (list, tuple):
        return [_one(item, depth) for item in value]
    if kind is dict:
        return _in_order(value, depth)
    if kind in (set, frozenset):
        return sorted(_one(item, depth) for item in value)
    return _parts_of_object(value, depth)


def _parts_of_object(value: Any, depth: int) -> Sequence[Any]:
    found: Sequence[Any] | None = None
    if isinstance(value, Enum):
        # Of flags that nobody has named the value is all that there is.
        found = [value.name, *([value.value] if value.name is None else [])]
    elif isinstance(value, PurePath):
        found = [str(value)]
    elif isinstance(value, BaseModel):
        # As pydantic's own `==` compares them: private attributes distinguish models, too, and what is only
        # remembered (a `cached_property`) does not.
        private: dict[Any, Any] = {(name,): held for name, held in (value.__pydantic_private__ or {}).items()}
        held = {name: value.__dict__[name] for name in type(value).model_fields if name in value.__dict__}
        found = _in_order({**held, **(value.__pydantic_extra__ or {}), **private}, depth)
    elif is_dataclass(value) and not isinstance(value, type):
        compared = {field.name: getattr(value, field.name) for field in fields(value) if field.compare}
        found = _in_order(compared, depth)
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        found = [_one(item, depth) for item in value]
    elif type(value).__module__ == "numpy" and hasattr(value, "dtype") and not value.dtype.hasobject:
        kinds = value.dtype.str if value.dtype.names is None else repr(value.dtype.descr)
        found = [kinds, tuple(value.shape), _one(value.tobytes(), depth)]
    if found is None:
        raise _NoForm(value, "it has no form that is the same in every process")
    return found


def _in_order(items: Mapping[Any, Any], depth: int) -> Sequence[bytes]:
    return sorted(_one(key, depth) + _one(item, depth) for key, item in items.items())


def _one(value: Any, depth: int) -> bytes:
    found = bytearray()
    _write(value, found, depth)
    return bytes(found)


def _part(to: bytearray, kind: bytes, content: bytes) -> None:
    to += b"%d:%b%d:%b" % (len(kind), kind, len(content), content)


def _named(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
