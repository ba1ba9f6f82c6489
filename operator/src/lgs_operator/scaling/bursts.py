"""The load to stay ready for: recurring bursts, each too quick for replicas that start when it comes.

Pure. Times are seconds since the epoch, demands slots.
"""

from __future__ import annotations

from math import inf

from lgs_operator.scaling.values import value

LOOK_BACK_HOLDS = 10.0
"""Bursts are remembered for ten holds: ten minutes with the default of 60 s."""
MOST_PEAKS = 60
RISE = 2.0
"""A burst is a load that at least doubles within the time that a replica takes to start and a run to end."""
LEAST_RISE_SLOTS = 8.0
Peaks = tuple[tuple[float, float], ...]


@value(frozen=True, slots=True)
class Recurring:
    """Slots that recurring bursts needed (0: none recurred), and the number of bursts in the look-back."""

    slots: float = 0.0
    bursts: int = 0


def look_back(hold_seconds: float) -> float:
    """For how many seconds bursts are remembered."""
    return LOOK_BACK_HOLDS * max(hold_seconds, 1.0)


def remembered(peaks: Peaks, now: float, demand: float, within: float) -> Peaks:
    """`peaks` of the last `within` seconds and the demand of now: the largest demand of each sixtieth of that
    time. The clock may have been set back since."""
    is_current = bool(peaks) and now - within <= peaks[0][0] and peaks[-1][0] <= now
    if is_current and now - peaks[-1][0] < within / MOST_PEAKS and demand <= peaks[-1][1]:
        return peaks
    kept = list(peaks) if is_current else [(min(at, now), was) for at, was in peaks if now - at <= within]
    if kept and now - kept[-1][0] < within / MOST_PEAKS:
        kept[-1] = (kept[-1][0], max(kept[-1][1], demand))
    else:
        kept.append((now, demand))
    return tuple(kept[-MOST_PEAKS:])


def recurring(peaks: Peaks, startup_seconds: float, within: float) -> Recurring:
    """The second largest burst of the last `within` seconds; 0 slots if there is only one burst."""
    # The demand between two peaks is not known.
    shortest = 1.5 * within / MOST_PEAKS
    heights = sorted(surprises(peaks, max(startup_seconds, shortest)), reverse=True)
    return Recurring(heights[1] if len(heights) > 1 else 0.0, len(heights))


def surprises(peaks: Peaks, within: float) -> list[float]:
    """The height of each rise by a factor above `RISE` within `within` seconds; a rise that follows another
    within that time belongs to it.
    """
    heights: list[float] = []
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
            heights.append(max(was for then, was in peaks[index:] if then <= at + within))
        else:
            heights[-1] = max(heights[-1], demand)
        until = at + within
    return heights
