"""What the days before foresee, as stories on a simulated clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgs_operator.scaling import Decision, Histogram, Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.scaling.bursts import MOST_PEAKS
from lgs_operator.scaling.flow import Flow
from lgs_operator.scaling.memory import MOST_CHUNKS, MOST_WANTED, Chunk
from lgs_operator.scaling.prediction import (
    DAYS,
    NO_DAYS,
    QUARTERS_A_DAY,
    Days,
    predicted,
    restored_days,
    seen,
    stored_days,
)
from lgs_operator.scaling.saturation import Saturation
from lgs_operator.scaling.throughput import MOST_LEVELS, Level

DAY = 86400.0
POLICY = Policy(min_replicas=1, max_replicas=60, slots=8, predict=True)


def office(at: float) -> float:
    """80 slots from nine to five, 4 at other times."""
    return 80.0 if 9 <= at % DAY / 3600 < 17 else 4.0


def lived(days: float, load: Callable[[float], float], since: float = 0.0, known: Days = NO_DAYS) -> Days:
    """The days after so many of them with that load, decided each minute."""
    for minute in range(int(days * 1440)):
        at = since + 60.0 * minute
        known = seen(known, at, 60.0, load(at))
    return known


def at_nine(known: Days, day: int, seconds: float = 0.0) -> tuple[Days, float]:
    """What is foreseen near nine o'clock of a day, with a start-up of 20 s."""
    now = day * DAY + 9 * 3600 + seconds
    return known, predicted(known, now, 20.0)


def test_what_each_day_needs_at_nine_is_asked_for_shortly_before_nine_from_the_fourth_day_on() -> None:
    for days, foreseen in ((2, 0.0), (3, 80.0), (7, 80.0)):
        known = lived(days + 8.999 / 24, office)
        now = days * DAY + 9 * 3600 - 15

        assert abs(predicted(known, now, 20.0) - foreseen) <= 0.1 * foreseen
        assert predicted(known, now - 300, 20.0) < 10


def test_one_day_with_more_is_no_habit() -> None:
    def once(at: float) -> float:
        return 400.0 if at // DAY == 2 and at % DAY > 12 * 3600 else 4.0

    known = lived(6.5, once)

    assert predicted(known, 6.5 * DAY + 60, 20.0) < 10


def test_a_day_that_is_not_like_the_others_is_not_foreseen_for_long() -> None:
    holiday = lived(10 / 24 + 0.01, lambda _: 0.5, since=5 * DAY, known=lived(5, office))

    assert predicted(holiday, 5 * DAY + 10 * 3600 + 600, 20.0) == 0.0


def test_what_nobody_saw_is_not_taken_for_no_load() -> None:
    known = lived(4, office)
    later = seen(known, 6 * DAY + 8.9 * 3600, 1.5, 4.0)

    assert abs(predicted(later, 6 * DAY + 9 * 3600 - 15, 20.0) - 80.0) < 8


def test_two_weeks_fit_into_little_space_and_survive_the_operator() -> None:
    known = lived(20, office)

    again = restored_days(json.loads(json.dumps(stored_days(known))))

    assert len(known.levels) == DAYS * QUARTERS_A_DAY
    assert len(json.dumps(stored_days(known))) < 1500
    assert at_nine(again, 20)[1] == at_nine(known, 20)[1]


@pytest.mark.parametrize("written", ["1e999", "-1", "NaN", '"x"', "null"])
def test_days_that_no_operator_wrote_cost_the_memory_and_no_decision(written: str) -> None:
    known = replace(lived(4, office), seconds=600.0, slot_seconds=0.5)
    line = Memory(at=4 * DAY, replicas=1, days=known).to_json()

    memory = Memory.from_json(line.replace(",600.0,0.5]", f",600.0,{written}]"))

    assert memory == Memory()
    assert decided(POLICY, memory.days, 8, 4 * DAY + 900).replicas >= 1


def test_the_memory_stays_small_with_all_that_it_can_hold() -> None:
    at = 1_796_000_000.12
    histogram = Histogram((*range(1, 12), float("inf")), tuple(12345.0 * each for each in range(12)))
    level = Level(480, at, 100.12, 12345.12, at, 12.34, True)
    steps = tuple((at, 1000 - each) for each in range(MOST_WANTED))
    known = Memory(
        at=at,
        replicas=1000,
        flow=Flow(at, (1.52,) * 125, (12345.0,) * 125),
        peaks=((at, 12345.12),) * MOST_PEAKS,
        wanted=steps,
        queue_wanted=steps,
        chunks=(Chunk(at, histogram, histogram, histogram),) * MOST_CHUNKS,
        rates_by=(1234.1234,) * 3,
        saturation=Saturation(
            "limited", (level,) * MOST_LEVELS, at, at, at, 3600.0, 99, 99, level, "x" * 100
        ),
    )

    assert len(known.to_json()) < 8 * 1024
    assert len(replace(known, days=lived(20, office, since=at)).to_json()) < 10 * 1024


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e7, 1e7), st.floats(0, 1e6)), max_size=60))
def test_no_clock_and_no_load_breaks_it(steps: list[tuple[float, float]]) -> None:
    known, now = NO_DAYS, 1e9
    for step, offered in steps:
        now = max(0.0, now + step)
        known = seen(known, now, 1.5, offered)
        assert predicted(known, now, 20.0) >= 0
        assert len(known.levels) <= DAYS * QUARTERS_A_DAY


def decided(policy: Policy, known: Days, in_use: int, now: float) -> Decision:
    """The decision at `now`, with a load that has been the same for a minute and runs of 2 s."""
    memory = Memory(days=known, at=now - 60, replicas=1, startup_seconds=20.0)
    for second in range(60):
        at, ended = now - 59 + second, float(second * in_use // 2)
        sample = ReplicaSample(
            "all",
            at=at,
            slots=480,
            in_use=in_use,
            arrived=ended,
            finished=ended,
            execution=Histogram((2.0, float("inf")), (ended, ended), 2.0 * ended, ended),
        )
        decision = decide(policy, Observation(at, (sample,), ready=60, startup_seconds=20.0), memory, at)
        memory = decision.memory
    return decision


def test_the_decision_says_that_the_days_before_ask_for_it_and_never_asks_for_less_than_the_load() -> None:
    now = 5 * DAY + 10 * 3600
    known = lived(5 + 10 / 24 - 0.001, office)
    off = replace(POLICY, predict=False)

    quiet, busy, plain = (
        decided(POLICY, known, 60, now),
        decided(POLICY, known, 300, now),
        decided(off, known, 300, now),
    )

    assert quiet.replicas >= 80 / 8
    assert "at this time of day" in quiet.reason
    assert busy.replicas == plain.replicas
    assert decided(off, known, 60, now).memory.days is NO_DAYS


def test_more_than_max_replicas_is_never_foreseen() -> None:
    now = 5 * DAY + 10 * 3600
    known = lived(5 + 10 / 24 - 0.001, office)

    few = decided(replace(POLICY, max_replicas=6), known, 24, now)

    assert few.replicas <= 6
    assert few.limited is None
