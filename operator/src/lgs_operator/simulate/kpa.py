"""Knative's pod autoscaler (KPA) on concurrency, with its defaults, for comparison.

After https://knative.dev/docs/serving/autoscaling/kpa-specific/ and the steps of its autoscaler: every
2 s `ceil(concurrency / target)` with the mean of the last 60 s. If the mean of the last 6 s asks for
twice the ready replicas or more, it panics: the larger of both counts applies, and no replica goes
until 60 s after the last such moment. The target is 0.7 of a replica's slots. Concurrency is the runs
in slots and the waiting runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation
from lgs_operator.simulate.laws import PlainDecision, within, working

TICK_SECONDS = 2.0
STABLE_SECONDS = 60.0
PANIC_SECONDS = 6.0
PANIC_THRESHOLD = 2.0
TARGET = 0.7
MOST_UP = 1000.0
MOST_DOWN = 2.0


@dataclass(frozen=True, slots=True)
class KpaMemory:
    """What it remembers: `seen` has (time, concurrency) of the last 60 s; `panic_at` is None in stable mode,
    and `panic_replicas` the most replicas of this panic.
    """

    ticked_at: float | None = None
    replicas: int | None = None
    seen: tuple[tuple[float, float], ...] = ()
    panic_at: float | None = None
    panic_replicas: int = 0


def kpa(
    policy: Policy, observation: Observation | None, memory: KpaMemory, now: float, *, target: float = TARGET
) -> PlainDecision[KpaMemory]:
    """The choice at `now`; it changes at most every 2 s. `target` is the share of slots to be in use."""
    current = within(policy, policy.min_replicas) if memory.replicas is None else memory.replicas
    samples = working(observation)
    if observation is None or not samples:
        return PlainDecision(current, memory)
    concurrency = float(sum(sample.in_use for sample in samples) + (samples[0].waiting or 0))
    seen = (*((at, was) for at, was in memory.seen if now - at < STABLE_SECONDS), (now, concurrency))
    if memory.ticked_at is not None and now - memory.ticked_at < TICK_SECONDS:
        kept = KpaMemory(memory.ticked_at, current, seen, memory.panic_at, memory.panic_replicas)
        return PlainDecision(current, kept)
    ready = max(1, observation.ready)
    stable = _asked(_mean(seen, now, STABLE_SECONDS), target * policy.slots, ready)
    panic = _asked(_mean(seen, now, PANIC_SECONDS), target * policy.slots, ready)
    panic_at = memory.panic_at
    if panic / ready >= PANIC_THRESHOLD:
        panic_at = now
    elif panic_at is not None and now - panic_at > STABLE_SECONDS:
        panic_at = None
    panic_replicas = 0 if panic_at is None else max(stable, panic, memory.panic_replicas)
    replicas = within(policy, stable if panic_at is None else panic_replicas)
    return PlainDecision(replicas, KpaMemory(now, replicas, seen, panic_at, panic_replicas))


def _mean(seen: tuple[tuple[float, float], ...], now: float, window: float) -> float:
    inside = [was for at, was in seen if now - at < window]
    return sum(inside) / len(inside)


def _asked(concurrency: float, each: float, ready: int) -> int:
    """The replicas for `concurrency` with `each` per replica: at most 1000 times and at least
    half of the ready ones.
    """
    asked = ceil(concurrency / each - 1e-9)
    return min(max(asked, floor(ready / MOST_DOWN)), ceil(MOST_UP * ready))
