"""The latest decisions of the scaling law that changed something, and the latest alerts that began or ended.
Pure, except for what it keeps.

A law that decides every second says the same for hours, or the same two things in turns. So decisions
that changed the number of replicas are kept separately from those that only had another code, which then
can't push them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import merge
from typing import Final

from lgs_operator.scaling import Decision

MOST_SCALED: Final = 200
MOST_OTHERS: Final = 100
MOST_ALERTS: Final = 100
OLD_SECONDS: Final = 30.0
LONGEST: Final = 240
"""Most characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision. `before` is how many replicas were wanted until then; None if that is not known."""

    at: float
    replicas: int
    before: int | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Alerted:
    """An alert that began to fire (`told` is firing) or ended (resolved)."""

    at: float
    name: str
    severity: str
    told: str
    reason: str


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires now; `at` is when it began to fire, None if that is not known."""

    severity: str
    reason: str
    at: float | None = None


class DecisionLog:
    """The decisions and alerts of one service."""

    def __init__(self) -> None:
        self._scaled: deque[Decided] = deque(maxlen=MOST_SCALED)
        self._others: deque[Decided] = deque(maxlen=MOST_OTHERS)
        self._alerts: deque[Alerted] = deque(maxlen=MOST_ALERTS)
        self._last: Decided | None = None
        self._firing: dict[str, Firing] = {}

    @property
    def last(self) -> Decided | None:
        """The decision that holds now, with the words with which it began."""
        return self._last

    def decided(self, at: float, decision: Decision) -> None:
        """Adds a decision if it differs from the one before in replicas or code."""
        last = self._last
        is_scaled = last is None or last.replicas != decision.replicas
        if last is not None and not is_scaled and last.code == decision.code:
            return
        before = None if last is None else last.replicas
        self._last = Decided(at, decision.replicas, before, decision.code, _short(decision.reason))
        (self._scaled if is_scaled else self._others).append(self._last)

    def firing(self, at: float, firing: Mapping[str, Firing]) -> None:
        """Adds the alerts that have begun to fire and those that have ended. One that fired long before it
        was first seen here gets the time at which it began."""
        before, self._firing = self._firing, dict(firing)
        began = [(name, firing[name], "firing") for name in firing.keys() - before.keys()]
        ended = [(name, before[name], "resolved") for name in before.keys() - firing.keys()]
        for name, each, told in sorted((*began, *ended), key=lambda change: change[0]):
            began_at = each.at if told == "firing" and each.at is not None else at
            reason = _short(each.reason) if told == "firing" else ""
            self._alerts.append(
                Alerted(began_at if at - began_at > OLD_SECONDS else at, name, each.severity, told, reason)
            )

    def decisions(self, now: float, seconds: float, since: float | None = None) -> list[Decided]:
        """The decisions of the last `seconds`, later than `since` and not later than `now`, oldest first."""
        first = now - seconds if since is None else max(since, now - seconds)
        both = merge(_ascending(self._scaled), _ascending(self._others), key=lambda each: each.at)
        return [each for each in both if first < each.at <= now]

    def alerts(self, now: float, seconds: float, since: float | None = None) -> list[Alerted]:
        """The alerts, selected like `decisions`."""
        first = now - seconds if since is None else max(since, now - seconds)
        return [each for each in sorted(self._alerts, key=lambda each: each.at) if first < each.at <= now]


def _ascending(kept: deque[Decided]) -> list[Decided]:
    """The decisions sorted by time, since a clock that was set back may have mixed them up."""
    return sorted(kept, key=lambda each: each.at)


def _short(words: str) -> str:
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
