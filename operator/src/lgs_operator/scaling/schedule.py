"""The replicas that the manifest's schedule asks for at a moment.

They are asked for ahead of the time in the schedule, by the time that a replica takes to start, so that they
are ready then. Of entries that hold at the same time, the one with the most replicas counts. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from lgs_crds.model.scaling import ScheduledMinimum
from lgs_crds.schedules import UnknownZone, last_time, next_time, zone
from lgs_operator.scaling.values import value

SLOWER = 1.5
"""Multiple of the median start-up to allow for, as half of the replicas take longer than the median."""
SPARE_SECONDS = 5.0


@value(frozen=True, slots=True)
class Scheduled:
    """The fewest replicas now, and the entry that asks for them, in words."""

    replicas: int
    why: str


def soon(now: float, startup_seconds: float) -> float:
    """When practically all replicas that are asked for at `now` are ready (seconds since the epoch)."""
    return now + SLOWER * startup_seconds + SPARE_SECONDS


def scheduled(entries: Sequence[ScheduledMinimum], now: float, startup_seconds: float) -> Scheduled | None:
    """What `entries` ask for at `now` (seconds since the epoch); None if none of them holds."""
    if not entries:
        return None
    try:
        moment = datetime.fromtimestamp(now, UTC)
        ready = datetime.fromtimestamp(soon(now, startup_seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return None
    holding = [found for each in entries if (found := _holding(each, entries, moment, ready)) is not None]
    return max(holding, key=lambda each: each.replicas, default=None)


def _holding(
    entry: ScheduledMinimum, entries: Sequence[ScheduledMinimum], moment: datetime, ready: datetime
) -> Scheduled | None:
    begins = _last(entry.cron, entry.time_zone, ready.replace(second=0, microsecond=0))
    if begins is None:
        return None
    if entry.duration_seconds is not None:
        ends: datetime | None = begins + timedelta(seconds=entry.duration_seconds)
    else:
        following = (_next(each.cron, each.time_zone, begins) for each in entries)
        ends = min((each for each in following if each is not None), default=None)
    if ends is not None and ends <= moment:
        return None
    there = zone(entry.time_zone)
    until = "" if ends is None else f" to {ends.astimezone(there):%Y-%m-%d %H:%M}"
    return Scheduled(
        entry.min_replicas,
        f"the schedule asks for {entry.min_replicas} from {begins.astimezone(there):%Y-%m-%d %H:%M}{until} "
        f"({entry.cron}, {entry.time_zone})",
    )


@lru_cache(maxsize=512)
def _last(cron: str, time_zone: str, minute: datetime) -> datetime | None:
    try:
        return last_time(cron, minute, zone(time_zone))
    except UnknownZone:
        return None


@lru_cache(maxsize=512)
def _next(cron: str, time_zone: str, after: datetime) -> datetime | None:
    try:
        return next_time(cron, after, zone(time_zone))
    except UnknownZone:
        return None
