"""How many runs arrived when, over the last ten minutes, in bounded space.

Recent rounds are kept as they were measured, older ones in chunks of ten seconds. Pure values: each change
returns a new `Flow`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lgs_operator.scaling.samples import Arrivals

FINE_SECONDS = 64.0
CHUNK_SECONDS = 10.0
KEEP_SECONDS = 600.0
SHORTEST = 0.5


@dataclass(frozen=True, slots=True)
class Flow:
    """`spans` are (length in seconds, arrivals in it), oldest first, without gaps, the last one ending at
    `end`.
    """

    end: float | None = None
    spans: tuple[tuple[float, float], ...] = ()

    @property
    def seconds(self) -> float:
        """How far back it reaches."""
        return sum(length for length, _ in self.spans)

    def last(self, seconds: float) -> float:
        """Arrivals of the last `seconds`; a span that is cut counts in proportion."""
        left, found = seconds, 0.0
        for length, count in reversed(self.spans):
            if left <= 0:
                break
            found += count * min(1.0, left / length)
            left -= length
        return found

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
    kept: list[tuple[float, float]] = []
    age = 0.0
    for length, count in reversed(spans):
        if age > KEEP_SECONDS:
            break
        room = SHORTEST if age <= FINE_SECONDS else CHUNK_SECONDS
        if kept and kept[-1][0] < room and kept[-1][0] + length <= max(room, CHUNK_SECONDS):
            kept[-1] = (kept[-1][0] + length, kept[-1][1] + count)
        else:
            kept.append((length, count))
        age += length
    kept.reverse()
    return tuple(kept)
