"""Crons: when their runs are due, in which time zone, and the id that the run of each time has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Cron

FIELDS = 5
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


def zone(name: str | None) -> ZoneInfo:
    """The time zone of that name; UTC for None. Raises `InvalidRequest`."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError) as unknown:
        raise InvalidRequest(
            f"timezone: {name!r}: must be a name of the IANA database, such as Europe/Berlin"
        ) from unknown


def next_after(
    schedule: str, timezone: str | None, moment: datetime, end_time: datetime | None = None
) -> datetime | None:
    """The first time of a schedule later than `moment`; None when that is later than `end_time`, or never.

    A time that a change to summer time skips comes as soon as the clocks have changed. Raises
    `InvalidRequest`.
    """
    local = moment.astimezone(zone(timezone))
    try:
        times = NAMED.get(schedule.strip().lower(), schedule)
        if len(times.split()) != FIELDS:
            raise CronSimError("Wrong number of fields")
        # In the hour that a change from summer time repeats, the first one found may be of the hour before.
        later = (each.astimezone(UTC) for each in CronSim(times, local))
        utc = next(each for each in later if each > moment.astimezone(UTC))
    except CronSimError as wrong:
        raise InvalidRequest(
            f"schedule: {schedule!r}: must be minute, hour, day of month, month and day of week, "
            f"such as '0 9 * * 1-5', or @hourly, @daily, @weekly, @monthly or @yearly: {wrong}"
        ) from wrong
    except StopIteration:
        return None
    return None if end_time is not None and utc > end_time else utc


def run_id_of(cron: Cron) -> str:
    """The id of the run that is due now, the same on each replica."""
    assert cron.next_run_date is not None, "a cron that is due has a time"
    return str(uuid5(UUID(cron.cron_id), cron.next_run_date.astimezone(zone(None)).isoformat()))


def identity_of(cron: Cron) -> str | None:
    """In whose name the runs of a cron are made."""
    return None if cron.caller is None else str(cron.caller["identity"])
