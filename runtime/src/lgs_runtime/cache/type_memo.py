"""What is known of types, by which type it is: two that their metaclass calls equal are two, and one that it
gives no hash to is remembered as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

MOST: Final = 1024
T = TypeVar("T")


def by_type(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Remembers what a function says of a type. Safe in threads."""
    # Each type is held with it, so that none that comes later has its identity.
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
