"""Two distributions that may not know each other take a cron schedule for the same times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lgs_crds import schedules
from lgs_runtime.errors import InvalidRequest
from lgs_runtime.runs import crons

SCHEDULES = [*crons.NAMED, "30 2 * * *", "*/15 * * * *", "0 */2 * * *", "15 0,2 1 * *", "0 0 29 2 *"]
EVENINGS = {
    "an hour back": ("Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC)),
    "an hour forward": ("Europe/Berlin", datetime(2026, 3, 28, 22, tzinfo=UTC)),
    "back by half an hour": ("Australia/Lord_Howe", datetime(2026, 4, 4, 13, tzinfo=UTC)),
    "forward at midnight": ("America/Santiago", datetime(2026, 9, 6, 2, tzinfo=UTC)),
}
"""Hours before clocks are changed."""


def test_both_have_the_names_of_crontab() -> None:
    assert schedules.NAMED == crons.NAMED


@pytest.mark.parametrize("change", EVENINGS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_comes_next_is_the_same_for_both(schedule: str, change: str) -> None:
    name, evening = EVENINGS[change]
    zone = schedules.zone(name)

    for minutes in range(0, 8 * 60, 15):
        moment = evening + timedelta(minutes=minutes)
        assert crons.next_after(schedule, name, moment) == schedules.next_time(schedule, moment, zone)


@pytest.mark.parametrize("unknown", ["Europe/Atlantis", "../etc/passwd", "Europe/Berlin/"])
def test_both_refuse_a_time_zone_that_there_is_not_by_the_same_rule(unknown: str) -> None:
    with pytest.raises(schedules.UnknownZone) as refused:
        schedules.zone(unknown)

    with pytest.raises(InvalidRequest, match=str(refused.value)):
        crons.zone(unknown)
