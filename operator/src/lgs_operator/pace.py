"""How often each service is asked how it is. Pure: clock, processor time and chance are arguments.

As long as that takes little of the processor, all services are asked at every interval. When it takes more,
calm services (nothing runs or waits, and nothing is about to change) are asked less often, and only one
replica of each: what waits belongs to the whole service, so each replica can tell. At a sign of work, all
replicas are asked at once. Only if that is not enough are services with work asked less often, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.scaling import Decision, Observation, Policy, ReplicaSample

SHARE: Final = 0.25
"""Share of one core that everything the operator does may use."""
WINDOW_SECONDS: Final = 5.0
CALM_STRETCH: Final = 10.0
"""How many intervals a calm service is left alone before services with work are asked less often, too."""
MOST_STRETCH: Final = 20 * CALM_STRETCH
LONGEST_WHOLE_SECONDS: Final = 60.0
"""Seconds between two times that all replicas of a calm service are asked."""
SOON_SECONDS: Final = 2 * LONGEST_WHOLE_SECONDS


@dataclass
class _Asked:
    """When one service was asked, for which generation of its manifest, what its replicas answered, and by
    how much it is asked earlier or later than others."""

    at: float
    whole_at: float
    spread: float
    arrived: float
    replicas: int
    generation: int
    is_calm: bool = False


class Pace:
    """Decides when services are asked. `interval` is the shortest, in seconds; `chance` returns numbers from
    0 to 1; `share` is that of a core that may be used."""

    def __init__(self, interval: float, chance: Callable[[], float], share: float = SHARE) -> None:
        self._interval = interval
        self._chance = chance
        self._share = share
        self._asked: dict[ServiceKey, _Asked] = {}
        self._used: tuple[float, float] | None = None
        self.stretch = 1.0
        """How many intervals a calm service is left alone, up to `CALM_STRETCH`."""

    def keep(self, services: Collection[ServiceKey]) -> None:
        """Forgets all other services."""
        for gone in self._asked.keys() - services:
            del self._asked[gone]

    def measure(self, processor_seconds: float, now: float) -> None:
        """Takes the processor seconds that the process has used so far. The stretch follows slowly, faster
        upwards than downwards."""
        if self._used is None or now < self._used[1]:
            # the first time, or the clock was set back
            self._used = processor_seconds, now
        used, since = self._used
        if now - since < WINDOW_SECONDS:
            return
        self._used = processor_seconds, now
        ratio = (processor_seconds - used) / (now - since) / self._share
        if ratio > 1:
            self.stretch = min(MOST_STRETCH, self.stretch * min(ratio, 2.0))
        elif ratio < 0.8:
            self.stretch = max(1.0, self.stretch * max(ratio, 0.8))

    def is_due(self, key: ServiceKey, now: float, generation: int = 0) -> bool:
        """Whether the service is to be asked now. At once if `generation` of its manifest is a new one, which
        may want more."""
        asked = self._asked.get(key)
        if asked is not None and asked.generation != generation:
            del self._asked[key]
            return True
        return asked is None or not 0 <= now - asked.at < self._seconds(asked)

    def is_glance(self, key: ServiceKey, now: float) -> bool:
        """Whether it is enough to ask one replica this time."""
        asked = self._asked.get(key)
        if asked is None or not asked.is_calm or self.stretch <= 1:
            return False
        longest = min(LONGEST_WHOLE_SECONDS, self._seconds(asked) * asked.replicas)
        return 0 <= now - asked.whole_at < longest

    def glanced(self, key: ServiceKey, now: float) -> None:
        """Notes that one replica was asked and had no work; the service may be gone by now."""
        if (asked := self._asked.get(key)) is not None:
            asked.at = now

    def asked(
        self,
        key: ServiceKey,
        now: float,
        samples: Sequence[ReplicaSample],
        *,
        calm: bool,
        generation: int = 0,
    ) -> None:
        """Notes that all replicas were asked. `calm`: the service looked calm; it counts as calm only if no
        run arrived since the last time."""
        arrived = sum(each.arrived for each in samples)
        before = self._asked.get(key)
        spread = 0.75 + self._chance() / 2 if before is None else before.spread
        same = before is not None and before.arrived == arrived
        self._asked[key] = _Asked(now, now, spread, arrived, len(samples), generation, calm and same)

    def _seconds(self, asked: _Asked) -> float:
        if self.stretch <= 1:
            return 0.0
        stretch = min(self.stretch, CALM_STRETCH) if asked.is_calm else max(1.0, self.stretch / CALM_STRETCH)
        return self._interval * stretch * (asked.spread if stretch > 1 else 0.0)


def has_no_work(sample: ReplicaSample) -> bool:
    """Whether nothing runs in the replica, nothing waits in the service or is due soon, and nothing is
    wrong."""
    due = sample.next_due_seconds
    return (
        sample.waiting == 0
        and sample.in_use == 0
        and not sample.blocked
        and (due is None or due > SOON_SECONDS)
        and not sample.draining
        and not sample.open_circuits
    )


def is_calm(
    policy: Policy, observation: Observation, decision: Decision, live: int, *, is_auto: bool
) -> bool:
    """Whether all replicas are there and without work, and the law wants no other number of them, now or
    soon."""
    is_least = not is_auto or live == decision.replicas == policy.min_replicas
    return (
        is_least
        and 0 < live == observation.ready == len(observation.samples)
        and not (observation.starting or observation.draining or observation.failed or observation.silent)
        and not (policy.schedule or policy.predict)
        and all(map(has_no_work, observation.samples))
    )
