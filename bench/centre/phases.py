"""What happens when in a play of the centre, and when each turn is asked. Pure.

The turns come in the rhythm of a published trace (`bench.conversations.TRACE`: the arrivals of an hour of a
chat service), from its third minute on, when it has found its level: the time between two of them is the
trace's, stretched by one factor for the whole play, and shorter during the spike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Name = Literal["steady", "spike", "after", "kill", "restart", "slow", "failing", "well", "redis"]
SHARES: Final[dict[Name, tuple[float, float]]] = {
    "steady": (0.22, 1.0),
    "spike": (0.08, 1.8),
    "after": (0.10, 1.0),
    "kill": (0.14, 1.0),
    "restart": (0.08, 1.0),
    "slow": (0.08, 1.0),
    "failing": (0.08, 1.0),
    "well": (0.10, 1.0),
    "redis": (0.12, 1.0),
}
"""Of each phase its share of the play, and its rate as a multiple of the steady one."""
LEVEL_SECONDS: Final = 120.0
"""Of the trace, which begins with nothing."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the play; seconds from its begin. `rate`: turns, as a multiple of the steady rate."""

    name: Name
    begins: float
    ends: float
    rate: float

    @property
    def turns(self) -> float:
        """What is asked in it, as seconds of the steady rate."""
        return (self.ends - self.begins) * self.rate


def phases(seconds: float) -> tuple[Phase, ...]:
    """The phases of a play of so many seconds, in order and without gaps."""
    found: list[Phase] = []
    begins = 0.0
    for name, (share, rate) in SHARES.items():
        found.append(Phase(name, begins, begins + share * seconds, rate))
        begins = found[-1].ends
    return tuple(found)


def steady(seconds: float) -> tuple[Phase, ...]:
    """A play in which nothing happens."""
    return (Phase("steady", 0.0, seconds, 1.0),)


def turns_of(plan: Sequence[Phase], rate: float) -> int:
    """How many turns a play has whose steady rate is `rate` a second."""
    return max(1, round(rate * sum(phase.turns for phase in plan)))


def arrivals(trace: Sequence[float], plan: Sequence[Phase], count: int) -> list[float]:
    """When each of `count` turns is asked, in order: the trace's times, from its begin and over again when it
    is used up, laid over the plan so that each phase has its rate."""
    span = trace[-1] - trace[0] or 1.0
    times = [
        trace[number % len(trace)] - trace[0] + number // len(trace) * span for number in range(count + 1)
    ]
    whole = sum(phase.turns for phase in plan)
    return [_moment(plan, at / (times[-1] or 1.0) * whole) for at in times[:count]]


def rhythm(trace: Sequence[float]) -> list[float]:
    """The trace from where it has found its level."""
    return [at for at in trace if at - trace[0] >= LEVEL_SECONDS]


def _moment(plan: Sequence[Phase], turns: float) -> float:
    """The time by which so much of the plan has been asked."""
    for phase in plan:
        if turns <= phase.turns:
            return phase.begins + turns / phase.rate
        turns -= phase.turns
    return plan[-1].ends


def within(plan: Sequence[Phase], at: float) -> Phase:
    """The phase at a time; the last one for what comes after."""
    return next((phase for phase in plan if at < phase.ends), plan[-1])
