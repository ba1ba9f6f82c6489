"""Finds objects of a service that somebody else changes or deletes after each repair: another controller, or
a webhook that writes something else each time. Such a fight is as fast as both sides, and each round may make
new pods, so repairs become less and less frequent. Pure but for the clock."""

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
"""Repairs in a row without a pause: people who try something see the answer at once."""
PAUSES: Final = Backoff(first_seconds=5.0, longest_seconds=60.0)
GUARDS: Final = frozenset({NETWORK_POLICY})
"""Kinds without which pods are open to others. Writing them makes no new pods, so their repairs wait only
briefly."""
PAUSES_OF_GUARDS: Final = Backoff(first_seconds=5.0, longest_seconds=5.0)
QUIET_SECONDS: Final = 300.0
"""An object that stayed as wanted for this many seconds is no longer contested."""
_NOBODY: Final = frozenset({FIELD_MANAGER, SCALER, "kube-controller-manager"})
"""Field managers that never count as contestants."""


@dataclass
class _Written:
    """The same content was written again `times` times in a row, last `at`; not again before `until`."""

    signature: str | None
    times: int = 0
    at: float = 0.0
    until: float = 0.0


class Contests:
    """Remembers which objects were written repeatedly with the same content, how often and when: somebody
    else changed or deleted them. `now` is the clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._written: dict[Key, _Written] = {}

    def written(self, key: Key, signature: str | None) -> None:
        """Notes that the object was written; `signature` is the hash of everything wanted in it."""
        now, known = self._now(), self._written.get(key)
        if known is None or known.signature != signature or now - known.at > QUIET_SECONDS:
            self._written[key] = _Written(signature, at=now)
            return
        known.times, known.at = known.times + 1, now
        if known.times >= AT_ONCE:
            pauses = PAUSES_OF_GUARDS if key.kind in GUARDS else PAUSES
            known.until = now + pauses.pause(known.times - AT_ONCE + 1)

    def deleted(self, key: Key) -> None:
        """Notes that the operator itself deleted the object: making it again is no repair."""
        self._written.pop(key, None)

    def waits(self, key: Key, signature: str | None) -> bool:
        """Whether the same content must not be written again yet. False for a Job, which goes by itself, and
        without a signature, when nobody knows whether the content is the same."""
        known = self._written.get(key)
        if known is None or signature is None or known.signature != signature or key.kind == JOB:
            return False
        return self._now() < known.until


def contested(objects: Iterable[Manifest]) -> str:
    """The message about objects that are left for a while as others made them."""
    named = ", ".join(f"{each['kind']} {each['metadata']['name']}{_by(each)}" for each in objects)
    return (
        f"changed or deleted by others each time that it was repaired: {named}; it is repaired ever more "
        "seldom, once a minute at last. Have them leave it alone: what it is to be, the manifest says"
    )


def _by(there: Manifest) -> str:
    """Who last wrote to the object, as far as the API server notes it."""
    entries = there["metadata"].get("managedFields") or []
    others = [each for each in entries if each.get("manager") not in _NOBODY and not each.get("subresource")]
    newest: Manifest = max(others, key=lambda each: str(each.get("time", "")), default={})
    return f" (last by {newest['manager']})" if newest.get("manager") else ""
