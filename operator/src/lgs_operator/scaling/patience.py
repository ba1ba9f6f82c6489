"""What the wait that a user allows decides besides the head-room of a steady load: how long replicas are
held, how long bursts are remembered, and the room that is kept for a load that may grow.

The stricter `queueWaitSeconds`, the more is kept ready for what may come; the more lenient, the sooner
replicas go. The exponents were chosen on the built-in loads (docs/decisions.md). Pure. Times are seconds.
"""

from __future__ import annotations

from math import pow, sqrt

from lgs_operator.scaling.policy import Policy

HOLD, SHORTEST_HOLD = 60.0, 10.0
"""The longest hold, which queueWaitSeconds of up to 1 s have, and the shortest."""
REMEMBERED = 130.0
"""For how long one burst is remembered, with queueWaitSeconds 1 and its hold."""
LOOK_BACK_HOLDS = 10.0
MOST_ROOM = 4.5
"""The largest multiple of the present load that there is room for."""
FREE_WAIT = 1.0
"""The wait that does not make a burst smaller: it is within the noise of its arrivals."""


def hold(policy: Policy) -> float:
    """How long fewer replicas must have been enough: what the user sets, else less where runs may wait."""
    if policy.hold_seconds is not None:
        return policy.hold_seconds
    return min(HOLD, max(SHORTEST_HOLD, HOLD / sqrt(policy.queue_wait_seconds)))


def remembered_once(policy: Policy) -> float:
    """For how long after it began the service stays ready for a burst that has not come back yet."""
    if policy.hold_seconds is not None:
        return REMEMBERED * policy.hold_seconds / HOLD
    return REMEMBERED * pow(policy.queue_wait_seconds, -0.3)


def look_back(policy: Policy) -> float:
    """For how long a burst counts as one that may have come back."""
    held = HOLD if policy.hold_seconds is None else policy.hold_seconds
    return LOOK_BACK_HOLDS * max(held, 1.0)


def room(policy: Policy) -> float:
    """The multiple of the present load that there is to be room for, while it is not known to be steady; 1
    for queueWaitSeconds of 1 s and more."""
    return min(MOST_ROOM, max(1.0, pow(policy.queue_wait_seconds, -2 / 3)))


def burst_wait(wait_seconds: float) -> float:
    """For how long runs of a burst may wait for a slot, and so be served by fewer."""
    return max(0.0, wait_seconds - FREE_WAIT)
