"""Deletes expired items of the store. Every replica does so, which does no harm."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import structlog
from langgraph.store.base import BaseStore

log = structlog.get_logger(__name__)


@runtime_checkable
class Sweeps(Protocol):
    """A store that can delete expired items."""

    async def sweep_ttl(self) -> int:
        """Deletes them; returns how many. Raises `StorageUnavailable`."""


async def sweep(store: BaseStore) -> None:
    """Sweeps the store if it can. Raises like `Sweeps.sweep_ttl`."""
    deleted = await store.sweep_ttl() if isinstance(store, Sweeps) else 0
    if deleted > 0:
        log.info("store.swept", items=deleted)
