"""Crons: when their runs are due, in their time zone, and the id of the run for each time."""

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
"""The schedules that crontab has names for."""


def zone(name: str | None) -> ZoneInfo:
    """The time zone with this name; UTC for None. Raises `InvalidRequest`."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError) as unknown:
        raise InvalidRequest(
            f"timezone: {name!r}: must be a name of the IANA database, such as Europe/Berlin"
        ) from unknown


def next_after(
    schedule: str, timezone: str | None, moment: datetime, end_time: datetime | None = None
) -> datetime | None:
    """The first time of a schedule after `moment`; None if there is none, or only after `end_time`. A time
    that the change to summer time skips is due as soon as the clocks have changed. Raises `InvalidRequest`.
    """
    local = moment.astimezone(zone(timezone))
    try:
        times = NAMED.get(schedule.strip().lower(), schedule)
        if len(times.split()) != FIELDS:
            raise CronSimError("Wrong number of fields")
        # In the hour that the change from summer time repeats, the first time found may not be after
        # `moment`.
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
    """The id of the run that is due now; every replica computes the same."""
    assert cron.next_run_date is not None, "a cron that is due has a time"
    return str(uuid5(UUID(cron.cron_id), cron.next_run_date.astimezone(zone(None)).isoformat()))


def identity_of(cron: Cron) -> str | None:
    """The identity of the user in whose name a cron's runs are created."""
    return None if cron.caller is None else str(cron.caller["identity"])
