"""What a round of the scaling law is made of, and what comes of it."""

from __future__ import annotations

from typing import Literal

from lgs_operator.scaling.demand import Demand
from lgs_operator.scaling.memory import Memory
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation
from lgs_operator.scaling.schedule import Scheduled
from lgs_operator.scaling.values import value

Limit = Literal["min", "max", "schedule", "downstream"]
Code = Literal[
    "ScaledOut",
    "ScaledIn",
    "Steady",
    "Holding",
    "Scheduled",
    "Predicted",
    "NoData",
    "RunsSlow",
    "Waiting",
    "Saturated",
    "DownstreamSaturated",
]


@value(frozen=True, slots=True)
class Decision:
    """How many replicas there should be. `code` is for events, `reason` for people, `inputs` the numbers
    behind it.

    `limited` says that the bounds of the policy, not the load, set the number. `p95` in seconds (None:
    nothing ended in the last half minute), `queue` the runs that wait.
    """

    replicas: int
    reason: str
    code: Code
    inputs: dict[str, float]
    limited: Limit | None
    memory: Memory
    p95: float | None = None
    queue: int | None = None
    saturated: str | None = None
    """The numbers by which more replicas would bring nothing more."""
    scheduled: str | None = None
    """The entry of the schedule that sets the number, in words."""


@value(frozen=True, slots=True)
class Proposal:
    """What the load asks for now, before bounds and hold."""

    replicas: int
    why: str
    code: Code | None = None
    for_load: int = 0
    """Those of them that the load asks for; the others are there for what waits."""
    is_predicted: bool = False
    """The days before ask for them, not the load."""
    is_idle: bool = False
    """There was no work for so long that none is needed: no hold counts any more."""


@value(frozen=True, slots=True)
class RoundInputs:
    """What a decision is made of, once the round has been learned."""

    policy: Policy
    observation: Observation
    demand: Demand
    memory: Memory
    current: int
    now: float
    scheduled: Scheduled | None = None
    """What the schedule asks for, where that is more than minReplicas; `policy` has it as its minimum."""
    worked_at: float | None = None
    """When there was work last, for the memory of the next round."""
