"""The input and the result of a simulation: runs, and the record of how they fared."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from lgs_operator.scaling.values import value
from lgs_operator.simulate.laws import LawDecision


@value(frozen=True, slots=True)
class Job:
    """A run that arrives at `at` and occupies a slot for `seconds`."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """One decision, and the state of the service then."""

    at: float
    decision: LawDecision[object]
    ready: int
    starting: int
    waiting: int
    in_use: int


def _numbers() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Timeline:
    """For the end of each round: its time, the replicas decided, the ready replicas, and the waiting runs."""

    at: array[float] = field(default_factory=_numbers)
    decided: array[float] = field(default_factory=_numbers)
    ready: array[float] = field(default_factory=_numbers)
    waiting: array[float] = field(default_factory=_numbers)

    def add(self, at: float, decided: int, ready: int, waiting: int) -> None:
        """Adds one round."""
        self.at.append(at)
        self.decided.append(decided)
        self.ready.append(ready)
        self.waiting.append(waiting)


@dataclass(frozen=True, slots=True)
class Record:
    """The result of a simulation: the rounds (empty if they were not to be kept), each run's wait and latency
    in the order of claims, the waits so far of runs that still wait, and the replica-seconds paid.
    """

    rounds: tuple[Round, ...]
    timeline: Timeline
    waits: array[float]
    latencies: array[float]
    still_waiting: tuple[float, ...]
    replica_seconds: float

    def most_replicas(self) -> int:
        """The largest number of replicas decided."""
        return int(max(self.timeline.decided))

    def at(self, seconds: float) -> Round:
        """The round at `seconds` or the first after it."""
        return next(each for each in self.rounds if each.at >= seconds)
