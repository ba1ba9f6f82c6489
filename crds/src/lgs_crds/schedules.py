"""When the times of a cron schedule come, in its time zone. Pure, but for the time zones' data.

A time that a change to summer time skips comes as soon as the clocks have changed; one that a change from it
repeats comes once, the first time.
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
"""The names that crontab has for schedules."""
_CHANGE: Final = timedelta(hours=3)
"""More than any clock is changed by."""
_REACHES: Final = tuple(timedelta(days=days) for days in (0.1, 1, 8, 32, 366, 9 * 366))
"""How far back a time is searched for, until there is one: the last of them has a February 29th in any
case."""


class UnknownZone(ValueError):
    """There is no such time zone, or no data of any; the message is the rule that is broken."""


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises `UnknownZone`."""
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
    """The first time after a moment; None when none comes, as of a schedule whose day there isn't."""
    # In the hour that a change from summer time repeats, what follows may be of the hour before.
    found = times(schedule, (after - _CHANGE).astimezone(time_zone))
    return next((each for each in found if each > after), None)


def last_time(schedule: str, until: datetime, time_zone: tzinfo = UTC) -> datetime | None:
    """The last time that is not after a moment; None when there was none."""
    # Backwards, a change by half an hour would give other times than forwards.
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
    """The times after (before) `start`, in whose time zone they are; without end, or none."""
    try:
        for each in CronSim(NAMED.get(schedule, schedule), start, reverse=reverse):
            yield each.astimezone(UTC)
    except (CronSimError, OverflowError):
        return
