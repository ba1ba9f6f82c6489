"""Objects of a service that somebody else changes, or deletes, each time they were repaired: another
controller, or a webhook that says something else each time. Such a fight is as fast as both, and each round
of it may be new pods, so repairs come ever more seldom. Pure but for the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from lgs_operator.backoff import Backoff
from lgs_operator.kube.kinds import JOB, NETWORK_POLICY, Key, Manifest
from lgs_operator.naming import FIELD_MANAGER
from lgs_operator.reconcile_plan import SCALER

AT_ONCE: Final = 3
"""Repairs in a row: people who try something are answered at once."""
PAUSES: Final = Backoff(first_seconds=5.0, longest_seconds=60.0)
GUARDS: Final = frozenset({NETWORK_POLICY})
"""Kinds without which pods are open to others. To write them makes no pod anew, so they wait for little."""
PAUSES_OF_GUARDS: Final = Backoff(first_seconds=5.0, longest_seconds=5.0)
QUIET_SECONDS: Final = 300.0
"""An object that stayed as it is wanted for so long is contested no more."""
_NOBODY: Final = frozenset({FIELD_MANAGER, SCALER, "kube-controller-manager"})
"""Managers of fields that are none of those that contest them."""


@dataclass
class _Written:
    """`times` in a row the same was written, last `at`; not again before `until`."""

    signature: str | None
    times: int = 0
    at: float = 0.0
    until: float = 0.0


class Contests:
    """What was written again and again with nothing else in it, how often and when: somebody else changed or
    deleted it. `now` is the clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._written: dict[Key, _Written] = {}

    def written(self, key: Key, signature: str | None) -> None:
        """It was written; `signature` is of all that it was to be."""
        now, known = self._now(), self._written.get(key)
        if known is None or known.signature != signature or now - known.at > QUIET_SECONDS:
            self._written[key] = _Written(signature, at=now)
            return
        known.times, known.at = known.times + 1, now
        if known.times >= AT_ONCE:
            pauses = PAUSES_OF_GUARDS if key.kind in GUARDS else PAUSES
            known.until = now + pauses.pause(known.times - AT_ONCE + 1)

    def deleted(self, key: Key) -> None:
        """By the operator itself: to make it again repairs nothing."""
        self._written.pop(key, None)

    def waits(self, key: Key, signature: str | None) -> bool:
        """The same is not to be written again now. A Job goes by itself, and of what has no signature nobody
        knows whether it is the same."""
        known = self._written.get(key)
        if known is None or signature is None or known.signature != signature or key.kind == JOB:
            return False
        return self._now() < known.until


def contested(objects: Iterable[Manifest]) -> str:
    """What is said of objects that are left for a while as others made them."""
    named = ", ".join(f"{each['kind']} {each['metadata']['name']}{_by(each)}" for each in objects)
    return (
        f"changed or deleted by others each time that it was repaired: {named}; it is repaired ever more "
        "seldom, once a minute at last. Have them leave it alone: what it is to be, the manifest says"
    )


def _by(there: Manifest) -> str:
    """Who wrote to it last, as far as the API server notes that."""
    entries = there["metadata"].get("managedFields") or []
    others = [each for each in entries if each.get("manager") not in _NOBODY and not each.get("subresource")]
    newest: Manifest = max(others, key=lambda each: str(each.get("time", "")), default={})
    return f" (last by {newest['manager']})" if newest.get("manager") else ""
