"""Finds the runs executing here whose clients asked to stop them: through signals, and by asking the storage
if signals may have been lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Set
from typing import Any, Final

from lgs_runtime.encryption.context import taking_sealed
from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import CancelAction
from lgs_runtime.storage.contract import Runs

RECHECK_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 0.5
MOST_TRIES: Final = 10


class Cancellations:
    """The cancellations of one replica. `running`: a live view of the ids of the runs that execute here."""

    def __init__(
        self,
        runs: Runs,
        running: Set[str],
        stop: Callable[[str, CancelAction], None],
        *,
        in_background: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._runs = runs
        self._running = running
        self._stop = stop
        self._in_background = in_background
        self._checked_at = float("-inf")

    def asked(self, run_id: str) -> None:
        """Handles a signal that names a run to stop."""
        if run_id in self._running:
            self._in_background(self._check(run_id))

    def recheck(self) -> None:
        """After a gap in the signals, checks all runs executing here, once in `RECHECK_SECONDS` at most."""
        now = time.monotonic()
        if now - self._checked_at >= RECHECK_SECONDS:
            self._checked_at = now
            for run_id in self._running:
                self._in_background(self._check(run_id))

    async def _check(self, run_id: str) -> None:
        """Asks the storage which action was requested for a run, and stops it accordingly."""
        for _ in range(MOST_TRIES):
            try:
                with taking_sealed():
                    run = await self._runs.get(run_id)
            except NotFound:
                self._stop(run_id, "rollback")
                return
            except StorageUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if run.cancel_requested is not None:
                self._stop(run_id, run.cancel_requested)
            return
