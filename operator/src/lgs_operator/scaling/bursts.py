"""The load to stay ready for: bursts that came back, each too quick for replicas that start when it comes.

Pure. Times are seconds since the epoch, demands slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

LOOK_BACK_SECONDS = 600.0
MOST_PEAKS = 60
RISE = 2.0
"""A load that at least doubles within the time that a replica takes is a surprise."""
SHORTEST_RISE_SECONDS = 1.5 * LOOK_BACK_SECONDS / MOST_PEAKS
"""What lies between two peaks can't be seen."""
LEAST_RISE_SLOTS = 8.0
Peaks = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Recurring:
    """What bursts that came back needed, in slots (0: none did), and how many bursts the look-back has."""

    slots: float = 0.0
    bursts: int = 0


def remembered(peaks: Peaks, now: float, demand: float) -> Peaks:
    """`peaks` with the demand of now: the largest of each sixtieth of the look-back. The clock may have been
    set back since."""
    kept = [(min(at, now), was) for at, was in peaks if now - at <= LOOK_BACK_SECONDS]
    if kept and now - kept[-1][0] < LOOK_BACK_SECONDS / MOST_PEAKS:
        kept[-1] = (kept[-1][0], max(kept[-1][1], demand))
    else:
        kept.append((now, demand))
    return tuple(kept[-MOST_PEAKS:])


def recurring(peaks: Peaks, startup_seconds: float) -> Recurring:
    """The second largest burst: one is no habit, and leaves nothing behind."""
    within = max(startup_seconds, SHORTEST_RISE_SECONDS)
    heights = sorted(surprises(peaks, within), reverse=True)
    return Recurring(heights[1] if len(heights) > 1 else 0.0, len(heights))


def surprises(peaks: Peaks, within: float) -> list[float]:
    """The height of each rise by `RISE` times or more within `within` seconds; a rise in the shadow of
    another belongs to it.
    """
    heights: list[float] = []
    until = -inf
    for index, (at, demand) in enumerate(peaks):
        before = [was for then, was in peaks[:index] if at - within <= then]
        lowest = min(before, default=demand)
        if demand <= RISE * max(lowest, 1.0) or demand - lowest < LEAST_RISE_SLOTS:
            continue
        if at > until:
            heights.append(max(was for then, was in peaks[index:] if then <= at + within))
        else:
            heights[-1] = max(heights[-1], demand)
        until = at + within
    return heights
