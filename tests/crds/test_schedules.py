"""When the times of a schedule come, where clocks are changed and where they are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest

from lgs_crds import schedules
from lgs_crds.schedules import UnknownZone, last_time, next_time, times, zone

BERLIN = ZoneInfo("Europe/Berlin")
# Changes of the clocks: forward and back, by an hour and by half of one, at midnight and at two.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
]


def at(hour: int, minute: int, day: int, month: int) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_a_time_that_the_change_to_summer_time_skips_comes_when_the_clocks_have_changed() -> None:
    assert next_time("30 2 * * *", at(0, 0, 29, 3), BERLIN) == at(1, 0, 29, 3)
    assert last_time("30 2 * * *", at(12, 0, 29, 3), BERLIN) == at(1, 0, 29, 3)


def test_a_time_that_the_change_from_summer_time_repeats_comes_once() -> None:
    first = at(0, 30, 25, 10)

    assert next_time("30 2 * * *", at(0, 0, 25, 10), BERLIN) == first
    assert last_time("30 2 * * *", first + timedelta(hours=1), BERLIN) == first
    assert next_time("30 2 * * *", first, BERLIN) == at(1, 30, 26, 10)


def test_nine_in_the_morning_is_nine_in_the_morning_all_year() -> None:
    found = [next_time("0 9 * * *", at(0, 0, 1, month), BERLIN) for month in range(1, 13)]

    assert {each.astimezone(BERLIN).hour for each in found if each is not None} == {9}
    assert {each.hour for each in found if each is not None} == {7, 8}


@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "*/5 * * * *", "15,45 0-3 * * *", "0 0 * * SUN", "10 */2 * * *"]
)
@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_what_came_last_and_what_comes_next_follow_each_other(cron: str, name: str, change: datetime) -> None:
    there = ZoneInfo(name)
    first = (change - timedelta(days=8)).astimezone(there)
    until = change + timedelta(days=8)
    listed = sorted(set(takewhile(lambda each: each < until, times(cron, first))))

    for before, after in pairwise(listed):
        if abs(before - change) < timedelta(hours=5):
            assert last_time(cron, after - timedelta(seconds=1), there) == before
            assert last_time(cron, after, there) == after
            assert next_time(cron, before, there) == after


@pytest.mark.parametrize("never", ["0 0 31 2 *", "0 0 30 2 *", "0 5-1 * * *", "nonsense"])
def test_a_schedule_that_names_no_time_has_none(never: str) -> None:
    assert next_time(never, at(0, 0, 1, 1)) is None
    assert last_time(never, at(0, 0, 1, 1)) is None


def test_a_leap_day_is_found_however_far() -> None:
    assert next_time("0 0 29 2 *", at(0, 0, 1, 3)) == datetime(2028, 2, 29, tzinfo=UTC)
    assert last_time("0 0 29 2 *", at(0, 0, 1, 3)) == datetime(2024, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "Local", "", "Europe", "../../etc/localtime", "/etc/localtime"]
)
def test_what_is_no_time_zone_is_none(name: str) -> None:
    with pytest.raises(UnknownZone, match="must be a name of the IANA database"):
        zone(name)


def test_a_machine_without_time_zone_data_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> ZoneInfo:
        raise KeyError(name)

    monkeypatch.setattr(schedules, "ZoneInfo", none)
    zone.cache_clear()

    with pytest.raises(UnknownZone, match="no time zone data; install the package tzdata"):
        zone("Europe/Berlin")
    assert zone("UTC") is UTC
