"""Caches of replicas for the tests, each with a Redis of the run or without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from lgs_runtime.cache.current import serving
from lgs_runtime.cache.factory import open_cache
from lgs_runtime.cache.manager import CacheManager
from support.ports import PATIENCE_SECONDS

NewCache = Callable[..., CacheManager]
LONG = 3600.0
"""In seconds: longer than any test, however busy the machine is."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis of the tests is there and not slow, and who computes does so, though the machine may stand
    still."""
    monkeypatch.setattr("lgs_runtime.cache.replicas.SLOW_SECONDS", 60.0)
    monkeypatch.setattr("lgs_runtime.cache.redis.TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("lgs_runtime.cache.manager.FOLLOW_SECONDS", LONG)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the unit tests of an application: replicas of other tests may be open in this process, and their
    loops stand still meanwhile."""
    monkeypatch.setattr("lgs_runtime.cache.current._of_replicas", [])


@pytest.fixture
async def new_cache() -> AsyncIterator[NewCache]:
    """Opens caches, each as a replica of its own; all are closed at the end."""
    async with AsyncExitStack() as stack:

        def new(
            uri: str | None = None, service: str = "test", ttl: float = 3600.0, **more: Any
        ) -> CacheManager:
            manager = open_cache(uri, service, ttl, **{"lease_seconds": LONG, **more})
            stack.push_async_callback(manager.close)
            return manager

        yield new


@pytest.fixture
async def cache(new_cache: NewCache) -> AsyncIterator[CacheManager]:
    """A cache in memory alone, which serves this test."""
    manager = new_cache()
    with serving(manager):
        yield manager
