"""Which types of objects the cache keeps, how an object's contents are read, and how an object is recreated
from them.

An object is recreated from its fields without calling its constructor, and only if its type still has the
same shape: bytes of another version of the application are not for this one. Redis is shared ground: of the
types that bytes may name, only those that hold data (dataclasses, pydantic models, enumerations, named
tuples) are recreated, and only from modules that are loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timezone
from enum import Enum
from operator import attrgetter
from pathlib import PurePosixPath, PureWindowsPath
from types import MemberDescriptorType
from typing import Any, Final
from zoneinfo import ZoneInfo

from langgraph.types import Send
from pydantic import BaseModel

from lgs_runtime.cache.type_memo import by_type

SEND: Final = ("node", "arg", "timeout")
"""The attributes of a `Send`, in all versions of LangGraph."""
COLLECTIONS: Final[tuple[type, ...]] = (set, frozenset, deque)
PURE_PATHS: Final[tuple[type, ...]] = (PurePosixPath, PureWindowsPath)
ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


PLAINLY: Final[Mapping[Any, Callable[[Any], Any]]] = {
    **dict.fromkeys((set, frozenset), list),
    deque: lambda value: [list(value), value.maxlen],
    Send: lambda value: {name: getattr(value, name) for name in SEND if hasattr(value, name)},
    datetime: lambda value: [value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo],
    complex: lambda value: [value.real, value.imag],
    # A `Path` is among the types that LangGraph's own form keeps.
    **dict.fromkeys(PURE_PATHS, str),
}
"""How to read the contents of an object, by type, for types that no application defines."""


class Unreadable(ValueError):
    """Bytes that are not a value of this version and this application."""


def contents_of(value: Any) -> tuple[Any] | None:
    """The contents of an object whose type holds data, in a tuple, since they may be None; None for other
    objects."""
    kind: Any = type(value)
    holds = _holds(kind)
    if holds is None or (kind is datetime and not _is_zoned(value)):
        return None
    return (holds(value),)


def _is_zoned(value: datetime) -> bool:
    """Whether a `datetime` holds more than its ISO form says: its zone, or which of two equal hours it is."""
    return value.fold == 1 or (value.tzinfo is not UTC and type(value.tzinfo) in (timezone, ZoneInfo))


@by_type
def _holds(kind: Any) -> Callable[[Any], Any] | None:
    """A function that returns the contents of a type's objects; None for a type that holds more than data."""
    if kind in PLAINLY:
        return PLAINLY[kind]
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _items
    if issubclass(kind, Enum):
        return attrgetter("_value_") if _found_by_value(kind) else _name_of
    if issubclass(kind, BaseModel):
        return _holds_of_model(kind)
    is_data = dataclasses.is_dataclass(kind) and _is_its_fields(kind)
    return _holds_of_dataclass(kind) if is_data else None


def _items(value: Any) -> list[Any]:
    """The items of a named tuple. Raises `TypeError` if it has attributes besides its fields."""
    if getattr(value, "__dict__", None):
        raise TypeError(f"a {type(value).__qualname__} with {', '.join(vars(value))} beside its fields")
    return list(value)


@by_type
def _found_by_value(kind: type[Enum]) -> bool:
    """Whether an enumeration finds each member by its value: not if a value equals nothing, such as NaN, or
    if the application looks members up in another way."""
    try:
        return all(
            kind(each._value_) is each and _equals_its_copy(each._value_)
            for each in kind.__members__.values()
        )
    # Its `_missing_` is the application's.
    except Exception:  # noqa: BLE001
        return False


def _equals_its_copy(value: Any) -> bool:
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(_equals_its_copy, value))
    return bool(value == value)  # noqa: PLR0124 - NaN does not


def _name_of(member: Enum) -> str:
    """The name of an enumeration's member. Raises `TypeError` for a combination of flags that no name
    finds."""
    if type(member).__members__.get(member._name_) is not member:
        raise TypeError(f"a {type(member).__qualname__} that is found neither by its value nor by its name")
    return member._name_


def _holds_of_model(kind: type[BaseModel]) -> Callable[[Any], Any]:
    declared = frozenset(kind.model_fields)

    def state(value: Any) -> Any:
        held, there = value.__getstate__(), value.__dict__
        # What is only remembered (a `cached_property`) is computed again.
        if not declared >= there.keys():
            held["__dict__"] = {name: each for name, each in there.items() if name in declared}
        return held

    return state


def _holds_of_dataclass(kind: Any) -> Callable[[Any], Any]:
    own_and_above = [pair for each in kind.__mro__ for pair in vars(each).items()]
    slots = [name for name, held in own_and_above if isinstance(held, MemberDescriptorType)]
    names = dict.fromkeys([*(field.name for field in dataclasses.fields(kind)), *slots]).keys()

    def state(value: Any) -> dict[str, Any]:
        own: dict[str, Any] = getattr(value, "__dict__", {})
        if names <= own.keys():
            return own
        rest = {name: getattr(value, name) for name in names if name not in own and hasattr(value, name)}
        return {**own, **rest}

    return state


def _is_its_fields(kind: Any) -> bool:
    """Whether objects of a dataclass hold only attributes: not if it is a mapping or an exception, too."""
    try:
        return type(object.__new__(kind)) is kind
    except TypeError:
        return False


@by_type
def shape_of(kind: type) -> str:
    """A short digest of what a type holds and declares, or of the members of an enumeration."""
    if issubclass(kind, Enum):
        # Not `value` and `name`, which the application may have redefined.
        fields = {name: _told(member._value_) for name, member in kind.__members__.items()}
        fields |= {} if _found_by_value(kind) else {"": "by name"}
    elif issubclass(kind, BaseModel):
        fields = {name: str(field.annotation) for name, field in kind.model_fields.items()}
        fields |= dict.fromkeys(kind.__private_attributes__, "private")
    elif dataclasses.is_dataclass(kind):
        fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    elif kind is deque:
        fields = {"maxlen": ""}
    else:
        # In a named tuple the position is what counts.
        declared = getattr(kind, "__annotations__", {})
        names = enumerate(getattr(kind, "_fields", ()))
        fields = {name: f"{place} {declared.get(name, '')}" for place, name in names}
    return hashlib.sha256(ADDRESS.sub("", repr(sorted(fields.items()))).encode()).hexdigest()[:8]


def _told(value: Any) -> str:
    """An enumeration's value as text; sets are sorted, so that it is the same in every process."""
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}{[*map(_told, value)]}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(map(_told, value))}"
    return repr(value)


@by_type
def head_of(kind: type) -> tuple[str, str, str]:
    """What is written about a type: its module, its name and its shape."""
    return kind.__module__, kind.__qualname__, shape_of(kind)


def object_of(module: str, name: str, shape: str, content: Any) -> Any:
    """Recreates an object of a type that holds data. Raises `Unreadable` for another type, or one whose shape
    has changed, and what the type itself raises."""
    kind = type_named(module, name)
    if not isinstance(kind, type) or shape_of(kind) != shape:
        raise Unreadable(f"{module}.{name} is not what it was")
    if kind is deque:
        return deque(*content)
    if issubclass(kind, Enum) and not _found_by_value(kind):
        return kind.__members__[content]
    if kind is complex:
        return complex(*content)
    if kind in (*COLLECTIONS, *PURE_PATHS) or issubclass(kind, Enum):
        return kind(content)
    made: Any
    if kind is datetime:
        moment, fold, zone = content
        made = datetime.fromisoformat(moment).replace(fold=fold, tzinfo=zone)
    elif issubclass(kind, BaseModel):
        made = kind.__new__(kind)
        made.__setstate__(content)
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        made = tuple.__new__(kind, content)
    elif kind is Send or dataclasses.is_dataclass(kind):
        made = object.__new__(kind)
        for field, held in content.items():
            object.__setattr__(made, field, held)
    else:
        raise Unreadable(f"{module}.{name} is not a type that holds data")
    return made


def type_named(module: str, name: str) -> Any:
    """The object of this name in a loaded module; None if there is none."""
    found: Any = sys.modules.get(module)
    if "." not in name:
        return getattr(found, name, None)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
