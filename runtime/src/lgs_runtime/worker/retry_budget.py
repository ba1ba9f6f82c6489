"""How long the database may fail under a run before the run ends in error.

A run is not at fault if the database is unreachable, so it is retried for as long as an outage may last. But
a checkpoint that the database will never accept (too large, say) fails in the same way for ever, so at some
point its run ends in error. Pure: time is an argument, in seconds of any monotonic clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lgs_runtime.backoff import Backoff

PATIENCE_SECONDS: Final = 600.0
"""How long the database may fail under a run before the run ends."""
APART_SECONDS: Final = 60.0
"""Failures further apart than this do not belong to the same outage."""
BACKOFF: Final = Backoff(first_seconds=0.25, longest_seconds=5.0)


@dataclass(frozen=True, slots=True)
class Outage:
    """Consecutive failures under one run: times of the first and the last, and their number."""

    since: float
    last: float
    failures: int


class RetryBudget:
    """The failures that this replica has seen, by run. A run ends only after `at_least` failures."""

    def __init__(self, at_least: int, chance: Callable[[], float] = random.random) -> None:
        self._at_least = at_least
        self._chance = chance
        self._by_run: dict[str, Outage] = {}

    def failed(self, run_id: str, now: float) -> float | None:
        """Notes a failure. Returns the pause before the next try in seconds; None to end the run."""
        # Old entries are dropped here, as a run that continues on another replica never ends here.
        self._by_run = {run: each for run, each in self._by_run.items() if now - each.last <= APART_SECONDS}
        before = self._by_run.get(run_id, Outage(now, now, 0))
        outage = self._by_run[run_id] = Outage(before.since, now, before.failures + 1)
        if outage.failures >= self._at_least and now - outage.since >= PATIENCE_SECONDS:
            return None
        return BACKOFF.pause(outage.failures, self._chance)

    def ended(self, run_id: str) -> None:
        """Forgets a run that has ended here."""
        self._by_run.pop(run_id, None)
