"""Whether values are so large that encoding them would hold up an event loop. Reads no more of them than
needed to decide that."""

from __future__ import annotations

from typing import Any, Final

HEAVY: Final = 256 * 1024
"""Bytes that take about a millisecond or more to encode."""
ITEM: Final = 64
"""Weight of a value besides its text: encoding an object costs as much as copying this many bytes."""
_TEXT: Final = (str, bytes, bytearray)
_ITEMS: Final = (list, tuple, set, frozenset)
_WEIGHTLESS: Final = frozenset({int, float, bool, type(None)})


def is_heavy(value: Any) -> bool:
    """Whether the strings, bytes and items in `value` together weigh more than `HEAVY`."""
    weight, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        weight += ITEM
        if type(item) in _WEIGHTLESS:
            continue
        if isinstance(item, _TEXT):
            weight += len(item)
        elif isinstance(item, dict):
            weight += ITEM * len(item)
            if weight <= HEAVY:
                waiting.extend(item.values())
        elif isinstance(item, _ITEMS):
            weight += ITEM * len(item)
            if weight <= HEAVY:
                waiting.extend(item)
        elif (fields := getattr(item, "__dict__", None)) is not None and not isinstance(item, type):
            waiting.extend(fields.values())
        if weight > HEAVY:
            return True
    return weight > HEAVY
