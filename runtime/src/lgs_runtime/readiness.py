"""Whether this replica takes work, and if not, why: the answer to `GET /ready`.

`server.py` sets the state (serving, draining); the database and the broker are checked at most once a second.
"""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker

PING_SECONDS = 2.0
KEEP_SECONDS = 1.0


class State(StrEnum):
    """The life of a replica. It takes work only while it serves."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class Readiness:
    """The replica's state, and the cached results of its last checks."""

    def __init__(self, storage: Storage, streams: StreamBroker) -> None:
        self._storage = storage
        self._streams = streams
        self._checks: dict[str, str] = {}
        self._checked_at = float("-inf")
        self._lock = asyncio.Lock()
        self.state = State.STARTING

    async def check(self) -> tuple[bool, dict[str, str]]:
        """(ready, results by name of the check: `ok` or the reason). An unreachable broker is reported, but
        the replica stays ready, as only live events are lost."""
        async with self._lock:
            if time.monotonic() - self._checked_at > KEEP_SECONDS:
                self._checks = {"database": await self._database(), "streams": await self._broker()}
                self._checked_at = time.monotonic()
        queue = "ok" if self.state is State.SERVING else self.state.value
        return self._checks["database"] == "ok" and queue == "ok", {**self._checks, "queue": queue}

    async def _database(self) -> str:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._storage.ping()
        except StorageUnavailable as gone:
            return str(gone)
        except TimeoutError:
            return f"no answer within {PING_SECONDS:g} s"
        return "ok"

    async def _broker(self) -> str:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._streams.ping()
        except (ConnectionError, TimeoutError):
            return "gone: events reach only the clients of the replica that runs them"
        return "ok"
