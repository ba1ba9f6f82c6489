"""Counters of replicas that come, go, restart and miss rounds, and the page that they come from."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lgs_operator.scaling.exposition import NotOurMetrics, parse
from lgs_operator.scaling.flow import Flow
from lgs_operator.scaling.samples import Arrivals, Observation, ReplicaSample, merge

PAGE = """
# HELP lgs_slots Runs at a time.
# TYPE lgs_slots gauge
lgs_slots 50.0
lgs_slots_in_use 7.0
lgs_draining 0.0
lgs_queue_depth{priority="high"} 1.0
lgs_queue_depth{priority="low"} 4.0
lgs_queue_oldest_seconds{priority="high"} 0.5
lgs_queue_oldest_seconds{priority="low"} 9.0
# TYPE lgs_runs_arrived counter
lgs_runs_arrived_total{priority="high"} 10.0
lgs_runs_arrived_total{priority="low"} 20.0
lgs_runs_finished_total{status="success"} 22.0
lgs_runs_finished_total{status="error"} 1.0
# TYPE lgs_run_latency_seconds histogram
lgs_run_latency_seconds_bucket{le="1.0"} 10.0
lgs_run_latency_seconds_bucket{le="2.0"} 20.0
lgs_run_latency_seconds_bucket{le="+Inf"} 20.0
lgs_run_latency_seconds_count 20.0
lgs_run_latency_seconds_sum 22.0
python_info{version="3.11"} 1.0
"""


def sample(name: str, at: float, arrived: float, started_at: float | None = None) -> ReplicaSample:
    return ReplicaSample(replica=name, at=at, slots=8, arrived=arrived, started_at=started_at)


def arrived(before: list[ReplicaSample], now: list[ReplicaSample], complete: bool = True) -> float:
    baselines = {each.replica: each for each in before}
    observation = Observation(at=now[0].at, samples=tuple(now), ready=len(now))
    since = before[0].at if before else None
    return sum(each.count for each in merge(baselines, observation, since, complete).arrivals)


def test_a_page_of_metrics_is_read_as_one_sample() -> None:
    found = parse(PAGE, "pod-1", at=100.0)

    assert (found.slots, found.in_use, found.waiting, found.oldest_seconds) == (50, 7, 5, 9.0)
    assert (found.arrived, found.finished, found.draining) == (30.0, 23.0, False)
    assert found.latency.quantile(0.95) == pytest.approx(1.9)


@pytest.mark.parametrize("page", ["", "<html>not found</html>", "lgs_slots{ 5", "up 1\n"])
def test_another_page_is_no_sample(page: str) -> None:
    with pytest.raises(NotOurMetrics, match="pod-1"):
        parse(page, "pod-1", at=100.0)


def test_what_counts_is_the_change() -> None:
    assert arrived([sample("a", 1, 100)], [sample("a", 2, 107)]) == 7


def test_a_replica_that_restarted_counts_from_zero() -> None:
    assert arrived([sample("a", 1, 100)], [sample("a", 2, 3)]) == 3
    assert arrived([sample("a", 1, 2, started_at=0.0)], [sample("a", 9, 5, started_at=6.0)]) == 5


def test_a_new_replica_counts_from_zero_and_one_that_was_only_missed_does_not() -> None:
    known = [sample("a", 1, 100)]

    assert arrived(known, [sample("a", 2, 100), sample("b", 2, 4)]) == 4
    assert arrived(known, [sample("a", 2, 100), sample("b", 2, 4000)], complete=False) == 0


def test_a_replica_whose_clock_is_ahead_is_not_new_for_that() -> None:
    others = sample("a", 0.0, 5.0)

    heard_again = [sample("a", 2.0, 5.0), sample("b", 2.0, 40_000.0, started_at=1800.0)]

    assert arrived([others], heard_again, complete=False) == 0


def test_a_replica_that_missed_rounds_is_not_counted_twice_nor_lost() -> None:
    first = merge({}, Observation(1.0, (sample("a", 1, 0), sample("b", 1, 0)), ready=2), None, True)
    second = merge(first.baselines, Observation(2.0, (sample("a", 2, 5),), ready=2, failed=1), 1.0, True)
    third = merge(
        second.baselines, Observation(3.0, (sample("a", 3, 5), sample("b", 3, 8)), ready=2), 2.0, False
    )

    assert sum(each.count for each in second.arrivals) == 5
    assert sum(each.count for each in third.arrivals) == 8
    assert {each.since for each in third.arrivals} == {2.0, 1.0}


def test_late_news_goes_where_it_belongs() -> None:
    flow = Flow(end=10.0).extended(12.0, ()).extended(14.0, (Arrivals(10.0, 14.0, 8.0),))

    assert flow.last(2.0) == pytest.approx(4.0)
    assert flow.last(4.0) == pytest.approx(8.0)


def test_ten_minutes_of_arrivals_are_kept_in_little_space_and_none_is_lost() -> None:
    flow = Flow(end=0.0)
    for second in range(1, 601):
        flow = flow.extended(float(second), (Arrivals(second - 1.0, float(second), 3.0),))

    assert flow.last(600.0) == pytest.approx(1800.0, rel=0.02)
    assert flow.last(30.0) == pytest.approx(90.0)
    assert len(flow.spans) < 160


def test_the_arrivals_of_any_recent_time_are_those_that_came_in_it() -> None:
    dice = random.Random(4)
    flow, rounds = Flow(end=0.0), [float(dice.randrange(9)) for _ in range(300)]
    for number, count in enumerate(rounds, start=1):
        flow = flow.extended(1.5 * number, (Arrivals(1.5 * (number - 1), 1.5 * number, count),))

    assert flow.seconds == 1.5 * 300
    assert flow.last(flow.seconds) == flow.last(1e6) == sum(rounds)
    for back in range(40):
        assert flow.last(1.5 * back) == sum(rounds[len(rounds) - back :])
        assert flow.last(1.5 * back + 0.5) == pytest.approx(flow.last(1.5 * back) + rounds[-1 - back] / 3)


def test_a_sample_of_another_shape_of_histogram_starts_anew() -> None:
    page = parse(PAGE, "a", at=1.0)
    other = replace(page.latency, bounds=(5.0, float("inf")), counts=(3.0, 3.0))

    assert other.minus(page.latency) == other
