"""The inputs of a round of the scaling law, and its result."""

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
    """How many replicas there should be. `code` is for events, `reason` for people, `inputs` holds
    the numbers behind it.

    `limited` names the bound that sets the number in place of the load. `p95` is in seconds (None: nothing
    ended in the last half minute), `queue` the number of waiting runs.
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
    """What shows that more replicas would complete no more runs, in words."""
    scheduled: str | None = None
    """The entry of the schedule that sets the number, in words."""
    blind_seconds: float | None = None
    """With `NoData`: seconds since there was enough data; None: there never was."""


@value(frozen=True, slots=True)
class Proposal:
    """What the load asks for now, before bounds and hold."""

    replicas: int
    why: str
    code: Code | None = None
    for_load: int = 0
    """How many of `replicas` the load asks for; the others are for the waiting runs."""
    is_predicted: bool = False
    """Whether the load of the days before asks for them, not the load of now."""
    is_idle: bool = False
    """Whether there was no work for so long that no replica is needed; then no hold applies."""


@value(frozen=True, slots=True)
class RoundInputs:
    """The inputs of a decision, once `memory` has learned the round."""

    policy: Policy
    observation: Observation
    demand: Demand
    memory: Memory
    current: int
    now: float
    scheduled: Scheduled | None = None
    """What the schedule asks for, if that is more than minReplicas; it is then the minimum of `policy`."""
    worked_at: float | None = None
    """The time of the last work, for the memory of the next round."""
