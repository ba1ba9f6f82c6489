"""Faults of a simulated service, by name. They are random with a fixed seed, so that each
law meets the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from lgs_operator.scaling.samples import Observation
from lgs_operator.simulate.loads import LoadError
from lgs_operator.simulate.service import Faults

LOST = 0.2
"""Share of the replicas' answers that are lost."""
SLOW, SLOWER = 0.25, 6.0
"""Share of the replicas that start slowly, and how many times longer they take."""
SATURATED = 0.5
"""Share of the slots of the largest service at which what is downstream of it is full."""


class Fault(StrEnum):
    """The faults that `--fault` names."""

    LOST_SCRAPES = "lost-scrapes"
    SLOW_START = "slow-start"
    SATURATION = "saturation"


WORDS = {
    Fault.LOST_SCRAPES: f"{100 * LOST:.0f} % of the replicas' answers are lost",
    Fault.SLOW_START: f"{100 * SLOW:.0f} % of the replicas take {SLOWER:g} times as long to start",
    Fault.SATURATION: f"runs slow each other down from {100 * SATURATED:.0f} % of all slots on",
}


def fault_of(name: str) -> Fault:
    """The fault of this name. Raises `LoadError`, which lists all."""
    try:
        return Fault(name)
    except ValueError:
        raise LoadError(f"--fault is {name!r}; it must be one of {', '.join(Fault)}") from None


@dataclass(frozen=True, slots=True)
class Conditions:
    """How long a replica takes to start, and what goes wrong."""

    startup_seconds: float = 20.0
    faults: frozenset[Fault] = frozenset()
    seed: int = 1

    def words(self) -> Sequence[str]:
        """What goes wrong, in words."""
        return [WORDS[each] for each in Fault if each in self.faults]

    def scrapes(self) -> Faults | None:
        """A function that loses some answers of a round; None if all arrive."""
        if Fault.LOST_SCRAPES not in self.faults:
            return None
        dice = random.Random(self.seed)

        def some(_: float, seen: Observation) -> Observation:
            came = tuple(each for each in seen.samples if dice.random() >= LOST)
            return replace(seen, samples=came, failed=len(seen.samples) - len(came))

        return some

    def startups(self) -> Callable[[int], float] | None:
        """A function that gives the seconds that the n-th replica takes to start; None if
        all take the same."""
        if Fault.SLOW_START not in self.faults:
            return None

        def takes(number: int) -> float:
            is_slow = random.Random(f"{self.seed} {number}").random() < SLOW
            return self.startup_seconds * (SLOWER if is_slow else 1.0)

        return takes

    def saturated_at(self, slots: int) -> float:
        """How many runs at a time, of `slots` at most, go at full speed."""
        return max(1.0, SATURATED * slots) if Fault.SATURATION in self.faults else inf
