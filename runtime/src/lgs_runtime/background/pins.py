"""Watches what is pinned to each revision, and frees what is pinned to revisions that have no replicas any
more, so that nobody's session is stranded."""

from __future__ import annotations

from typing import Final

import structlog

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.pin_metrics import PinMetrics
from lgs_runtime.storage.contract import Pins

PERIOD_SECONDS: Final = 5.0
"""Time between two counts, whichever replica makes them."""
log = structlog.get_logger(__name__)


class PinWatch:
    """A duty of each replica that takes account of pins."""

    def __init__(
        self, pins: Pins, metrics: PinMetrics, *, wait_seconds: float, revision: str | None = None
    ) -> None:
        """`wait_seconds`: how long a revision must be without replicas. `revision`: the replica's own, if
        that counts as one that has replicas, since new threads go there."""
        self._pins = pins
        self._metrics = metrics
        self._wait_seconds = wait_seconds
        self._revision = revision

    async def turn(self) -> None:
        """One look. Raises `StorageUnavailable`."""
        try:
            found = await self._pins.watch(
                self._wait_seconds, revision=self._revision, period_seconds=PERIOD_SECONDS / 2
            )
        except StorageUnavailable:
            self._metrics.set(())
            raise
        self._metrics.set(found)
        for each in found:
            if each.moved:
                log.warning(
                    "pins.moved", revision=each.revision, count=each.moved, absent_seconds=self._wait_seconds
                )
