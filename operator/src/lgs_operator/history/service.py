"""The history of one service, and the histories of all that an operator scales. Pure,
except for what they keep.

A service takes some 70 KB for its numbers, and at most 0.2 MB for the words of its decisions and alerts;
`MOST_SERVICES` bounds the total.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final, NamedTuple

from lgs_operator.alerting.measures import Seen
from lgs_operator.alerting.window import Window, advanced
from lgs_operator.history.archive import Archive
from lgs_operator.history.decisions import DecisionLog, Firing
from lgs_operator.history.series import SERIES, Moment, read
from lgs_operator.scaling import Decision, Observation, ReplicaSample

EVERY_SECONDS: Final = 4.0
"""Seconds between two measurements, so that each bucket of the finest resolution has at least one."""
LATELY_SECONDS: Final = 60.0
SPARK_SECONDS: Final = 300.0
DAY: Final = 86_400.0
MOST_SERVICES: Final = 500
USAGE: Final = ("cache_hits", "cache_misses", "tokens")


class Name(NamedTuple):
    """The namespace and name of a service."""

    namespace: str
    name: str


class ServiceHistory:
    """The history of one service."""

    def __init__(self) -> None:
        self._archive = Archive({name: each.fold for name, each in SERIES.items()})
        self.log = DecisionLog()
        self._window = Window()
        self._measured_at: float | None = None
        self._latest: dict[str, float | None] = {}

    @property
    def bytes(self) -> int:
        """How many bytes its numbers take, which is constant."""
        return self._archive.bytes

    def is_due(self, now: float) -> bool:
        """Whether the next observation is measured, so that replicas must be asked for all series."""
        return self._measured_at is None or not 0 <= now - self._measured_at < EVERY_SECONDS

    def observe(
        self,
        now: float,
        observation: Observation,
        decision: Decision | None,
        firing: Mapping[str, Firing] | None = None,
    ) -> None:
        """Adds one round of the scaling law. `firing` has the firing alerts by name; None if the
        service has none."""
        if decision is not None:
            self.log.decided(now, decision)
        if firing is not None:
            self.log.firing(now, firing)
        if not self.is_due(now):
            return
        self._measured_at = now
        self._window = advanced(self._window, _complete(observation, self._window.baselines), LATELY_SECONDS)
        desired = None if decision is None else decision.replicas
        alerts = None if firing is None else len(firing)
        self._latest = read(Moment(Seen(observation, self._window), desired, alerts))
        self._archive.add(now, self._latest)

    def summary(self) -> dict[str, Any]:
        """The last measurement, the slots in use up to it, and the last decision."""
        last = self.log.last
        spark = self._archive.line("inUse", self._measured_at or 0.0, SPARK_SECONDS)
        return {
            "at": self._measured_at,
            "spark": [_short(each) for each in spark],
            "values": {name: _short(value) for name, value in self._latest.items()},
            "decision": None if last is None else asdict(last),
        }

    def as_json(self, now: float, seconds: float, since: float | None = None) -> dict[str, Any]:
        """The last `seconds`, or what is new since `since`: points from the bucket that was open then, and
        later decisions and alerts."""
        points = self._archive.points(now, seconds, since)
        return {
            "now": now,
            "step": points.seconds,
            "at": points.at,
            "values": {name: [_short(value) for value in column] for name, column in points.values.items()},
            "decisions": [asdict(each) for each in self.log.decisions(now, seconds, since)],
            "alerts": [asdict(each) for each in self.log.alerts(now, seconds, since)],
        }


class Histories:
    """The histories of all services. `now` is the clock, in seconds since the epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._kept: dict[Name, tuple[str, ServiceHistory]] = {}
        self._of_namespace: Counter[str] = Counter()

    def of(self, namespace: str, name: str) -> ServiceHistory | None:
        """The history of a service; None if it has none."""
        found = self._kept.get(Name(namespace, name))
        return None if found is None else found[1]

    def begin(self, namespace: str, name: str, uid: str) -> ServiceHistory | None:
        """The history of the service with this `uid`, a new one if it had none; None if there are
        too many. If its namespace has fewer than the one that has most, it takes the place of that
        one's last history."""
        key = Name(namespace, name)
        before = self._kept.get(key)
        if before is not None and before[0] == uid:
            return before[1]
        if before is None:
            if len(self._kept) >= MOST_SERVICES and not self._has_made_room(namespace):
                return None
            self._of_namespace[namespace] += 1
        self._kept[key] = (uid, ServiceHistory())
        return self._kept[key][1]

    def keep(self, services: Iterable[tuple[str, str]]) -> None:
        """Forgets the histories of all other services."""
        wanted: Collection[Name] = {Name(*each) for each in services}
        for gone in self._kept.keys() - wanted:
            self._forget(gone)

    def _has_made_room(self, namespace: str) -> bool:
        (largest, most), *_ = self._of_namespace.most_common(1)
        if most <= self._of_namespace[namespace] + 1:
            return False
        self._forget(next(key for key in reversed(self._kept) if key.namespace == largest))
        return True

    def _forget(self, key: Name) -> None:
        del self._kept[key]
        self._of_namespace[key.namespace] -= 1
        if not self._of_namespace[key.namespace]:
            del self._of_namespace[key.namespace]

    def all(self) -> list[dict[str, Any]]:
        """The name and the summary of each service, sorted by name."""
        return [
            {"namespace": key.namespace, "name": key.name, **history.summary()}
            for key, (_, history) in sorted(self._kept.items())
        ]


def _complete(observation: Observation, before: Mapping[str, ReplicaSample]) -> Observation:
    """The observation, with the last counts of cache and tokens for replicas that were not asked for them
    this time: a counter that is missing once has not restarted."""
    return replace(observation, samples=tuple(_carried(each, before) for each in observation.samples))


def _carried(sample: ReplicaSample, before: Mapping[str, ReplicaSample]) -> ReplicaSample:
    last = before.get(sample.replica)
    missing = {
        name: getattr(last, name)
        for name in USAGE
        if getattr(sample, name) is None and last is not None and getattr(last, name) is not None
    }
    return replace(sample, **missing) if missing else sample


def _short(value: float | None) -> float | None:
    """`value` with five digits, which are more than the page shows."""
    return None if value is None else float(f"{value:.5g}")
