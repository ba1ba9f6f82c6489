"""When crons are due while clocks change: a day's time comes once, and nothing is due in the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.runs.crons import next_after

CHANGES = {
    "back": ("Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC)),
    "forward": ("Europe/Berlin", datetime(2026, 3, 28, 22, tzinfo=UTC)),
    "back by half an hour": ("Australia/Lord_Howe", datetime(2026, 4, 4, 13, tzinfo=UTC)),
    "at midnight": ("America/Havana", datetime(2026, 10, 31, 22, tzinfo=UTC)),
}


def due(schedule: str, zone: str, moment: datetime) -> datetime:
    found = next_after(schedule, zone, moment)
    assert found is not None
    return found


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "schedule", ["30 2 * * *", "*/15 * * * *", "45 0 * * *", "30 1 * * *", "0 */2 * * *"]
)
def test_a_cron_is_due_later_than_any_moment_it_is_asked_at(change: str, schedule: str) -> None:
    zone, begin = CHANGES[change]

    for minutes in range(0, 12 * 60, 5):
        moment = begin + timedelta(minutes=minutes)
        assert due(schedule, zone, moment) > moment


@pytest.mark.parametrize("change", ["back", "forward"])
def test_the_time_of_a_day_comes_once_in_the_night_of_the_change(change: str) -> None:
    zone, begin = CHANGES[change]

    first = due("30 2 * * *", zone, begin)
    second = due("30 2 * * *", zone, first)

    assert first - begin < timedelta(hours=5)
    assert second - first > timedelta(hours=22)


def test_what_comes_every_quarter_comes_in_both_hours_of_the_change() -> None:
    zone, moment = CHANGES["back"]
    times = [moment]

    for _ in range(24):
        times.append(due("*/15 * * * *", zone, times[-1]))

    assert {later - before for before, later in pairwise(times)} == {timedelta(minutes=15)}


@pytest.mark.parametrize(
    ("name", "next_one"),
    [
        ("@hourly", datetime(2026, 5, 6, 8, tzinfo=UTC)),
        ("@daily", datetime(2026, 5, 7, tzinfo=UTC)),
        ("@midnight", datetime(2026, 5, 7, tzinfo=UTC)),
        ("@weekly", datetime(2026, 5, 10, tzinfo=UTC)),
        ("@monthly", datetime(2026, 6, 1, tzinfo=UTC)),
        ("@yearly", datetime(2027, 1, 1, tzinfo=UTC)),
        (" @Annually ", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_schedule_may_have_the_name_that_crontab_gives_it(name: str, next_one: datetime) -> None:
    assert due(name, "UTC", datetime(2026, 5, 6, 7, 30, tzinfo=UTC)) == next_one


@pytest.mark.parametrize("unknown", ["@reboot", "@every 5m", "daily"])
def test_a_name_that_says_no_times_is_refused(unknown: str) -> None:
    with pytest.raises(InvalidRequest, match="@daily"):
        next_after(unknown, "UTC", datetime(2026, 5, 6, tzinfo=UTC))
