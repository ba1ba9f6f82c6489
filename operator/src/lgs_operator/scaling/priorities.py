"""Waits that differ by priority: a deep queue of low runs alone is served in its own, slower time.

Pure. Replicas claim runs of a higher priority first, so the slots that a priority needs are computed for it
and those above it alone, by its own wait. Arrivals of a priority that may wait long count by their mean over
that time, not by the rate of this second.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from statistics import median_high

from lgs_operator.scaling.samples import ByPriority, ReplicaSample
from lgs_operator.scaling.staffing import slots_for
from lgs_operator.scaling.values import value

SLOW_SECONDS = 30.0
"""Runs that may wait longer than this are slow: their arrivals are no spike."""
SHARE_SECONDS = 120.0
SOON = 0.5
"""Share of the allowed wait: while a run has waited that long, no replica goes."""
Waits = tuple[float | None, float | None, float | None]
"""Seconds that a run of each priority may wait; None: the wait of the service."""
NO_OWN_WAITS: Waits = (None, None, None)


@value(frozen=True, slots=True)
class Priority:
    """Runs of one priority: the slots that their arrivals keep in use, how many wait, how long the oldest has
    waited and a run may wait, and whether that limit is the priority's own."""

    offered: float
    waiting: float
    oldest_seconds: float
    wait_seconds: float
    has_own: bool

    @property
    def urgent(self) -> bool:
        """Whether runs of this priority wait that should not have to."""
        return self.waiting > 0 and (not self.has_own or self.oldest_seconds >= SOON * self.wait_seconds)

    @property
    def late(self) -> bool:
        """Whether a run has waited longer than it may."""
        return self.waiting > 0 and self.oldest_seconds > self.wait_seconds


def slow(waits: Waits) -> tuple[bool, ...]:
    """Which priorities are slow: may wait so long that their arrivals of this second are no rate."""
    return tuple(wait is not None and wait > SLOW_SECONDS for wait in waits)


def remembered_arrivals(waits: Waits, before: ByPriority, arrived: ByPriority, elapsed: float) -> ByPriority:
    """The arrival rate of each priority in runs a second, averaged over the time that its runs may wait."""
    if elapsed <= 0:
        return before
    rates = []
    for wait, was, new in zip(waits, before, arrived, strict=True):
        kept = exp(-elapsed / max(SHARE_SECONDS, wait or 0.0))
        rates.append(kept * was + (1 - kept) * new / elapsed)
    return rates[0], rates[1], rates[2]


def priorities(
    samples: Sequence[ReplicaSample],
    waits: Waits,
    rates: ByPriority,
    *,
    fast_offered: float,
    run_seconds: float,
    wait_seconds: float,
) -> tuple[Priority, ...]:
    """The priorities, highest first; empty if no replica reports them separately. `fast_offered` are the
    slots for all arrivals except those of slow priorities."""
    reported = [(each.waiting_by, each.oldest_by) for each in samples if each.waiting_by and each.oldest_by]
    if not reported:
        return ()
    is_slow = slow(waits)
    fast = sum(rate for rate, apart in zip(rates, is_slow, strict=True) if not apart)
    fast_count = is_slow.count(False)
    found = []
    for index, wait in enumerate(waits):
        share = rates[index] / fast if fast > 0 else 1 / max(1, fast_count)
        found.append(
            Priority(
                offered=rates[index] * run_seconds if is_slow[index] else fast_offered * share,
                waiting=median_high(waiting[index] for waiting, _ in reported),
                oldest_seconds=median_high(oldest[index] for _, oldest in reported),
                wait_seconds=wait_seconds if wait is None else wait,
                has_own=wait is not None,
            )
        )
    return tuple(found)


def slots_by_priority(
    levels: Sequence[Priority], load: float, run_seconds: float | None, utilization: float
) -> float:
    """Slots for a load of `load` slots with these shares: enough for each priority and those above it that
    hardly a run waits too long, and no fuller than `utilization` in all."""
    offered = sum(each.offered for each in levels)
    scale = load / offered if offered > 0 else 0.0
    needed, above = load / utilization, 0.0
    for each in levels:
        above += each.offered * scale
        if each.offered > 0:
            needed = max(needed, slots_for(above, run_seconds, each.wait_seconds, 1.0))
    return needed


def queue_seconds(levels: Sequence[Priority], run_seconds: float) -> float | None:
    """Seconds in which to serve the waiting runs: the harmonic mean of their waits. None: no run waits."""
    waiting = sum(each.waiting for each in levels)
    if not waiting:
        return None
    return waiting / sum(each.waiting / max(each.wait_seconds, run_seconds) for each in levels)
