"""A process of its own for each test, as far as circuits are concerned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import pytest

from lgs_runtime.breaker.redis_sharing import RedisSharing
from lgs_runtime.breaker.registry import CIRCUITS


@pytest.fixture(autouse=True)
def no_circuits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replicas of other tests, which live for the whole session, share what there is in this process, and
    say so when their Redis is slow: a circuit would be what one of its name was in a test before. So those
    alone share that a test has made."""
    CIRCUITS.clear()
    own = WeakSet[RedisSharing]()
    connect, exchange = RedisSharing.connect, RedisSharing.exchange

    def connected(*where: Any) -> RedisSharing:
        own.add(made := connect(*where))
        return made

    async def exchanged(sharing: RedisSharing) -> None:
        if sharing in own:
            await exchange(sharing)

    monkeypatch.setattr(RedisSharing, "connect", connected)
    monkeypatch.setattr(RedisSharing, "exchange", exchanged)
    yield
    CIRCUITS.clear()
