"""The interface of a scaling law in the simulator: a pure function from what is observed and remembered to a
number of replicas. `lgs_operator.scaling.decide` is one as it stands; `candidates` has the others.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation, ReplicaSample
from lgs_operator.scaling.values import value

State = TypeVar("State")
State_co = TypeVar("State_co", covariant=True)


class LawDecision(Protocol[State_co]):
    """A number of replicas, and what to remember for the next choice."""

    @property
    def replicas(self) -> int: ...

    @property
    def memory(self) -> State_co: ...


class Law(Protocol[State]):
    """A law. It is called at its own interval with the observation of the round (None:
    nothing was observed)."""

    def __call__(
        self, policy: Policy, observation: Observation | None, memory: State, now: float, /
    ) -> LawDecision[State]: ...


@value(frozen=True, slots=True)
class PlainDecision(Generic[State]):
    """A `LawDecision` without words."""

    replicas: int
    memory: State


def working(observation: Observation | None) -> list[ReplicaSample]:
    """The samples of the replicas that take runs."""
    return [] if observation is None else [each for each in observation.samples if not each.draining]


def within(policy: Policy, replicas: int) -> int:
    """`replicas` within the bounds of the manifest."""
    return min(max(replicas, policy.min_replicas, 1), policy.max_replicas)
