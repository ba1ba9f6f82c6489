"""Plays one load through our law and the others, and counts what came of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from lgs_operator.scaling.law import decide
from lgs_operator.scaling.memory import Memory
from lgs_operator.scaling.policy import Policy
from lgs_operator.simulate.hpa import HpaMemory, hpa
from lgs_operator.simulate.keda import KedaMemory, in_system, pending
from lgs_operator.simulate.kpa import KpaMemory, kpa
from lgs_operator.simulate.laws import Law, State
from lgs_operator.simulate.loads import Load
from lgs_operator.simulate.service import Record, Simulation

ROUND_SECONDS = 1.5
"""As often as the operator decides."""
OURS, HPA, KEDA, PENDING, KPA = "ours", "HPA", "KEDA", "pending", "KPA"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a law made of a load. Waits in seconds, from arrival to a slot; a run that still waits at the end
    counts with its wait so far.
    """

    law: str
    record: Record
    waits: tuple[float, ...]
    """Ascending."""

    def late(self, seconds: float) -> float:
        """Share of the runs that waited longer than `seconds`."""
        return sum(wait > seconds for wait in self.waits) / len(self.waits) if self.waits else 0.0

    @property
    def p95_wait(self) -> float:
        """The wait that 95 of 100 runs did not exceed."""
        return self.waits[ceil(0.95 * len(self.waits)) - 1] if self.waits else 0.0

    @property
    def replica_hours(self) -> float:
        """Hours that replicas existed, from being asked for to being gone."""
        return self.record.replica_seconds / 3600

    @property
    def changes(self) -> int:
        """How often the number of replicas was changed."""
        numbers = [each.decision.replicas for each in self.record.rounds]
        return sum(before != after for before, after in pairwise(numbers))


def compare(policy: Policy, load: Load, startup_seconds: float) -> tuple[Outcome, ...]:
    """Our law, the HPA on slots, KEDA on all runs and on those that wait, and Knative's KPA on `load`, within
    the bounds and the slots of `policy`.
    """

    def outcome(name: str, law: Law[State], memory: State) -> Outcome:
        simulation = Simulation(policy, law, memory, startup_seconds=startup_seconds, tick=ROUND_SECONDS)
        record = simulation.play(load.jobs, load.seconds)
        return Outcome(name, record, tuple(sorted((*record.waits, *record.still_waiting))))

    return (
        outcome(OURS, decide, Memory()),
        outcome(HPA, hpa, HpaMemory()),
        outcome(KEDA, in_system, KedaMemory()),
        outcome(PENDING, pending, KedaMemory()),
        outcome(KPA, kpa, KpaMemory()),
    )
