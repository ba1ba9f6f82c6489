"""Objects of a service that somebody else changes each time they were repaired: another controller, or a
webhook that says something else each time. Such a fight is as fast as both, and each round of it may be new
pods, so repairs come ever more seldom. Pure but for the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from lgs_operator.backoff import Backoff
from lgs_operator.kube.kinds import Key, Manifest
from lgs_operator.naming import FIELD_MANAGER
from lgs_operator.reconcile_plan import SCALER

AT_ONCE: Final = 3
"""Repairs in a row: people who try something are answered at once."""
PAUSES: Final = Backoff(first_seconds=5.0, longest_seconds=60.0)
QUIET_SECONDS: Final = 300.0
"""An object that stayed as it is wanted for so long is contested no more."""
_NOBODY: Final = frozenset({FIELD_MANAGER, SCALER, "kube-controller-manager"})
"""Managers of fields that are none of those that contest them."""


@dataclass
class _Repaired:
    times: int = 0
    at: float = 0.0
    until: float = 0.0


class Contests:
    """What was repaired, how often and when. `now` is the clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._repaired: dict[Key, _Repaired] = {}

    def repaired(self, key: Key) -> None:
        """It was not as it is wanted, though nothing else was wanted, and was written again."""
        now, known = self._now(), self._repaired.get(key)
        if known is None or now - known.at > QUIET_SECONDS:
            known = self._repaired[key] = _Repaired()
        known.times, known.at = known.times + 1, now
        if known.times >= AT_ONCE:
            known.until = now + PAUSES.pause(known.times - AT_ONCE + 1)

    def waits(self, key: Key) -> bool:
        """It is not to be repaired now."""
        known = self._repaired.get(key)
        return known is not None and self._now() < known.until


def contested(objects: Iterable[Manifest]) -> str:
    """What is said of objects that are left for a while as others made them."""
    named = ", ".join(f"{each['kind']} {each['metadata']['name']}{_by(each)}" for each in objects)
    return (
        f"changed by others each time that it was repaired: {named}; it is repaired ever more seldom, once a "
        "minute at last. Have them leave it alone: what it is to be, the manifest says"
    )


def _by(there: Manifest) -> str:
    """Who wrote to it last, as far as the API server notes that."""
    entries = there["metadata"].get("managedFields") or []
    others = [each for each in entries if each.get("manager") not in _NOBODY and not each.get("subresource")]
    newest: Manifest = max(others, key=lambda each: str(each.get("time", "")), default={})
    return f" (last by {newest['manager']})" if newest.get("manager") else ""
