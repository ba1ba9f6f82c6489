"""Keeps only the newest of a list of Events: whoever may write Events may write any number of long ones about
a pod, and an explanation must not use up the operator's memory."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, Final

from lgs_operator.kube.kinds import Manifest

MOST: Final = 100
LONGEST: Final = 4000
"""Characters that are kept of each text."""
_NOTHING: Final[Manifest] = {}


class NewestEvents:
    """Collects Events. `keep` is passed to `KubeClient.list`: it keeps the newest `MOST` here, and leaves
    nothing in the list itself."""

    def __init__(self) -> None:
        self._newest: list[tuple[str, int, Manifest]] = []
        self._seen = 0

    def keep(self, event: Manifest) -> Manifest:
        """Takes an event, and drops the oldest one beyond `MOST`."""
        names = ("type", "reason", "message")
        kept = {name: _text(event.get(name)) for name in names} | {"lastTimestamp": when(event)}
        self._seen += 1
        add = heapq.heappush if len(self._newest) < MOST else heapq.heappushpop
        add(self._newest, (when(event), self._seen, kept))
        return _NOTHING

    @property
    def found(self) -> list[Manifest]:
        """The events with their type, reason, message and time; the newest first."""
        return [event for _, _, event in sorted(self._newest, reverse=True)]


def when(event: Mapping[str, Any]) -> str:
    """The second in which it was last observed, in Kubernetes' time format, which sorts; empty if unknown.
    Who writes by the newer API leaves `lastTimestamp` out, and counts in a series."""
    series = event.get("series")
    last = series.get("lastObservedTime") if isinstance(series, dict) else None
    found = _text(last) or _text(event.get("lastTimestamp")) or _text(event.get("eventTime"))
    return f"{found.partition('.')[0].removesuffix('Z')}Z" if found else ""


def _text(said: Any) -> str:
    return said[:LONGEST] if isinstance(said, str) else ""
