"""The seconds after which a service gives up what is merely slow, by what they are about.

Tests make them as long as only a hang takes; one in which nothing answers sets its own limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from support.ports import PATIENCE_SECONDS

OF_SERVICES = (
    "database.postgres_connections.CONNECT_SECONDS",
    "database.postgres_access.CONNECT_SECONDS",
    "store.postgres_connections.CONNECT_SECONDS",
    "background.webhooks.ANSWER_SECONDS",
    "background.duties.ANSWER_SECONDS",
    "graphs.priority.ANSWER_SECONDS",
    "readiness.PING_SECONDS",
)
"""What answers in a moment, but on a busy machine."""
OF_STORAGES = (
    "database.postgres_connections.STATEMENT_SECONDS",
    "database.postgres_pool.SETTLE_SECONDS",
    "checkpoint.grouped.COMMIT_PATIENCE_SECONDS",
    "store.postgres_connections.PING_SECONDS",
    "storage.sqlite.queue.LONG_WAIT_SECONDS",
)
"""After which a replica takes a database for gone, or another process for one that stood still."""
OF_REDIS = (
    "breaker.redis_sharing.TIMEOUT_SECONDS",
    "cache.redis.TIMEOUT_SECONDS",
    "cache.replicas.SLOW_SECONDS",
    "queue_metrics.DEPTH_TIMEOUT_SECONDS",
)
"""A replica waits for Redis only for a moment, and then goes on without it: right for a service, a matter of
chance in a test of something else."""
OF_STREAMS = (
    "api.protocols.stream_v2_commands.SETTLE_SECONDS",
    "streams.batches.TIMEOUT_SECONDS",
    "streams.redis.TIMEOUT_SECONDS",
    "streams.redis_pubsub.COMMAND_SECONDS",
)
"""What Redis does not take in time reaches no listener elsewhere. A server that was stopped is found gone at
once, as ever."""


def lengthen(patch: pytest.MonkeyPatch, limits: Sequence[str]) -> None:
    """Sets the limits until the patch is undone; what is opened meanwhile may read them once."""
    for limit in limits:
        patch.setattr(f"lgs_runtime.{limit}", int(PATIENCE_SECONDS))


@contextmanager
def patience(limits: Sequence[str] = OF_STREAMS) -> Iterator[None]:
    """Sets the limits while the context is open."""
    with pytest.MonkeyPatch.context() as patch:
        lengthen(patch, limits)
        yield
