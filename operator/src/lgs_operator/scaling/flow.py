"""How many runs arrived and when, over the last ten minutes, in bounded space.

Recent rounds are kept as they were measured, older ones in chunks of ten seconds. Pure values: each change
returns a new `Flow`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import field
from itertools import accumulate, compress, repeat
from operator import le

from lgs_operator.scaling.samples import Arrivals
from lgs_operator.scaling.values import value

FINE_SECONDS = 64.0
CHUNK_SECONDS = 10.0
KEEP_SECONDS = 600.0
SHORTEST = 0.5
LONGEST_FINE = 5.0
MOST_FINE = 64


@value(frozen=True, slots=True)
class Flow:
    """Contiguous spans of time, oldest first, the last one ending at `end`: their `lengths` in seconds, and
    the arrivals in each.
    """

    end: float | None = None
    lengths: tuple[float, ...] = ()
    arrivals: tuple[float, ...] = ()
    reach: tuple[float, ...] = field(init=False, compare=False)
    """How far back the last span reaches, then the last two together, and so on, in seconds."""
    so_far: tuple[float, ...] = field(init=False, compare=False)
    """The arrivals in the same last spans."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reach", tuple(accumulate(reversed(self.lengths))))
        object.__setattr__(self, "so_far", tuple(accumulate(reversed(self.arrivals))))

    @property
    def spans(self) -> list[tuple[float, float]]:
        """The length and the arrivals of each span."""
        return list(zip(self.lengths, self.arrivals, strict=True))

    @property
    def seconds(self) -> float:
        """How far back the flow reaches."""
        return self.reach[-1] if self.reach else 0.0

    def last(self, seconds: float) -> float:
        """Arrivals of the last `seconds`; a span that is cut counts in proportion."""
        whole = bisect_right(self.reach, seconds)
        inside = self.so_far[whole - 1] if whole else 0.0
        if whole == len(self.reach):
            return inside
        cut = -1 - whole
        left = seconds - (self.reach[whole - 1] if whole else 0.0)
        return inside + self.arrivals[cut] * (left / self.lengths[cut])

    def fine_counts(self) -> list[float]:
        """Arrivals of each recent round, oldest first: about a minute of them."""
        is_fine = map(le, self.lengths[-MOST_FINE:], repeat(LONGEST_FINE))
        return list(compress(self.arrivals[-MOST_FINE:], is_fine))

    def resumed(self, now: float) -> Flow:
        """The flow after a time without data, which is left out so that it does not read as zero arrivals."""
        is_recent = self.end is not None and 0 <= now - self.end <= KEEP_SECONDS
        return Flow(now, self.lengths, self.arrivals) if is_recent else Flow(now)

    def extended(self, now: float, arrivals: tuple[Arrivals, ...]) -> Flow:
        """The flow with a new round that ends at `now`. Late arrivals (of a replica that missed rounds) go to
        the spans in which they happened.
        """
        if self.end is None or now <= self.end or now - self.end > KEEP_SECONDS:
            return Flow(now)
        lengths, counts = [*self.lengths, now - self.end], [*self.arrivals, 0.0]
        for arrived in arrivals:
            if arrived.count:
                _spread(lengths, counts, now, arrived)
        _compact(lengths, counts)
        return Flow(now, tuple(lengths), tuple(counts))


NO_FLOW = Flow()


def _spread(lengths: list[float], counts: list[float], end: float, arrived: Arrivals) -> None:
    """Share `arrived` among the spans that it overlaps; the part older than all of them
    goes to the oldest span.
    """
    reach = max(end - arrived.since, 1e-9)
    left, right = arrived.count, end
    for index in range(len(lengths) - 1, -1, -1):
        length = lengths[index]
        share = min(left, arrived.count * min(1.0, length / reach))
        is_last = index == 0 or right - length <= arrived.since
        counts[index] += left if is_last else share
        if is_last:
            return
        left -= share
        right -= length


def _compact(lengths: list[float], counts: list[float]) -> None:
    """Join the oldest recent spans to the chunk before them, and leave out what is too old."""
    if len(lengths) > 1 and lengths[-2] < SHORTEST:
        _join(lengths, counts, len(lengths) - 1)
    reach = list(accumulate(reversed(lengths)))
    # Spans before `first` are chunks, except the few that have just become old.
    first = max(0, len(lengths) - bisect_right(reach, FINE_SECONDS) - 1)
    while (
        first > 1
        and lengths[first - 1] < CHUNK_SECONDS
        and lengths[first - 2] + lengths[first - 1] <= CHUNK_SECONDS
    ):
        first -= 1
        _join(lengths, counts, first)
    age, dropped = reach[-1], 0
    while dropped < first and age - lengths[dropped] > KEEP_SECONDS:
        age -= lengths[dropped]
        dropped += 1
    del lengths[:dropped], counts[:dropped]


def _join(lengths: list[float], counts: list[float], index: int) -> None:
    """Join a span to the one before it."""
    lengths[index - 1] += lengths.pop(index)
    counts[index - 1] += counts.pop(index)
