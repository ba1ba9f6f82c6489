"""Kubernetes' HorizontalPodAutoscaler on the average utilisation of slots, with its defaults, for comparison.

After https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm details, default
behaviour): every 15 s `ceil(replicas * use / target)`, nothing within a tolerance of 0.1, replicas without
metrics count as idle when more are wanted and as on target when fewer are, at most double or 4 more per 15 s,
and down only to the largest recommendation of the last 300 s. The target is three quarters of the slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation
from lgs_operator.simulate.laws import PlainDecision, within, working

SYNC_SECONDS = 15.0
TARGET = 0.75
TOLERANCE = 0.1
STABILISATION_SECONDS = 300.0
MOST_FACTOR = 2
MOST_PODS = 4


@dataclass(frozen=True, slots=True)
class HpaMemory:
    """What it remembers: `recommended` has (time, replicas) of the last 300 s, `replicas`
    is the last choice."""

    synced_at: float | None = None
    replicas: int | None = None
    recommended: tuple[tuple[float, int], ...] = ()


def hpa(
    policy: Policy, observation: Observation | None, memory: HpaMemory, now: float, *, target: float = TARGET
) -> PlainDecision[HpaMemory]:
    """The choice at `now`; it changes at most every 15 s. `target` is the share of slots to be in use."""
    current = within(policy, policy.min_replicas) if memory.replicas is None else memory.replicas
    uses = [sample.in_use / sample.slots for sample in working(observation)]
    is_early = memory.synced_at is not None and now - memory.synced_at < SYNC_SECONDS
    if is_early or observation is None or not uses:
        return PlainDecision(current, memory)
    wanted = recommendation(uses, target, observation.starting, current)
    return settled(policy, wanted, current, memory, now)


def settled(
    policy: Policy, wanted: int, current: int, memory: HpaMemory, now: float
) -> PlainDecision[HpaMemory]:
    """`wanted` after the stabilisation of scaling down and the limits of scaling up."""
    wanted = within(policy, wanted)
    earlier = memory.recommended or ((now, current),)
    recent = (*((at, n) for at, n in earlier if now - at < STABILISATION_SECONDS), (now, wanted))
    stable = min(max(current, wanted), max(replicas for _, replicas in recent))
    limited = min(stable, max(MOST_FACTOR * current, current + MOST_PODS))
    replicas = within(policy, limited)
    return PlainDecision(replicas, HpaMemory(now, replicas, recent))


def recommendation(uses: list[float], target: float, starting: int, current: int) -> int:
    """The replicas that the average of `uses` asks for (the share of slots in use of each ready replica);
    `starting` ones have no metrics.
    """
    ratio = sum(uses) / len(uses) / target
    assumed = 0.0 if ratio > 1 else target
    pods = len(uses) + starting
    careful = (sum(uses) + starting * assumed) / pods / target
    turned = (ratio > 1) != (careful > 1)
    if turned or abs(careful - 1) <= TOLERANCE:
        return current
    return ceil(careful * pods - 1e-9)
