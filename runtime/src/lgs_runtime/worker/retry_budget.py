"""How long the database may fail under a run before that ends the run.

A run is not at fault when the database goes away, so it waits for as long as an outage may last. But a
checkpoint that the database will never take (too large, say) fails in the same way for ever, so at some point
its run ends in error. Pure: time is an argument, in seconds of any clock that goes forward.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lgs_runtime.backoff import Backoff

PATIENCE_SECONDS: Final = 600.0
"""A run ends when the database has failed under it for so long."""
APART_SECONDS: Final = 60.0
"""Failures further apart than this have nothing to do with each other."""
BACKOFF: Final = Backoff(first_seconds=0.25, longest_seconds=5.0)


@dataclass(frozen=True, slots=True)
class Outage:
    """Failures under one run that followed each other."""

    since: float
    last: float
    failures: int


class RetryBudget:
    """The failures that this replica saw, by run. `at_least` of them are needed to end a run."""

    def __init__(self, at_least: int, chance: Callable[[], float] = random.random) -> None:
        self._at_least = at_least
        self._chance = chance
        self._by_run: dict[str, Outage] = {}

    def failed(self, run_id: str, now: float) -> float | None:
        """Notes a failure. Returns the pause before the next try in seconds, None to end the run."""
        # There is no sign here of the end of a run that goes on at another replica.
        self._by_run = {run: each for run, each in self._by_run.items() if now - each.last <= APART_SECONDS}
        before = self._by_run.get(run_id, Outage(now, now, 0))
        outage = self._by_run[run_id] = Outage(before.since, now, before.failures + 1)
        if outage.failures >= self._at_least and now - outage.since >= PATIENCE_SECONDS:
            return None
        return BACKOFF.pause(outage.failures, self._chance)

    def ended(self, run_id: str) -> None:
        """The run has ended here."""
        self._by_run.pop(run_id, None)
