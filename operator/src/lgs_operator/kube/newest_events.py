"""The newest of a list of Events: who may write Events may write any number of long ones about a pod, and
what explains a service must not take the operator's memory.
"""

from __future__ import annotations

import heapq
from typing import Any, Final

from lgs_operator.kube.kinds import Manifest

MOST: Final = 100
LONGEST: Final = 4000
"""Characters of a text."""
_NOTHING: Final[Manifest] = {}


class NewestEvents:
    """`keep` is for `KubeClient.list`: it keeps the newest `MOST`, and lets the list itself have nothing."""

    def __init__(self) -> None:
        self._newest: list[tuple[str, int, Manifest]] = []
        self._seen = 0

    def keep(self, event: Manifest) -> Manifest:
        """Counts one in, and what is too old out."""
        when = _text(event.get("lastTimestamp")) or _text(event.get("eventTime"))
        names = ("type", "reason", "message")
        kept = {name: _text(event.get(name)) for name in names} | {"lastTimestamp": when}
        self._seen += 1
        add = heapq.heappush if len(self._newest) < MOST else heapq.heappushpop
        add(self._newest, (when, self._seen, kept))
        return _NOTHING

    @property
    def found(self) -> list[Manifest]:
        """With their type, reason, message and time; the newest first."""
        return [event for _, _, event in sorted(self._newest, reverse=True)]


def _text(said: Any) -> str:
    return said[:LONGEST] if isinstance(said, str) else ""
