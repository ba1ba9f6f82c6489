"""The runs of a new revision are compared with those of others at the same time, and it is slower only where
that is sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_operator.scaling import Histogram, ReplicaSample
from lgs_operator.scaling.durations import Durations, Pace, SideBySide, compared, pace
from lgs_operator.scaling.release import measured
from support.drawn_manifests import examples

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, inf)
"""As replicas have them."""
ENOUGH = 20


def took(seconds: Iterable[float]) -> Histogram:
    """Of runs that took so long each."""
    ended = sorted(seconds)
    within = [float(sum(1 for each in ended if each <= bound)) for bound in BOUNDS]
    return Histogram(BOUNDS, tuple(within), sum(ended), float(len(ended)))


def slower(own: Iterable[float], beside: Iterable[float], ratio: float) -> bool:
    told = pace(Durations(took(own), took(beside)), ratio, ENOUGH)
    return told is not None and told.slower


def test_a_revision_whose_runs_take_ten_times_as_long_is_slower_by_its_first_runs() -> None:
    told = pace(Durations(took([9.0] * 20), took([0.9] * 200)), 2.0, ENOUGH)

    assert told is not None
    assert told == Pace(p95=9.75, beside=0.975, slower=True)


def test_one_that_is_slower_for_every_tenth_run_is_slower() -> None:
    own = [0.4] * 180 + [25.0] * 20

    assert slower(own, [0.4] * 500, ratio=3.0)


def test_few_runs_of_either_say_nothing() -> None:
    assert pace(Durations(took([9.0] * 19), took([0.9] * 200)), 2.0, ENOUGH) is None
    assert pace(Durations(took([9.0] * 200), took([0.9] * 19)), 2.0, ENOUGH) is None
    assert pace(Durations(), 2.0, ENOUGH) is None


def test_one_or_two_late_runs_are_an_accident() -> None:
    assert not slower([0.9] * 18 + [50.0] * 2, [0.9] * 200, ratio=2.0)


def test_what_may_lie_on_both_sides_of_the_edge_of_a_bucket_is_not_slower() -> None:
    assert not slower([1.01] * 1000, [0.99] * 1000, ratio=1.1)
    assert not slower([1.9] * 1000, [1.1] * 1000, ratio=1.1), "they are in one bucket"


def test_a_ratio_that_is_allowed_is_no_failure_and_no_ratio_allows_any() -> None:
    assert not slower([9.0] * 1000, [0.9] * 1000, ratio=20.0)
    assert pace(Durations(took([9.0] * 20), took([0.9] * 20)), None, ENOUGH) == Pace(9.75, 0.975)


def test_late_ones_that_the_others_have_as_well_say_nothing_of_the_revision() -> None:
    """Where a tenth of all runs are late, twenty of the others may by chance have had one of them."""
    assert not slower([0.4] * 180 + [25.0] * 20, [0.4] * 19 + [25.0], ratio=3.0)


def test_what_takes_longer_than_is_measured_is_not_compared() -> None:
    assert not slower([9000.0] * 1000, [400.0] * 1000, ratio=1.0)


Times = Callable[[Random], float]


def like_a_model(dice: Random) -> float:
    return 3 * dice.lognormvariate(0, 1)


def like_a_queue(dice: Random) -> float:
    return 3 * dice.expovariate(1)


def often_from_a_cache(dice: Random) -> float:
    return 0.05 if dice.random() < 0.85 else 8.0


@pytest.mark.parametrize("times", [like_a_model, like_a_queue, often_from_a_cache])
def test_a_release_that_takes_as_long_is_told_from_one_that_takes_ten_times_as_long(times: Times) -> None:
    """Asked after each ten runs, as the operator asks again and again."""
    alarms = found = 0
    for seed in range(60):
        dice = Random(seed)
        before = [times(dice) for _ in range(200)]
        same = [times(dice) for _ in range(200)]
        slow = [10 * times(dice) for _ in range(200)]
        looks = range(ENOUGH, 201, 10)
        alarms += any(slower(same[:count], before[:count], 1.5) for count in looks)
        found += any(slower(slow[:count], before[:count], 1.5) for count in looks)

    assert alarms <= 1
    assert found == 60


@examples(300)
@given(
    st.lists(st.floats(0, 1e4), max_size=30),
    st.lists(st.floats(0, 1e4), max_size=30),
    st.floats(1, 100),
    st.floats(1, 1e9),
)
def test_a_slower_revision_has_a_p95_beyond_the_ratio_however_many_runs(
    own: list[float], beside: list[float], ratio: float, times: float
) -> None:
    def many(of: list[float]) -> Histogram:
        one = took(of)
        return Histogram(
            BOUNDS, tuple(int(each * times) * 1.0 for each in one.counts), 0.0, one.count * times
        )

    told = pace(Durations(many(own), many(beside)), ratio, 1)

    assert told is None or not told.slower or told.p95 >= ratio * told.beside


def page(replica: str, *seconds: float) -> ReplicaSample:
    """What a replica has executed since its start."""
    return ReplicaSample(replica, at=0.0, slots=1, execution=took(seconds), finished=float(len(seconds)))


def story(*rounds: list[ReplicaSample]) -> Durations:
    """What is known after these rounds of asking `new` and `old`."""
    known = SideBySide()
    for samples in rounds:
        known = compared(known, samples, {"new"}, {"old"})
    return known.durations


def test_only_what_ends_while_both_run_is_compared() -> None:
    known = story(
        [page("old", *[0.1] * 1000)],
        [page("new", 2.0), page("old", *[0.1] * 1001)],
        [page("new", 2.0, 2.0), page("old", *[0.1] * 1003)],
        [page("new", *[2.0] * 500)],
        [page("api", *[7.0] * 5)],
    )

    assert (known.own, known.beside.count) == (took([2.0, 2.0]), 3)


def test_a_replica_that_begins_anew_counts_from_its_start() -> None:
    known = story(
        [page("new", 2.0, 2.0), page("old", 0.1, 0.1)],
        [page("new", 3.0), page("old", 0.4)],
        [page("new", 3.0, 3.0), page("old", 0.4)],
    )

    assert (known.own.count, known.beside.count) == (4, 1)


def test_a_round_that_one_of_them_missed_is_made_up_for() -> None:
    known = story(
        [page("new", 2.0), page("old", 0.1)],
        [page("new", 2.0, 2.0)],
        [page("new", 2.0, 2.0, 2.0), page("old", 0.1, 0.1)],
    )

    assert known.beside == took([0.1]) or known.beside.count == 1
    assert known.own.count == 2, "what ended in the round of which nothing is known of the others is left out"


def test_the_next_revision_is_measured_anew() -> None:
    revisions = {"old": 1, "new": 2}
    known = measured(None, 2, [page("new", 2.0), page("old", 0.1)], revisions)
    known = measured(known, 2, [page("new", 2.0, 2.0), page("old", 0.1, 0.1)], revisions)
    third = measured(known, 3, [page("new", 2.0, 2.0), page("third", 1.0)], revisions | {"third": 3})

    assert known.durations[2].own.count == 2
    assert (third.durations[3].own, third.durations[3].beside.count) == (took([1.0]), 0)
    assert third.runs[3].ended == 1
