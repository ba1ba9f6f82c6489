"""How Python values become msgpack and are made again: LangGraph's form for what is plain, its own for types.

A value comes back as what it was, or not at all: a tuple stays a tuple, keys of a mapping stay enumerations,
and what LangGraph's serialiser keeps in part (an exception as its text, a `Counter` as a `dict`, an array
without its mask) is refused. An object is made from its fields without calling its constructor, and only if
its type still has the shape it had: bytes of another version of the application are not for this one.

Redis is shared ground. Of the types that bytes may name, only those are made that hold data (dataclasses,
pydantic models, enumerations, named tuples, and LangGraph's list of safe ones), and only from modules that
are loaded. LangGraph's own hook would call any function of any module.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timezone
from enum import Enum
from functools import lru_cache, partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import ormsgpack
from langgraph.checkpoint.serde import _msgpack as safe
from langgraph.checkpoint.serde import jsonplus
from langgraph.types import Send
from pydantic import BaseModel

from lgs_runtime.tracebacks import named_text

TUPLE: Final = 40
"""The extension for a tuple; LangGraph's own have the numbers below ten."""
INTEGER: Final = 41
"""The extension for an integer beyond 64 bits, as a text."""
TYPED: Final = 42
"""The extension for an object: module, name and shape of its type, then what it holds."""
PAIRS: Final = 43
"""The extension for a mapping with keys of which msgpack would make plain ones."""
PACKING: Final = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
)
CONSTRUCTORS: Final = (
    jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG,
    jsonplus.EXT_CONSTRUCTOR_POS_ARGS,
    jsonplus.EXT_CONSTRUCTOR_KW_ARGS,
)
SEND: Final = ("node", "arg", "timeout")
"""What a `Send` holds, in whichever version."""
COLLECTIONS: Final[tuple[type, ...]] = (set, frozenset, deque)
NESTED: Final[frozenset[type]] = frozenset({dict, list})
PLAIN_KEYS: Final[frozenset[type]] = frozenset({str, int, float, bool, bytes, type(None)})
ARRAY: Final = ("numpy", "ndarray")
TEXT: Final = ("langchain_core.messages.base", "TextAccessor")
"""What a message's `text` is: a text, but for an old way to ask for it."""
ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


class Unreadable(ValueError):
    """Bytes that are not a value of this version and this application."""


def pack(value: Any) -> bytes:
    """The bytes of a value. Raises `TypeError` for one that would not come back as it is (but for
    `bytearray` and `memoryview`, which come back as `bytes`, and the text of a message, as a plain one)."""
    try:
        return _with_texts_as_keys(value)
    except TypeError:
        return _with_any_keys(value)


def _with_texts_as_keys(value: Any) -> bytes:
    return ormsgpack.packb(value, default=_default, option=PACKING)


def _with_any_keys(value: Any) -> bytes:
    # Not `pack` for what is inside: trying both ways at each level would double the work with every level.
    option = PACKING | ormsgpack.OPT_NON_STR_KEYS
    held = value if type(value) not in NESTED or _keys_stay(value) else _with_pairs(value)
    return ormsgpack.packb(held, default=partial(_default, inner=_with_any_keys), option=option)


def _keys_stay(value: Any) -> bool:
    """Whether msgpack brings back the keys of a mapping and all within it, or all within a list."""
    if type(value) is dict:
        for key in value:
            if type(key) not in PLAIN_KEYS and not _stays(key):
                return False
        value = value.values()
    # Not `all`: this is most of the work for many small mappings.
    for each in value:  # noqa: SIM110
        if type(each) in NESTED and not _keys_stay(each):
            return False
    return True


def _with_pairs(value: Any) -> Any:
    if type(value) is list:
        return [_with_pairs(each) for each in value]
    if type(value) is not dict:
        return value
    if all(map(_stays, value)):
        return {key: _with_pairs(each) for key, each in value.items()}
    return ormsgpack.Ext(PAIRS, _with_any_keys([list(pair) for pair in value.items()]))


def _stays(key: Any) -> bool:
    """Whether msgpack brings a key back as what it is; of an enumeration's member it makes its value."""
    return all(map(_stays, key)) if type(key) is tuple else type(key) in PLAIN_KEYS


def unpack(raw: bytes) -> Any:
    """The value of bytes. Raises `Unreadable`."""
    try:
        return ormsgpack.unpackb(raw, ext_hook=_made, option=ormsgpack.OPT_NON_STR_KEYS)
    # What is made here is the application's: whatever it raises, these bytes are not for it.
    except Exception as failed:
        raise Unreadable(named_text(failed)) from failed


def _default(value: Any, inner: Callable[[Any], bytes] = _with_texts_as_keys) -> ormsgpack.Ext | str:
    kind = type(value)
    if kind is tuple:
        return ormsgpack.Ext(TUPLE, inner(list(value)))
    if kind is int:
        return ormsgpack.Ext(INTEGER, hex(value).encode())
    held = _held(value)
    if held is not None:
        return _typed(kind, held[0], inner)
    if (kind.__module__, kind.__qualname__) == TEXT:
        return str(value)
    if _is_plain(value):
        plain: Any = jsonplus._msgpack_default(value)
        if isinstance(plain, ormsgpack.Ext):
            return plain
    raise TypeError(f"a {kind.__module__}.{kind.__qualname__} would not come back as what it is")


def _is_plain(value: Any) -> bool:
    """Whether LangGraph's form has all of it: a subclass would come back as its base, if at all."""
    kind = type(value)
    if (kind.__module__, kind.__qualname__) == ARRAY:
        return not value.dtype.hasobject and value.dtype.names is None
    if kind is datetime and type(value.tzinfo) not in (type(None), timezone):
        return False
    return kind is re.Pattern or (kind.__module__, kind.__qualname__) in safe.SAFE_MSGPACK_TYPES


def _is_zoned(value: Any) -> bool:
    """Whether a date with a time is more than its ISO form says: its zone, or which of two same hours."""
    if type(value) is not datetime:
        return False
    return value.fold == 1 or (value.tzinfo is not UTC and type(value.tzinfo) in (timezone, ZoneInfo))


def _held(value: Any) -> tuple[Any] | None:
    """What an object of a type that holds data holds; None for others."""
    kind: Any = type(value)
    held: Any = None
    if kind is deque:
        held = [list(value), value.maxlen]
    elif kind in COLLECTIONS or (isinstance(value, tuple) and hasattr(value, "_fields")):
        held = list(value)
    elif isinstance(value, Enum):
        held = value.value
    elif kind is Send:
        held = {name: getattr(value, name) for name in SEND if hasattr(value, name)}
    elif _is_zoned(value):
        held = [value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo]
    elif isinstance(value, BaseModel):
        held = value.__getstate__()
        # What is only remembered (a `cached_property`) is found again.
        there, declared = value.__dict__, kind.model_fields
        if not declared.keys() >= there.keys():
            held["__dict__"] = {name: each for name, each in there.items() if name in declared}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type) and _is_its_fields(kind):
        held = _state(value)
    else:
        return None
    return (held,)


@lru_cache(maxsize=1024)
def _is_its_fields(kind: type) -> bool:
    """Whether objects of it hold no more than attributes: not, where it is a mapping or an exception, too."""
    try:
        return type(object.__new__(kind)) is kind
    except TypeError:
        return False


def _typed(kind: type, content: Any, inner: Callable[[Any], bytes]) -> ormsgpack.Ext:
    if _found(kind.__module__, kind.__qualname__) is not kind:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not found by its name")
    return ormsgpack.Ext(TYPED, inner([kind.__module__, kind.__qualname__, _shape(kind), content]))


def _state(value: Any) -> dict[str, Any]:
    """All that a dataclass holds, with slots or without."""
    fields = {field.name for field in dataclasses.fields(value)}
    own = getattr(value, "__dict__", {})
    return {**own, **{name: getattr(value, name) for name in fields if hasattr(value, name)}}


@lru_cache(maxsize=1024)
def _shape(kind: type) -> str:
    """A short name for what a type holds and is declared to hold, and for the members of an enumeration."""
    if issubclass(kind, Enum):
        fields = {name: _told(member.value) for name, member in kind.__members__.items()}
    elif issubclass(kind, BaseModel):
        fields = {name: str(field.annotation) for name, field in kind.model_fields.items()}
        fields |= dict.fromkeys(kind.__private_attributes__, "private")
    elif dataclasses.is_dataclass(kind):
        fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    elif kind is deque:
        fields = {"maxlen": ""}
    else:
        # Of a named tuple the place is what counts.
        declared = getattr(kind, "__annotations__", {})
        names = enumerate(getattr(kind, "_fields", ()))
        fields = {name: f"{place} {declared.get(name, '')}" for place, name in names}
    return hashlib.sha256(ADDRESS.sub("", repr(sorted(fields.items()))).encode()).hexdigest()[:8]


def _told(value: Any) -> str:
    """A value of an enumeration; of a set in an order that is the same in every process."""
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}{[*map(_told, value)]}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(map(_told, value))}"
    return repr(value)


def _made(code: int, data: bytes) -> Any:
    if code == TUPLE:
        return tuple(unpack(data))
    if code == INTEGER:
        return int(data, 16)
    if code == TYPED:
        return _object(*unpack(data))
    if code == PAIRS:
        return dict(unpack(data))
    if code == jsonplus.EXT_NUMPY_ARRAY:
        return _array(*unpack(data))
    return _plain(code, *unpack(data))


def _plain(code: int, module: str, name: str, content: Any, *method: str) -> Any:
    """A value of one of LangGraph's safe types, in its form."""
    kind = _found(module, name)
    if code == jsonplus.EXT_METHOD_SINGLE_ARG and (module, name, *method) in safe.SAFE_MSGPACK_METHODS:
        return getattr(kind, method[0])(content)
    if code not in CONSTRUCTORS or (module, name) not in safe.SAFE_MSGPACK_TYPES:
        raise Unreadable(f"{module}.{name} is not a type that holds data")
    if code == jsonplus.EXT_CONSTRUCTOR_KW_ARGS:
        return kind(**content)
    return kind(*content) if code == jsonplus.EXT_CONSTRUCTOR_POS_ARGS else kind(content)


def _array(kind: str, shape: Any, order: Any, content: bytes) -> Any:
    """An array that its caller may change; LangGraph's is one that is read only, or None for broken bytes."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise Unreadable("numpy is not loaded")
    declared = numpy.dtype(kind)
    if declared.hasobject:
        # Bytes would be taken for the addresses of objects.
        raise Unreadable(f"an array of {kind} is not one of plain values")
    return numpy.frombuffer(content, declared).reshape(shape, order=order).copy(order="K")


def _object(module: str, name: str, shape: str, content: Any) -> Any:
    """An object of a type that holds data, as it was."""
    kind = _found(module, name)
    if not isinstance(kind, type) or _shape(kind) != shape:
        raise Unreadable(f"{module}.{name} is not what it was")
    if kind is deque:
        return deque(*content)
    if kind in COLLECTIONS or issubclass(kind, Enum):
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


def _found(module: str, name: str) -> Any:
    """What a loaded module has under a name, None if nothing."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
