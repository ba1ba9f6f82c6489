"""Computes the times of a cron schedule in its time zone. Pure, except for reading time zone data.

A time that is skipped by the change to summer time comes right after the change; one that is repeated by the
change back comes once, the first time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

NO_SUCH_ZONE: Final = "must be a name of the IANA database, such as Europe/Berlin"
NO_ZONE_DATA: Final = "can't be found: this machine has no time zone data; install the package tzdata"
NAMED: Final[Mapping[str, str]] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The names for schedules in crontab, and what they stand for."""
_CHANGE: Final = timedelta(hours=3)
"""More than any clock change."""
_REACHES: Final = tuple(timedelta(days=days) for days in (0.1, 1, 8, 32, 366, 9 * 366))
"""How far back to search for a time, step by step until one is found: the longest contains a 29th of
February in any case."""


class UnknownZone(ValueError):
    """There is no such time zone, or no data for any; the message is the broken rule."""


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone of this name. Raises `UnknownZone`."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as unknown:
        raise UnknownZone(NO_SUCH_ZONE if _has_data() else NO_ZONE_DATA) from unknown


def _has_data() -> bool:
    try:
        ZoneInfo("Etc/UTC")
    except (KeyError, ValueError, OSError):
        return False
    return True


def next_time(schedule: str, after: datetime, time_zone: tzinfo = UTC) -> datetime | None:
    """The first time after a moment; None if there is none, as for a schedule with an impossible date."""
    # In the hour that the change from summer time repeats, the next time may belong to the hour before.
    found = times(schedule, (after - _CHANGE).astimezone(time_zone))
    return next((each for each in found if each > after), None)


def last_time(schedule: str, until: datetime, time_zone: tzinfo = UTC) -> datetime | None:
    """The last time that is not after a moment; None if there was none."""
    # Searched forwards, since searching backwards over a half-hour clock change gives other times.
    for reach in _REACHES:
        first = (until - reach - _CHANGE).astimezone(time_zone)
        found = None
        for each in times(schedule, first):
            if each > until:
                break
            found = each
        if found is not None:
            return found
    return None


def times(schedule: str, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    """The times after `start` (before it with `reverse`), by the schedule in the time zone of `start`, given
    in UTC. There is no end to them, unless there are none."""
    try:
        for each in CronSim(NAMED.get(schedule, schedule), start, reverse=reverse):
            yield each.astimezone(UTC)
    except (CronSimError, OverflowError):
        return
