"""KEDA, which feeds the HorizontalPodAutoscaler its own number, for comparison.

After https://keda.sh/docs/latest/concepts/scaling-deployments/ and the HPA's algorithm for external metrics
with an `AverageValue`: every 15 s `ceil(number / target)`, nothing within a tolerance of 0.1, and the HPA's
stabilisation. Three numbers are played: all runs in the service, with a target of 0.7 of a replica's slots;
the waiting runs, 5 for each replica, which is KEDA's default for the length of a list; and the same, read
every 30 s, with a target of 10, which is the rule of LangGraph's own platform for its queue workers. (That
platform waits half an hour before it takes a replica away; here it has the HPA's five minutes.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation
from lgs_operator.simulate.hpa import SYNC_SECONDS, TOLERANCE, HpaMemory, settled
from lgs_operator.simulate.laws import PlainDecision, within, working

SHARE_IN_USE = 0.7
LIST_LENGTH = 5.0
PENDING_EACH = 10.0
POLL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class KedaMemory:
    """What it remembers: `pending` is the number of waiting runs when it was last read, at `polled_at`."""

    hpa: HpaMemory = field(default_factory=HpaMemory)
    pending: float = 0.0
    polled_at: float | None = None


def in_system(
    policy: Policy,
    observation: Observation | None,
    memory: KedaMemory,
    now: float,
    *,
    target: float = SHARE_IN_USE,
) -> PlainDecision[KedaMemory]:
    """The choice at `now` by all runs in the service, waiting or executed; `target` is the share
    of slots to be in use.
    """
    samples = working(observation)
    if observation is None or not samples:
        return PlainDecision(_current(policy, memory), memory)
    runs = float(sum(sample.in_use for sample in samples) + (samples[0].waiting or 0))
    return _chosen(policy, runs, target * policy.slots, memory, now)


def waiting(
    policy: Policy,
    observation: Observation | None,
    memory: KedaMemory,
    now: float,
    *,
    target: float = LIST_LENGTH,
    poll: float = 0.0,
) -> PlainDecision[KedaMemory]:
    """The choice at `now` by the waiting runs, `target` for each replica, as last read, at most
    `poll` seconds ago."""
    samples = working(observation)
    if observation is None or not samples:
        return PlainDecision(_current(policy, memory), memory)
    if memory.polled_at is None or now - memory.polled_at >= poll:
        memory = KedaMemory(memory.hpa, float(samples[0].waiting or 0), now)
    return _chosen(policy, memory.pending, target, memory, now)


def platform(
    policy: Policy,
    observation: Observation | None,
    memory: KedaMemory,
    now: float,
    *,
    target: float = PENDING_EACH,
) -> PlainDecision[KedaMemory]:
    """The rule of LangGraph's own platform: by the waiting runs, `target` for each
    replica, read every 30 s."""
    return waiting(policy, observation, memory, now, target=target, poll=POLL_SECONDS)


def _chosen(
    policy: Policy, number: float, target: float, memory: KedaMemory, now: float
) -> PlainDecision[KedaMemory]:
    current = _current(policy, memory)
    if memory.hpa.synced_at is not None and now - memory.hpa.synced_at < SYNC_SECONDS:
        return PlainDecision(current, memory)
    wanted = current if abs(number / target / current - 1) <= TOLERANCE else ceil(number / target - 1e-9)
    settled_on = settled(policy, wanted, current, memory.hpa, now)
    return PlainDecision(settled_on.replicas, KedaMemory(settled_on.memory, memory.pending, memory.polled_at))


def _current(policy: Policy, memory: KedaMemory) -> int:
    return within(policy, policy.min_replicas) if memory.hpa.replicas is None else memory.hpa.replicas
