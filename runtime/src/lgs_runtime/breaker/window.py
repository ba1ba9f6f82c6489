"""Counts the calls of the last seconds: a sliding window of ten buckets, however many calls there are.

Pure: a window is a value, and time is an argument, in seconds of any clock. The window slides by a tenth of
its length at a time, as that of resilience4j slides by a second.
"""

from __future__ import annotations

from typing import Final, NamedTuple

BUCKETS: Final = 10
SHORTEST_SECONDS: Final = 1e-6
"""Shortest bucket: the number of a shorter one could not be computed."""


class Counts(NamedTuple):
    """Calls that ended, and how many of them failed or were slow."""

    calls: int = 0
    failures: int = 0
    slow: int = 0

    def plus(self, *, failed: bool, slow: bool) -> Counts:
        """These counts and one call more."""
        return Counts(self.calls + 1, self.failures + failed, self.slow + slow)


class Bucket(NamedTuple):
    """The calls that ended within one tenth of a window; `number` counts those tenths from the clock's
    zero."""

    number: int
    counts: Counts


Window = tuple[Bucket, ...]
"""At most `BUCKETS` buckets, oldest first; those without a call are left out."""
NONE: Final = Counts()


def number_at(now: float, seconds: float) -> int:
    """The number of the bucket at a time, in a window of so many seconds."""
    return int(now // max(seconds / BUCKETS, SHORTEST_SECONDS))


def recorded(window: Window, number: int, *, failed: bool, slow: bool) -> Window:
    """The window with one call more. If the clock went back, the call counts in the newest bucket."""
    if window and window[-1].number >= number:
        newest = window[-1]
        return (*window[:-1], Bucket(newest.number, newest.counts.plus(failed=failed, slow=slow)))
    kept = tuple(bucket for bucket in window if bucket.number > number - BUCKETS)
    return (*kept, Bucket(number, NONE.plus(failed=failed, slow=slow)))


def total(window: Window, number: int) -> Counts:
    """The calls of the window that ends with this bucket."""
    calls = failures = slow = 0
    for bucket in window:
        if bucket.number > number - BUCKETS:
            calls += bucket.counts.calls
            failures += bucket.counts.failures
            slow += bucket.counts.slow
    return Counts(calls, failures, slow)
