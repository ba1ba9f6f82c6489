"""What the manifest's schedule asks for, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from lgs_crds.model.scaling import ScheduledMinimum
from lgs_operator.scaling import Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.scaling.schedule import scheduled
from lgs_operator.simulate.loads import poisson
from lgs_operator.simulate.service import Record, Simulation

POLICY = Policy(min_replicas=1, max_replicas=40, slots=8, hold_seconds=20)
NINE = ScheduledMinimum(
    cron="0 9 * * 1-5", time_zone="Europe/Berlin", min_replicas=10, duration_seconds=28800
)
MONDAY = datetime(2026, 11, 30, 8, 0, tzinfo=UTC).timestamp()
"""Nine in the morning in Berlin."""
HOUR = 3600.0


def asked(*entries: ScheduledMinimum, at: float, startup: float = 20.0) -> int:
    found = scheduled(entries, at, startup)
    return 0 if found is None else found.replicas


def play(policy: Policy, since: float, seconds: float, startup: float = 20.0, rate: float = 1.0) -> Record:
    simulation = Simulation(policy, decide, Memory(), startup_seconds=startup, epoch=since)
    return simulation.play(poisson(lambda _: rate, seconds, run=2.0), seconds)


@pytest.mark.parametrize("startup", [2.0, 20.0, 120.0])
def test_the_replicas_are_ready_at_the_minute_that_the_schedule_names(startup: float) -> None:
    record = play(replace(POLICY, schedule=(NINE,)), MONDAY - 300, 420, startup)

    assert record.at(300).ready >= 10
    assert record.at(300 - 2 * startup - 10).decision.replicas < 10


def test_after_the_duration_the_load_counts_again() -> None:
    entry = NINE.model_copy(update={"duration_seconds": 60})

    record = play(replace(POLICY, schedule=(entry,)), MONDAY - 60, 240)

    assert record.at(110).decision.replicas == 10
    assert record.at(239).decision.replicas == 1


def test_the_load_is_followed_above_the_schedule() -> None:
    record = play(replace(POLICY, schedule=(NINE,)), MONDAY, 120, rate=80.0)

    assert record.at(119).decision.replicas >= 80 * 2.0 / 8


def test_of_entries_that_overlap_the_most_counts_whatever_their_order() -> None:
    more = ScheduledMinimum(
        cron="0 10 * * *", time_zone="Europe/Berlin", min_replicas=15, duration_seconds=7200
    )
    at = [
        asked(*order, at=MONDAY + hours * HOUR)
        for hours in (0.5, 2, 4, 9)
        for order in ((NINE, more), (more, NINE))
    ]

    assert at == [10, 10, 15, 15, 10, 10, 0, 0]


def test_an_entry_without_an_end_holds_until_the_next_time_of_any_entry() -> None:
    morning = ScheduledMinimum(cron="0 8 * * *", min_replicas=12)
    evening = ScheduledMinimum(cron="0 18 * * *", min_replicas=2)
    day = datetime(2026, 11, 30, tzinfo=UTC).timestamp()

    by_hour = [asked(morning, evening, at=day + hour * HOUR + 60) for hour in (0, 7, 8, 17, 18, 23)]

    assert by_hour == [2, 2, 12, 12, 2, 2]
    assert asked(morning, evening, at=day + 18 * HOUR - 10) == 12
    assert asked(morning, at=day + 23 * HOUR) == 12


def test_a_duration_as_long_as_the_period_holds_always() -> None:
    hourly = ScheduledMinimum(cron="0 * * * *", min_replicas=3, duration_seconds=3600)

    assert {asked(hourly, at=MONDAY + minute * 60.0) for minute in range(120)} == {3}


@pytest.mark.parametrize(("month", "day"), [(3, 29), (10, 25)])
def test_an_hour_that_is_skipped_or_repeated_is_served_once_and_wholly(month: int, day: int) -> None:
    night = ScheduledMinimum(
        cron="30 2 * * *", time_zone="Europe/Berlin", min_replicas=4, duration_seconds=3600
    )
    midnight = datetime(2026, month, day, 23, tzinfo=UTC).timestamp() - 86400

    held = [asked(night, at=midnight + minute * 60.0, startup=0.0) == 4 for minute in range(24 * 60)]

    assert sum(held) == pytest.approx(60, abs=1)
    assert sum(before != after for before, after in pairwise(held)) == 2


def test_the_schedule_never_goes_beyond_max_replicas() -> None:
    record = play(replace(POLICY, schedule=(NINE,), max_replicas=6), MONDAY, 60)

    assert record.most_replicas() == 6


def test_the_decision_says_which_entry_sets_the_number_and_until_when() -> None:
    decision = play(replace(POLICY, schedule=(NINE,)), MONDAY, 60).at(59).decision

    assert (decision.code, decision.limited) == ("Scheduled", "schedule")
    assert (
        "the schedule asks for 10 from 2026-11-30 09:00 to 2026-11-30 17:00 (0 9 * * 1-5, Europe/Berlin)"
        in decision.reason
    )


def test_while_no_replica_answers_the_schedule_is_still_kept() -> None:
    silent = Observation(at=MONDAY, samples=(), ready=2, failed=2)
    policy = replace(POLICY, schedule=(NINE,))

    assert decide(policy, silent, Memory(replicas=2), MONDAY).replicas == 10
    assert decide(policy, silent, Memory(replicas=2), MONDAY + 86400 * 5).replicas == 2


@pytest.mark.parametrize("now", [0.0, 1e12, 1e15])
def test_a_clock_that_no_calendar_has_asks_for_nothing(now: float) -> None:
    sample = ReplicaSample("a", at=now, slots=8)
    policy = replace(POLICY, schedule=(NINE,))

    assert decide(policy, Observation(now, (sample,), ready=1), Memory(), now).replicas == 1
