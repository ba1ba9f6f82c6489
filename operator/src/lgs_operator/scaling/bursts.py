"""The load to stay ready for: recurring bursts, each too quick for replicas that start when it comes.

Pure. Times are seconds since the epoch, demands slots.
"""

from __future__ import annotations

from math import inf

from lgs_operator.scaling.values import value

MOST_PEAKS = 60
RISE = 2.0
"""A burst is a load that at least doubles within the time that a replica takes to start and a run to end."""
LEAST_RISE_SLOTS = 8.0
Peaks = tuple[tuple[float, float], ...]


@value(frozen=True, slots=True)
class Recurring:
    """Slots that recurring bursts needed (0: none recurred), the number of bursts in the look-back, and the
    slots of the largest that began of late, whether it recurred or not."""

    slots: float = 0.0
    bursts: int = 0
    latest: float = 0.0


def remembered(peaks: Peaks, now: float, demand: float, within: float) -> Peaks:
    """`peaks` of the last `within` seconds and the demand of now: the largest demand of each sixtieth of that
    time. The first ever rose from nothing. The clock may have been set back since."""
    is_current = bool(peaks) and now - within <= peaks[0][0] and peaks[-1][0] <= now
    if is_current and now - peaks[-1][0] < within / MOST_PEAKS and demand <= peaks[-1][1]:
        return peaks
    kept = list(peaks) if is_current else [(min(at, now), was) for at, was in peaks if now - at <= within]
    if not peaks:
        kept = [(now - within / MOST_PEAKS, 0.0)]
    if kept and now - kept[-1][0] < within / MOST_PEAKS:
        kept[-1] = (kept[-1][0], max(kept[-1][1], demand))
    else:
        kept.append((now, demand))
    return tuple(kept[-MOST_PEAKS:])


def recurring(peaks: Peaks, startup_seconds: float, within: float, once: float = 0.0) -> Recurring:
    """What to stay ready for: the second largest burst of the last `within` seconds, and the largest that
    began in the last `once` seconds."""
    # The demand between two peaks is not known.
    shortest = 1.5 * within / MOST_PEAKS
    bursts = surprises(peaks, max(startup_seconds, shortest))
    heights = sorted((height for _, height in bursts), reverse=True)
    latest = max((height for at, height in bursts if peaks[-1][0] - at <= once), default=0.0)
    return Recurring(heights[1] if len(heights) > 1 else 0.0, len(heights), latest)


def is_steady(peaks: Peaks, bursts: int, now: float, within: float) -> bool:
    """Whether the load is known for `within` seconds, and had none of the `bursts` in that time."""
    return bursts == 0 and bool(peaks) and now - peaks[0][0] >= within - 2 * within / MOST_PEAKS


def usual(peaks: Peaks, bursts: int, demand: float) -> float:
    """`demand`, or the median of the past where it is a burst of one that has them."""
    if not bursts:
        return demand
    middle = sorted(was for _, was in peaks)[len(peaks) // 2]
    return middle if demand > RISE * middle else demand


def surprises(peaks: Peaks, within: float) -> list[tuple[float, float]]:
    """The time and height of each rise by a factor above `RISE` within `within` seconds; a rise that follows
    another within that time belongs to it.
    """
    bursts: list[tuple[float, float]] = []
    until = -inf
    first = 0
    demands = [demand for _, demand in peaks]
    if not demands or max(demands) <= RISE * max(min(demands), 1.0):
        return []
    for index, (at, demand) in enumerate(peaks):
        while peaks[first][0] < at - within:
            first += 1
        if demand < LEAST_RISE_SLOTS:
            continue
        lowest = min(demands[first:index], default=demand)
        if demand <= RISE * max(lowest, 1.0) or demand - lowest < LEAST_RISE_SLOTS:
            continue
        if at > until:
            bursts.append((at, max(was for then, was in peaks[index:] if then <= at + within)))
        else:
            bursts[-1] = (bursts[-1][0], max(bursts[-1][1], demand))
        until = at + within
    return bursts
