"""Deletes the items of the store whose time has passed. Every replica does so, which harms nobody."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import structlog
from langgraph.store.base import BaseStore

log = structlog.get_logger(__name__)


@runtime_checkable
class Sweeps(Protocol):
    """A store that can delete what has expired."""

    async def sweep_ttl(self) -> int:
        """Deletes it; how many. Raises `StorageUnavailable`."""


async def sweep(store: BaseStore) -> None:
    """Sweeps a store that can. Raises as `Sweeps.sweep_ttl`."""
    deleted = await store.sweep_ttl() if isinstance(store, Sweeps) else 0
    if deleted > 0:
        log.info("store.swept", items=deleted)
