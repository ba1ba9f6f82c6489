"""Counts how often keys are requested, in constant memory: a count-min sketch with ageing.

There are four rows of one-byte counters. A key has one counter in each row, and the lowest of the four is its
count: never too low, except through ageing. After a fixed number of requests all counters are halved, so that
old requests weigh little (Cormode and Muthukrishnan, "An improved data stream summary", 2005; the ageing of
TinyLFU, Einziger, Friedman and Manes, 2017).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

WIDTH: Final = 1 << 14
ROWS: Final = 4
SHIFT: Final = 16
"""Bits of a key's hash for each row."""
MOST: Final = 255
AGEING: Final = 10
"""All counters are halved after this many requests per counter of a row."""
HALVES: Final = bytes(count // 2 for count in range(MOST + 1))


class FrequencySketch:
    """Counts by key, at most 255, in 64 KiB."""

    def __init__(self, width: int = WIDTH) -> None:
        """`width` is a power of two, at most 65,536."""
        self._mask = width - 1
        self._rows = [bytearray(width) for _ in range(ROWS)]
        self._counted = 0
        self._ages_at = AGEING * width

    def add(self, key: str, times: int = 1) -> int:
        """Counts a key `times` more, and returns its new count."""
        places = list(self._places(key))
        count = min(MOST, min(self._rows[row][at] for row, at in places) + times)
        for row, at in places:
            # Raises only the counters that are too low, so that keys which share a counter disturb each other
            # less.
            self._rows[row][at] = max(self._rows[row][at], count)
        self._counted += times
        if self._counted >= self._ages_at:
            self._rows = [row.translate(HALVES) for row in self._rows]
            self._counted //= 2
        return count

    def count(self, key: str) -> int:
        """How often a key was counted, as far as ageing leaves it."""
        return min(self._rows[row][at] for row, at in self._places(key))

    def _places(self, key: str) -> Iterator[tuple[int, int]]:
        digits = hash(key)
        return ((row, digits >> (SHIFT * row) & self._mask) for row in range(ROWS))
