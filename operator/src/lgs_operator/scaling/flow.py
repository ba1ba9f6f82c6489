"""How many runs arrived when, over the last ten minutes, in bounded space.

Recent rounds are kept as they were measured, older ones in chunks of ten seconds. Pure values: each change
returns a new `Flow`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lgs_operator.scaling.samples import Arrivals

FINE_SECONDS = 64.0
CHUNK_SECONDS = 10.0
KEEP_SECONDS = 600.0
SHORTEST = 0.5
LONGEST_FINE = 5.0
MOST_FINE = 64


@dataclass(frozen=True, slots=True)
class Flow:
    """`spans` are (length in seconds, arrivals in it), oldest first, without gaps, the last one ending at
    `end`.
    """

    end: float | None = None
    spans: tuple[tuple[float, float], ...] = ()
    seconds: float = field(init=False, compare=False)
    """How far back it reaches."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", sum([length for length, _ in self.spans]))

    def last(self, seconds: float) -> float:
        """Arrivals of the last `seconds`; a span that is cut counts in proportion."""
        return self.counts((seconds,))[0]

    def counts(self, windows: Sequence[float]) -> list[float]:
        """The same for each of `windows`, ascending, in one pass."""
        found: list[float] = []
        reach = so_far = 0.0
        left = iter(windows)
        window = next(left)
        for length, count in reversed(self.spans):
            after = reach + length
            while window < after:
                found.append(so_far + count * ((window - reach) / length))
                if len(found) == len(windows):
                    return found
                window = next(left)
            reach, so_far = after, so_far + count
        return found + [so_far] * (len(windows) - len(found))

    def fine_counts(self) -> list[float]:
        """Arrivals of each recent round, oldest first: about a minute of them."""
        return [count for length, count in self.spans[-MOST_FINE:] if length <= LONGEST_FINE]

    def resumed(self, now: float) -> Flow:
        """After a time of which nothing is known, which is left out: it does not read as zero arrivals."""
        is_recent = self.end is not None and 0 <= now - self.end <= KEEP_SECONDS
        return Flow(end=now, spans=self.spans if is_recent else ())

    def extended(self, now: float, arrivals: tuple[Arrivals, ...]) -> Flow:
        """With a new round that ends at `now`. Late news (a replica that missed rounds) goes where it
        belongs.
        """
        if self.end is None or now <= self.end or now - self.end > KEEP_SECONDS:
            return Flow(end=now)
        spans = [*self.spans, (now - self.end, 0.0)]
        for news in arrivals:
            if news.count:
                _spread(spans, now, news)
        return Flow(end=now, spans=_compacted(spans))


NO_FLOW = Flow()


def _spread(spans: list[tuple[float, float]], end: float, news: Arrivals) -> None:
    """Share `news` among the spans that it overlaps; what is older than all of them goes to the oldest
    touched.
    """
    reach = max(end - news.since, 1e-9)
    left, right = news.count, end
    for index in range(len(spans) - 1, -1, -1):
        length, count = spans[index]
        share = min(left, news.count * min(1.0, length / reach))
        is_last = index == 0 or right - length <= news.since
        spans[index] = (length, count + (left if is_last else share))
        if is_last:
            return
        left -= share
        right -= length


def _compacted(spans: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The spans with the oldest recent ones joined to the chunk before them, and without what is too old."""
    if len(spans) > 1 and spans[-2][0] < SHORTEST:
        spans[-2:] = [_joined(spans[-2], spans[-1])]
    age, first = 0.0, len(spans)
    while first > 0 and age <= FINE_SECONDS:
        first -= 1
        age += spans[first][0]
    # Those before `first` are chunks, but for the few that have just become old.
    chunks = spans[:first]
    while (
        len(chunks) > 1 and chunks[-1][0] < CHUNK_SECONDS and chunks[-2][0] + chunks[-1][0] <= CHUNK_SECONDS
    ):
        chunks[-2:] = [_joined(chunks[-2], chunks[-1])]
    age += sum([length for length, _ in chunks])
    dropped = 0
    while dropped < len(chunks) and age - chunks[dropped][0] > KEEP_SECONDS:
        age -= chunks[dropped][0]
        dropped += 1
    return (*chunks[dropped:], *spans[first:])


def _joined(earlier: tuple[float, float], later: tuple[float, float]) -> tuple[float, float]:
    return earlier[0] + later[0], earlier[1] + later[1]
