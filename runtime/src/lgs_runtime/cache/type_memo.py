"""Remembers results by type, told apart by identity: types that their metaclass calls equal stay apart, and
types that it gives no hash work as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

MOST: Final = 1024
T = TypeVar("T")


def by_type(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Remembers what a function returns for each type. Thread-safe."""
    # Each type is kept alive with its result, so that no later one gets the same identity.
    known: dict[int, tuple[Any, T]] = {}

    @wraps(function)
    def found(kind: Any) -> T:
        try:
            return known[id(kind)][1]
        except KeyError:
            pass
        said = function(kind)
        if len(known) >= MOST:
            known.clear()
        known[id(kind)] = kind, said
        return said

    return found
