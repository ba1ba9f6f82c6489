"""A process of its own for each test, as far as circuits are concerned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lgs_runtime.breaker.redis_sharing import RedisSharing
from lgs_runtime.breaker.registry import CIRCUITS


async def nothing(_: RedisSharing) -> None:
    """In place of an exchange with other replicas."""


@pytest.fixture(autouse=True)
def no_circuits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replicas of other tests, which live for the whole session, share what there is in this process: a
    circuit would be what one of its name was in a test before."""
    CIRCUITS.clear()
    if not request.path.name.startswith("test_shared_"):
        monkeypatch.setattr(RedisSharing, "exchange", nothing)
    yield
    CIRCUITS.clear()
