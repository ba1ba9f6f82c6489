"""LangGraph's serialiser, extended to integers of any size: JSON and language models produce integers beyond
64 bits, which msgpack does not have. They are stored with its extension for constructors, as `int` of a text,
which the plain serialiser reads too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any, Final

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Send

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
INTEGER: Final = ("builtins", "int")


class Serializer(JsonPlusSerializer):
    """Encodes and decodes values."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(**rules)
        if self._allowed_msgpack_modules is not True:
            allowed = {INTEGER, *(self._allowed_msgpack_modules or ())}
            super().__init__(**{**rules, "allowed_msgpack_modules": allowed})

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The encoding's name and the encoded bytes of a value. Raises `TypeError` if it can't be encoded."""
        try:
            return JsonPlusSerializer.dumps_typed(self, obj)
        except TypeError:
            named = _with_names(obj)
            if named is obj:
                raise
            return JsonPlusSerializer.dumps_typed(self, named)


def _with_names(value: Any) -> Any:
    """The value with substitutes for its large integers; the value itself if it has none."""
    kind = type(value)
    if kind is int:
        return value if _SMALLEST <= value <= _LARGEST else _Named(value)
    if kind is dict:
        return _items(value) or value
    if kind is list or kind is tuple:
        inner = [_with_names(item) for item in value]
        return inner if any(map(_differ, inner, value)) else value
    if callable(getattr(kind, "model_dump", None)):
        dumped = _items(value.model_dump())
        return value if dumped is None else _Dumped(kind, dumped)
    names = [field.name for field in fields(value)] if is_dataclass(value) else SLOTS.get(kind, ())
    changed = _items({name: getattr(value, name) for name in names})
    return value if changed is None else _with(value, changed)


def _items(items: dict[Any, Any]) -> dict[Any, Any] | None:
    named = {key: _with_names(item) for key, item in items.items()}
    return named if any(named[key] is not item for key, item in items.items()) else None


def _differ(one: Any, other: Any) -> bool:
    return one is not other


def _with(value: Any, changed: dict[str, Any]) -> Any:
    other = copy(value)
    for name, item in changed.items():
        object.__setattr__(other, name, item)
    return other


SLOTS: Final[Mapping[type, Sequence[str]]] = {Send: ("node", "arg")}
"""Attributes of types that are not dataclasses."""


class _Named:
    """Substitute for a large integer: the serialiser encodes it as a type with one argument, a text."""

    def __init__(self, value: int) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The integer as text, the argument of `int`."""
        return str(self._value)


_Named.__module__, _Named.__name__ = INTEGER


class _Dumped:
    """Substitute for a model: the serialiser encodes it as one of type `kind` with these fields."""

    def __init__(self, kind: type, dumped: dict[str, Any]) -> None:
        self._kind = kind
        self._dumped = dumped

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return self._kind

    def model_dump(self) -> dict[str, Any]:
        """The fields to encode."""
        return self._dumped
