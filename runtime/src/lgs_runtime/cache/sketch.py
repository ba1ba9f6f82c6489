"""How often keys are asked for, in memory that does not grow: a count-min sketch with ageing.

Four rows of counters of a byte; a key has one in each, and the least of the four is its count, which is never
too low but for ageing. When so many have been counted, all are halved: what was asked for long ago weighs
little (Cormode and Muthukrishnan, "An improved data stream summary", 2005; the ageing of TinyLFU, Einziger,
Friedman and Manes, 2017).
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
"""Counted so many times the width, all counters are halved."""
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
        """Counts a key, and gives its count."""
        places = list(self._places(key))
        count = min(MOST, min(self._rows[row][at] for row, at in places) + times)
        for row, at in places:
            # Only those that are too low: keys that share a counter disturb each other less.
            self._rows[row][at] = max(self._rows[row][at], count)
        self._counted += times
        if self._counted >= self._ages_at:
            self._rows = [row.translate(HALVES) for row in self._rows]
            self._counted //= 2
        return count

    def count(self, key: str) -> int:
        """How often a key was counted, as far as it is remembered."""
        return min(self._rows[row][at] for row, at in self._places(key))

    def _places(self, key: str) -> Iterator[tuple[int, int]]:
        digits = hash(key)
        return ((row, digits >> (SHIFT * row) & self._mask) for row in range(ROWS))
