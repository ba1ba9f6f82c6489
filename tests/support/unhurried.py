"""Replicas of a test's process that wait for the Redis of their streams, and for a run's end, though the
machine stands still: what Redis does not take in time reaches no listener elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.ports import PATIENCE_SECONDS

LIMITS = (
    "api.protocols.stream_v2_commands.SETTLE_SECONDS",
    "streams.batches.TIMEOUT_SECONDS",
    "streams.redis.TIMEOUT_SECONDS",
    "streams.redis_pubsub.COMMAND_SECONDS",
)
"""After how many seconds a replica goes on without an answer."""


@contextmanager
def patience() -> Iterator[None]:
    """For replicas that are opened in this context: a server that was stopped is found gone at once, as ever,
    and one that stands still is waited for."""
    with pytest.MonkeyPatch.context() as patched:
        for limit in LIMITS:
            patched.setattr(f"lgs_runtime.{limit}", PATIENCE_SECONDS)
        yield
