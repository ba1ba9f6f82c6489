"""The time to live of threads: the meaning of its columns, the same for every database."""

from __future__ import annotations

from datetime import datetime, timedelta

from lgs_runtime.model import Ttl, TtlStrategy


def columns(ttl: Ttl | None) -> tuple[float | None, TtlStrategy | None]:
    """The time to live in the form of the columns `ttl_seconds` and `ttl_strategy`."""
    return (None, None) if ttl is None else (ttl.seconds, ttl.strategy)


def ttl_of(seconds: float | None, strategy: TtlStrategy | None) -> Ttl | None:
    """The time to live that the two columns hold."""
    return None if seconds is None else Ttl(seconds, strategy or "delete")


def expiry(
    ttl: Ttl | None, changed_at: datetime, counts_from: datetime | None, pruned_at: datetime | None
) -> datetime | None:
    """When the thread's time to live ends. None: never, or it was pruned since its last change."""
    if ttl is None or (ttl.strategy == "keep_latest" and pruned_at == changed_at):
        return None
    return max(changed_at, counts_from or changed_at) + timedelta(seconds=ttl.seconds)
