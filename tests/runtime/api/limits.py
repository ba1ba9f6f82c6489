"""Limits of time that only a hang reaches, for replicas and clients on a machine that stands still for
seconds.

A replica waits for Redis only for a moment, and then goes on without it: right for a service, a matter of
chance in a test of something else. The limits themselves are tested beside what has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from support.ports import PATIENCE_SECONDS

OF_A_REPLICA = (
    "breaker.redis_sharing.TIMEOUT_SECONDS",
    "cache.redis.TIMEOUT_SECONDS",
    "cache.replicas.SLOW_SECONDS",
    "queue_metrics.DEPTH_TIMEOUT_SECONDS",
)
OF_STREAMS = ("streams.batches.TIMEOUT_SECONDS", "streams.redis.TIMEOUT_SECONDS")


@contextmanager
def patient(*names: str) -> Iterator[None]:
    """Replicas that are opened in this context, and all while it is open, wait for as long as that."""
    with pytest.MonkeyPatch.context() as patch:
        for name in names or OF_A_REPLICA:
            patch.setattr(f"lgs_runtime.{name}", PATIENCE_SECONDS)
        yield


def client_of(url: str, **more: Any) -> LangGraphClient:
    """The stock client, which by itself gives up on a connection after 5 s."""
    return get_client(
        url=url, **{"api_key": None, "timeout": httpx.Timeout(PATIENCE_SECONDS, read=300), **more}
    )
