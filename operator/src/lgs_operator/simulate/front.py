"""What each law can achieve: the share of runs that wait too long against the replica-hours paid, for each
value of the number that its user sets; and which of these points no law beats. Pure.

A constant number of replicas is shown but beats none, since to choose it one must know the load in advance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lgs_operator.simulate.candidates import FIXED, OURS
from lgs_operator.simulate.comparison import Outcome

LATE_SECONDS = 5.0
"""A run that waits longer than this is late."""
USELESS = 0.5
"""Share of late runs above which a point is of no use whatever it costs."""


@dataclass(frozen=True, slots=True)
class Point:
    """One play. `is_on_front`: no law has a point that is better in lateness or cost and not worse in the
    other; `is_matched`: our law has a point that is at most as late and costs at most as much."""

    outcome: Outcome
    late: float
    hours: float
    is_on_front: bool
    is_matched: bool


def front(outcomes: Sequence[Outcome]) -> list[Point]:
    """The points of `outcomes`, in their order."""
    pairs = [(each.late(LATE_SECONDS), each.replica_hours) for each in outcomes]
    both = list(zip(outcomes, pairs, strict=True))
    laws = [pair for each, pair in both if each.law != FIXED]
    own = [pair for each, pair in both if each.law == OURS]
    return [
        Point(
            outcome,
            *pair,
            is_on_front=not any(_beats(other, pair) for other in laws),
            is_matched=any(other[0] <= pair[0] and other[1] <= pair[1] for other in own),
        )
        for outcome, pair in both
    ]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


def rivals(points: Sequence[Point]) -> list[Point]:
    """The points of other laws that are of use, without constant numbers."""
    return [each for each in points if each.outcome.law not in {OURS, FIXED} and each.late <= USELESS]


def unmatched(points: Sequence[Point]) -> list[Point]:
    """The points where our law loses: those of rivals that none of ours matches."""
    return [each for each in rivals(points) if not each.is_matched]
