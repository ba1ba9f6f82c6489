"""Searches for the numbers of the manifest that meet a target at the least cost on a load.

It plays the load with the manifest's numbers, then varies one of them at a time for as long as the cost
falls. It finds a good answer in a few dozen plays and does not prove that there is no better one. Pure except
for the plays, which it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lgs_operator.scaling.policy import Policy
from lgs_operator.simulate.candidates import Candidate, fixed, ours
from lgs_operator.simulate.comparison import Outcome
from lgs_operator.simulate.loads import LoadError

HOLDS = (15.0, 30.0, 60.0, 120.0, 300.0)
WAITS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
OVERSHOOTS = (1.5, 2.0, 3.0, 5.0)
MOST_REPLICAS = 1000
_TARGET = re.compile(
    r"p(?P<percent>\d{1,2}(?:\.\d+)?) +(?P<what>wait|latency)(?: *(?:<=?|≤|under|of))? *"
    r"(?P<value>\d+(?:\.\d+)?) *(?P<unit>ms|s|m|min)?"
)
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, None: 1.0}
Play = Callable[[Sequence[Candidate]], list[Outcome]]


@dataclass(frozen=True, slots=True)
class Target:
    """A target: `percent` % of the runs wait (or take in all) no longer than `seconds`."""

    percent: float
    what: Literal["wait", "latency"]
    seconds: float

    @staticmethod
    def parse(text: str) -> Target:
        """The target in words such as `p99 wait 5s` or `p95 latency 500ms`. Raises `LoadError`."""
        found = _TARGET.fullmatch(text.strip().lower())
        if found is None:
            raise LoadError(f"--want is {text!r}; it must be like 'p99 wait 5s' or 'p95 latency 20s'")
        seconds = float(found["value"]) * _UNITS[found["unit"]]
        if not (0 < float(found["percent"]) < 100 and seconds > 0):
            raise LoadError(f"--want is {text!r}; its percentile and its time must be above 0")
        return Target(float(found["percent"]), "wait" if found["what"] == "wait" else "latency", seconds)

    def reached(self, outcome: Outcome) -> float:
        """The wait or latency of the outcome at the target's percentile, in seconds."""
        share = self.percent / 100
        return outcome.wait(share) if self.what == "wait" else outcome.latency(share)

    def is_met(self, outcome: Outcome) -> bool:
        """Whether the outcome meets the target."""
        return self.reached(outcome) <= self.seconds

    def __str__(self) -> str:
        return f"p{self.percent:g} {self.what} {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Tried:
    """A policy and its outcome."""

    policy: Policy
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Advice:
    """The result of a search: `now` is the manifest as it stands, `best` the cheapest policy found that meets
    the target (None if no number of replicas does), `plays` how many plays were needed.
    """

    target: Target
    now: Tried
    best: Tried | None
    plays: int


def advise(policy: Policy, target: Target, play: Play) -> Advice:
    """The cheapest numbers found that meet the target."""
    search = _Search(target, play)
    now = search.try_all([policy])[0]
    enough = search.enough(policy, now)
    if enough is None:
        return Advice(target, now, None, search.plays)
    room = replace(policy, max_replicas=max(policy.max_replicas, enough))
    best = search.least([room, *_holds(room)], enough)
    while True:
        before = best
        for changed in (_waits(best.policy), _overshoots(best.policy), _holds(best.policy)):
            best = search.cheapest([best.policy, *changed])
        best = search.least([best.policy], best.policy.min_replicas)
        if best.policy == before.policy:
            return Advice(target, now, best, search.plays)


class _Search:
    def __init__(self, target: Target, play: Play) -> None:
        self.target = target
        self._play = play
        self._known: dict[Policy, Tried] = {}

    @property
    def plays(self) -> int:
        return len(self._known)

    def try_all(self, policies: Sequence[Policy]) -> list[Tried]:
        new = [each for each in dict.fromkeys(policies) if each not in self._known]
        for policy, outcome in zip(new, self._play([_candidate(each) for each in new]), strict=True):
            self._known[policy] = Tried(policy, outcome)
        return [self._known[each] for each in policies]

    def is_met(self, policy: Policy) -> bool:
        return self.target.is_met(self.try_all([policy])[0].outcome)

    def enough(self, policy: Policy, now: Tried) -> int | None:
        """How many replicas, always present, meet the target; None if no number does. If the manifest already
        meets it, its `minReplicas`."""
        if self.target.is_met(now.outcome):
            return policy.min_replicas
        high = policy.max_replicas
        while not self.is_met(_constant(policy, high)):
            if high >= MOST_REPLICAS:
                return None
            high = min(MOST_REPLICAS, 2 * high)
        low = 1
        while low < high:
            middle = (low + high) // 2
            if self.is_met(_constant(policy, middle)):
                high = middle
            else:
                low = middle + 1
        return high

    def least(self, policies: Sequence[Policy], enough: int) -> Tried:
        """The cheapest of `policies`, each with the fewest `minReplicas` up to `enough` that meet the target,
        or a constant number of replicas if that is cheaper.
        """
        lows, highs = [min(1, enough)] * len(policies), [enough] * len(policies)
        while open_ones := [index for index in range(len(policies)) if lows[index] < highs[index]]:
            middles = {index: (lows[index] + highs[index]) // 2 for index in open_ones}
            tried = self.try_all(
                [replace(policies[index], min_replicas=middles[index]) for index in open_ones]
            )
            for index, each in zip(open_ones, tried, strict=True):
                if self.target.is_met(each.outcome):
                    highs[index] = middles[index]
                else:
                    lows[index] = middles[index] + 1
        found = [replace(each, min_replicas=high) for each, high in zip(policies, highs, strict=True)]
        return self.cheapest([*found, _constant(policies[0], max(1, enough))])

    def cheapest(self, policies: Sequence[Policy]) -> Tried:
        """The cheapest of the policies that meet the target; at least one must."""
        met = [each for each in self.try_all(policies) if self.target.is_met(each.outcome)]
        return min(met, key=lambda each: each.outcome.replica_seconds)


def _candidate(policy: Policy) -> Candidate:
    if policy.min_replicas == policy.max_replicas:
        return fixed(policy, policy.min_replicas)
    return ours(policy)


def _constant(policy: Policy, replicas: int) -> Policy:
    return replace(policy, min_replicas=replicas, max_replicas=replicas)


def _holds(policy: Policy) -> list[Policy]:
    return [replace(policy, hold_seconds=each) for each in HOLDS]


def _waits(policy: Policy) -> list[Policy]:
    return [replace(policy, queue_wait_seconds=each) for each in WAITS]


def _overshoots(policy: Policy) -> list[Policy]:
    return [replace(policy, overshoot=each) for each in OVERSHOOTS]
