"""Deletes the items of the store whose time has passed. Every replica does so, which harms nobody."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from typing import Protocol, runtime_checkable

import structlog
from langgraph.store.base import BaseStore

from lgs_runtime.errors import StorageUnavailable

log = structlog.get_logger(__name__)


@runtime_checkable
class Sweeps(Protocol):
    """A store that can delete what has expired."""

    async def sweep_ttl(self) -> int:
        """Deletes it; how many. Raises `StorageUnavailable`, `sqlite3.Error`, `OSError`."""


async def sweep_forever(store: BaseStore, interval_minutes: float) -> None:
    """Sweeps every `interval_minutes`, a little more or less so that replicas don't do it together."""
    while isinstance(store, Sweeps):
        await asyncio.sleep(interval_minutes * 60 * random.uniform(0.8, 1.2))
        try:
            deleted = await store.sweep_ttl()
        except (StorageUnavailable, sqlite3.Error, OSError) as gone:
            log.warning("store.sweep_failed", reason=str(gone))
            continue
        if deleted > 0:
            log.info("store.swept", items=deleted)
