"""Estimates how much memory a manifest takes when it is read: a list of four hundred thousand empty mappings
is one megabyte of JSON, which the API server accepts, and forty megabytes of memory. Pure.
"""

from __future__ import annotations

from typing import Any, Final

MOST_BYTES: Final = 2**20
A_VALUE: Final = 64
"""Bytes that a value takes at least, besides its text."""
RULE: Final = (
    f"must be smaller: at most {MOST_BYTES} bytes, where each value counts {A_VALUE} and its text; put more "
    "into a ConfigMap or the image"
)


def is_too_large(value: Any, most: int = MOST_BYTES) -> bool:
    """Whether a JSON value weighs more than `most` bytes. It looks at no more of the value
    than needed to tell."""
    left, waiting = most, [value]
    while waiting:
        each = waiting.pop()
        left -= A_VALUE
        if isinstance(each, str):
            left -= len(each)
        elif isinstance(each, dict):
            left -= sum(map(len, map(str, each)))
        if left < 0 or (isinstance(each, dict | list) and len(each) * A_VALUE > left):
            return True
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return False
