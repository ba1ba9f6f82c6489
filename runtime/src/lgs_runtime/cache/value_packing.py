"""Packs Python values as msgpack and unpacks them: plain ones in LangGraph's form, typed objects in a form of
its own.

A value comes back as what it was, or is refused: a tuple stays a tuple, enumeration members stay keys of a
mapping, and what LangGraph's serialiser keeps only in part (an exception as its text, a `Counter` as a
`dict`, an array without its mask) is refused. `value_types` says which objects are kept, and recreates them.
LangGraph's own hook would call any function of any module, so only those of its types are recreated that it
lists as safe.
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
"""The extension for an object: module, name and shape of its type, then its contents."""
PAIRS: Final = 43
"""The extension for a mapping with keys that msgpack would turn into plain ones."""
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
"""A value that holds no more values than this is not searched for objects that it holds several times."""
PLAIN_KEYS: Final[frozenset[type]] = frozenset({str, int, float, bool, bytes, type(None)})
ARRAY: Final = ("numpy", "ndarray")
TEXT: Final = ("langchain_core.messages.base", "TextAccessor")
"""The type of a message's `text`: a string, except that the old way to read it is a call."""


def pack(value: Any, most: int = sys.maxsize) -> bytes:
    """The bytes of a value. Raises `TypeError` for a value that would not come back as it is (except
    `bytearray` and `memoryview`, which come back as `bytes`, and the text of a message, which comes back as a
    plain string), and for one with more than `most` values or bytes to pack; also raises what the value's own
    methods raise."""
    try:
        return Packing(most).with_texts_as_keys(value)
    except TypeError:
        packing = Packing(most)
    try:
        return packing.with_any_keys(value)
    except TypeError as failed:
        raise packing.failure or failed from None


class Packing:
    """Packs one value. An object that is held several times appears in the bytes each time, and a few objects
    that hold each other can make a tree of billions: so each object or tuple is packed once, and packing
    stops when the result is too long."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.failure: Exception | None = None
        """The first exception that a part of the value raised: msgpack itself says only which type the part
        has."""
        self._length = 0
        """Bytes of the objects and tuples packed so far, without those inside others."""
        self._packed: dict[int, tuple[Any, ormsgpack.Ext | str, int]] = {}
        """Each packed object, its form and its length, by identity. The object is kept alive, so that no
        later one gets the same identity."""
        self._options = PACKING

    def with_texts_as_keys(self, value: Any) -> bytes:
        """Packs a value all of whose mappings have strings as keys. Raises `TypeError` for others."""
        self._check_values(value)
        return self._bytes(value)

    def with_any_keys(self, value: Any) -> bytes:
        """Packs any value."""
        # Not `pack` for the parts: trying both ways at each level would double the work with each level.
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
        """The packed form of a value that msgpack has no form for."""
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
            # Its members have hashes, so they are neither lists nor mappings.
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
    """Whether packing a list or a mapping, with all that it holds, would pack more than `most` values."""
    return _left_of(FEW, value) < 0 and _values_in(value, {}) > most


def _left_of(values: int, held_by: Any) -> int:
    """What is left of `values` after those of a list or a mapping are subtracted; below 0 if there are
    more."""
    values -= len(held_by)
    if values < 0:
        return values
    for each in held_by.values() if type(held_by) is dict else held_by:
        if type(each) in NESTED and each:
            # A mapping that the garbage collector does not track holds neither lists nor mappings.
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
    """Whether msgpack preserves the keys of a mapping and of all mappings within it, or within a list."""
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
    """Whether msgpack preserves a key; it turns a member of an enumeration into its value."""
    return all(map(_stays, key)) if type(key) is tuple else type(key) in PLAIN_KEYS


def unpack(raw: bytes) -> Any:
    """Unpacks a value. Raises `Unreadable`."""
    try:
        return ormsgpack.unpackb(raw, ext_hook=_made, option=ormsgpack.OPT_NON_STR_KEYS)
    # The objects made here are the application's: whatever they raise, these bytes are not for it.
    except Exception as failed:
        raise Unreadable(named_text(failed)) from failed


def _extension(code: int, data: bytes) -> tuple[ormsgpack.Ext, int]:
    return ormsgpack.Ext(code, data), len(data)


def _length_of(value: Any) -> int:
    """The length to count for a value in LangGraph's form: only that of an array may be large."""
    return int(value.nbytes) if hasattr(value, "nbytes") else 1


def _is_plain(value: Any) -> bool:
    """Whether LangGraph's form keeps all of a value: a subclass would come back as its base, if at all."""
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
    """Recreates a value of one of LangGraph's safe types from its form."""
    kind = type_named(module, name)
    if code == jsonplus.EXT_METHOD_SINGLE_ARG and (module, name, *method) in safe.SAFE_MSGPACK_METHODS:
        return getattr(kind, method[0])(content)
    if code not in CONSTRUCTORS or (module, name) not in safe.SAFE_MSGPACK_TYPES:
        raise Unreadable(f"{module}.{name} is not a type that holds data")
    if code == jsonplus.EXT_CONSTRUCTOR_KW_ARGS:
        return kind(**content)
    return kind(*content) if code == jsonplus.EXT_CONSTRUCTOR_POS_ARGS else kind(content)


def _array(kind: str, shape: Any, order: Any, content: bytes) -> Any:
    """An array that its caller may change; LangGraph's would be read-only, or None for broken bytes."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise Unreadable("numpy is not loaded")
    declared = numpy.dtype(kind)
    if declared.hasobject:
        # Bytes would be taken for the addresses of objects.
        raise Unreadable(f"an array of {kind} is not one of plain values")
    return numpy.frombuffer(content, declared).reshape(shape, order=order).copy(order="K")
