"""The laws to compare, each with the one number that its user sets, and the values of that
number for its front.

`fixed` is not a law but a constant number of replicas, to show what a constant cost buys. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lgs_operator.scaling.law import decide
from lgs_operator.scaling.memory import Memory
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation
from lgs_operator.simulate.hpa import SYNC_SECONDS, HpaMemory, hpa
from lgs_operator.simulate.hpa import TARGET as HPA_TARGET
from lgs_operator.simulate.keda import (
    LIST_LENGTH,
    PENDING_EACH,
    SHARE_IN_USE,
    KedaMemory,
    in_system,
    platform,
    waiting,
)
from lgs_operator.simulate.kpa import TARGET as KPA_TARGET
from lgs_operator.simulate.kpa import TICK_SECONDS, KpaMemory, kpa
from lgs_operator.simulate.laws import Law, PlainDecision

ROUND_SECONDS = 1.5
"""Seconds between decisions, as in the operator."""
OURS, HPA, KEDA, QUEUE, PLATFORM, KPA, FIXED = "ours", "HPA", "KEDA", "queue", "platform", "KPA", "fixed"
SHARES = (0.3, 0.45, 0.6, 0.7, 0.75, 0.85, 1.0)
COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0)
WAITS = (0.05, 0.2, 0.5, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A law under a policy, asked every `interval` seconds. `target` is the number that its user sets, None
    if it is the manifest's; `plain` laws read no histograms, `summed` ones only use sums over the replicas.
    """

    name: str
    policy: Policy
    law: Law[Any]
    memory: Any
    interval: float
    target: float | None = None
    plain: bool = True
    summed: bool = True


def ours(policy: Policy) -> Candidate:
    """The law of the manifest as it stands."""
    return Candidate(OURS, policy, decide, Memory(), ROUND_SECONDS, plain=False)


def _hpa(policy: Policy, target: float) -> Candidate:
    return Candidate(
        HPA, policy, partial(hpa, target=target), HpaMemory(), SYNC_SECONDS, target, summed=False
    )


def _keda(policy: Policy, target: float) -> Candidate:
    return Candidate(KEDA, policy, partial(in_system, target=target), KedaMemory(), SYNC_SECONDS, target)


def _queue(policy: Policy, target: float) -> Candidate:
    return Candidate(QUEUE, policy, partial(waiting, target=target), KedaMemory(), SYNC_SECONDS, target)


def _platform(policy: Policy, target: float) -> Candidate:
    return Candidate(PLATFORM, policy, partial(platform, target=target), KedaMemory(), SYNC_SECONDS, target)


def _kpa(policy: Policy, target: float) -> Candidate:
    return Candidate(KPA, policy, partial(kpa, target=target), KpaMemory(), TICK_SECONDS, target)


def fixed(policy: Policy, replicas: int) -> Candidate:
    """Always `replicas`, even outside of the manifest's bounds."""
    constant = replace(policy, min_replicas=replicas, max_replicas=replicas)
    return Candidate(FIXED, constant, _constant, None, 60.0, float(replicas))


def _constant(policy: Policy, _: Observation | None, memory: None, now: float) -> PlainDecision[None]:
    return PlainDecision(policy.min_replicas, memory)


OTHERS: dict[str, tuple[Callable[[Policy, float], Candidate], float, Sequence[float]]] = {
    HPA: (_hpa, HPA_TARGET, SHARES),
    KEDA: (_keda, SHARE_IN_USE, SHARES),
    QUEUE: (_queue, LIST_LENGTH, COUNTS),
    PLATFORM: (_platform, PENDING_EACH, COUNTS),
    KPA: (_kpa, KPA_TARGET, SHARES),
}
"""The other laws, each with its default and the values for its front."""


def compared(policy: Policy, constants: Sequence[int] = ()) -> list[Candidate]:
    """Our law, the others with their defaults, and these constant numbers of replicas."""
    others = [make(policy, default) for make, default, _ in OTHERS.values()]
    return [ours(policy), *others, *(fixed(policy, number) for number in constants)]


def varied(policy: Policy, constants: Sequence[int] = ()) -> list[Candidate]:
    """Each law with each value of the number that its user sets; for ours that is `queueWaitSeconds`."""
    waits = sorted({*WAITS, policy.queue_wait_seconds})
    mine = [replace(ours(replace(policy, queue_wait_seconds=seconds)), target=seconds) for seconds in waits]
    others = [make(policy, value) for make, _, values in OTHERS.values() for value in values]
    least, most = max(1, policy.min_replicas), policy.max_replicas
    numbers = sorted(
        {*(least + round((most - least) * tenths / 10) for tenths in range(0, 11, 2)), *constants}
    )
    return [*mine, *others, *(fixed(policy, number) for number in numbers)]
