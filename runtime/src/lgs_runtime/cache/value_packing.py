"""How Python values become msgpack and are made again: LangGraph's form for what is plain, its own for types.

A value comes back as what it was, or not at all: a tuple stays a tuple, keys of a mapping stay enumerations,
and what LangGraph's serialiser keeps in part (an exception as its text, a `Counter` as a `dict`, an array
without its mask) is refused. `value_types` says which objects are kept, and makes them again; LangGraph's own
hook would call any function of any module, so that of its types those alone are made that it calls safe.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from gc import is_tracked
from typing import Any, Final

import ormsgpack
from langgraph.checkpoint.serde import _msgpack as safe
from langgraph.checkpoint.serde import jsonplus

from lgs_runtime.cache.value_types import Unreadable, contents_of, head_of, object_of, type_named
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
NESTED: Final[frozenset[type]] = frozenset({dict, list})
FEW: Final = 1 << 14
"""A value that stands for so few is not asked which of those that it holds are the same."""
PLAIN_KEYS: Final[frozenset[type]] = frozenset({str, int, float, bool, bytes, type(None)})
ARRAY: Final = ("numpy", "ndarray")
TEXT: Final = ("langchain_core.messages.base", "TextAccessor")
"""What a message's `text` is: a text, but for an old way to ask for it."""


def pack(value: Any, most: int = sys.maxsize) -> bytes:
    """The bytes of a value. Raises `TypeError` for one that would not come back as it is (but for
    `bytearray` and `memoryview`, which come back as `bytes`, and the text of a message, as a plain one), and
    for one of which more than `most` values or bytes would be packed; and what a value itself raises."""
    try:
        return Packing(most).with_texts_as_keys(value)
    except TypeError:
        packing = Packing(most)
    try:
        return packing.with_any_keys(value)
    except TypeError as failed:
        raise packing.failure or failed from None


class Packing:
    """A value on its way to bytes. What is held several times is in them each time, and a few objects that
    hold each other can be a tree of billions: so an object or a tuple is packed once, and what has got too
    long is given up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.failure: Exception | None = None
        """What was raised for something within, of which msgpack says only what that is."""
        self._length = 0
        """Of the objects and tuples that are packed by now, but for those in others."""
        self._packed: dict[int, tuple[Any, ormsgpack.Ext | str, int]] = {}
        """By identity: each is held, so that none that comes later has its identity; and how long it is."""
        self._options = PACKING

    def with_texts_as_keys(self, value: Any) -> bytes:
        """For a value all of whose mappings have texts for keys. Raises `TypeError` for others."""
        self._check_values(value)
        return self._bytes(value)

    def with_any_keys(self, value: Any) -> bytes:
        """For any value."""
        # Not `pack` for what is inside: to try both ways at each level would double the work with each.
        self._options = PACKING | ormsgpack.OPT_NON_STR_KEYS
        self._check_values(value)
        return self._bytes(value)

    def _bytes(self, value: Any) -> bytes:
        if self._options != PACKING and type(value) in NESTED and not _keys_stay(value):
            value = _with_pairs(value, self._bytes)
        return ormsgpack.packb(value, default=self._form, option=self._options)

    def _check_values(self, value: Any) -> None:
        if type(value) in NESTED and is_tracked(value) and has_more_values(value, self._most):
            raise self._too_many()

    def _too_many(self) -> TypeError:
        return TypeError(f"more than {self._most} values or bytes, which are the most")

    def _form(self, value: Any) -> ormsgpack.Ext | str:
        """What stands for a value that msgpack has no form for."""
        before = self._length
        known = self._packed.get(id(value))
        try:
            if known is None:
                known = self._packed[id(value)] = (value, *self._made(value))
            self._length = before + known[2]
            if self._length > self._most:
                raise self._too_many()
        except Exception as raised:
            self.failure = self.failure or raised
            raise
        return known[1]

    def _made(self, value: Any) -> tuple[ormsgpack.Ext | str, int]:
        kind = type(value)
        if kind is set or kind is frozenset:
            # What has a hash is neither a list nor a mapping.
            return _extension(TYPED, self._bytes([*head_of(kind), list(value)]))
        if kind is tuple:
            held = list(value)
            self._check_values(held)
            return _extension(TUPLE, self._bytes(held))
        if kind is int:
            return _extension(INTEGER, hex(value).encode())
        contents = contents_of(value)
        if contents is not None:
            return _extension(TYPED, self._typed(kind, contents[0]))
        if (kind.__module__, kind.__qualname__) == TEXT:
            return str(value), len(value)
        if _is_plain(value):
            plain: Any = jsonplus._msgpack_default(value)
            if isinstance(plain, ormsgpack.Ext):
                return plain, _length_of(value)
        raise TypeError(f"a {kind.__module__}.{kind.__qualname__} would not come back as what it is")

    def _typed(self, kind: type, content: Any) -> bytes:
        self._check_values(content)
        head = head_of(kind)
        if type_named(head[0], head[1]) is not kind:
            raise TypeError(f"{head[0]}.{head[1]} is not found by its name")
        return self._bytes([*head, content])


def has_more_values(value: Any, most: int) -> bool:
    """Whether more than `most` values would be packed of a list or a mapping and those that they hold."""
    return _left_of(FEW, value) < 0 and _values_in(value, {}) > most


def _left_of(values: int, held_by: Any) -> int:
    """What is left of so many values without those of a list or a mapping; below 0 where they don't do."""
    values -= len(held_by)
    if values < 0:
        return values
    for each in held_by.values() if type(held_by) is dict else held_by:
        if type(each) in NESTED and each:
            # A mapping that the garbage collector leaves alone holds neither lists nor mappings.
            values = _left_of(values, each) if is_tracked(each) else values - len(each)
            if values < 0:
                break
    return values


def _values_in(value: Any, known: dict[int, int]) -> int:
    found = known.get(id(value))
    if found is None:
        held = value.values() if type(value) is dict else value
        found = len(held) + sum(_values_in(each, known) for each in held if type(each) in NESTED)
        known[id(value)] = found
    return found


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


def _with_pairs(value: Any, inner: Callable[[Any], bytes]) -> Any:
    if type(value) is list:
        return [_with_pairs(each, inner) for each in value]
    if type(value) is not dict:
        return value
    if all(map(_stays, value)):
        return {key: _with_pairs(each, inner) for key, each in value.items()}
    return ormsgpack.Ext(PAIRS, inner([list(pair) for pair in value.items()]))


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


def _extension(code: int, data: bytes) -> tuple[ormsgpack.Ext, int]:
    return ormsgpack.Ext(code, data), len(data)


def _length_of(value: Any) -> int:
    """Of LangGraph's own forms that of an array alone may be long."""
    return int(value.nbytes) if hasattr(value, "nbytes") else 1


def _is_plain(value: Any) -> bool:
    """Whether LangGraph's form has all of it: a subclass would come back as its base, if at all."""
    kind = type(value)
    if (kind.__module__, kind.__qualname__) == ARRAY:
        return not value.dtype.hasobject and value.dtype.names is None
    if kind is datetime and type(value.tzinfo) not in (type(None), timezone):
        return False
    return kind is re.Pattern or (kind.__module__, kind.__qualname__) in safe.SAFE_MSGPACK_TYPES


def _made(code: int, data: bytes) -> Any:
    if code == TUPLE:
        return tuple(unpack(data))
    if code == INTEGER:
        return int(data, 16)
    if code == TYPED:
        return object_of(*unpack(data))
    if code == PAIRS:
        return dict(unpack(data))
    if code == jsonplus.EXT_NUMPY_ARRAY:
        return _array(*unpack(data))
    return _plain(code, *unpack(data))


def _plain(code: int, module: str, name: str, content: Any, *method: str) -> Any:
    """A value of one of LangGraph's safe types, in its form."""
    kind = type_named(module, name)
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
