"""What is kept of a service: on any clock each point is what was measured then, in bounded memory."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_operator.history.archive import RESOLUTIONS, Archive, Resolution
from lgs_operator.history.decisions import MOST_OTHERS, MOST_SCALED, DecisionLog, Firing
from lgs_operator.history.series import SERIES
from lgs_operator.history.service import DAY, EVERY_SECONDS, MOST_SERVICES, Histories, ServiceHistory
from lgs_operator.scaling import Decision, Histogram, Memory, Observation, ReplicaSample

SMALL = (Resolution(5, 6), Resolution(20, 5), Resolution(100, 4))
FOLDS = {"mean": "mean", "max": "max", "last": "last"}
START = 1_800_000_000.0

steps = st.one_of(
    st.floats(0, 12),
    st.floats(0, 400),
    # a clock that is set back, or jumps ahead and may come back
    st.sampled_from([-1.0, -7.0, -50.0, -86_400.0, 86_400.0, 1e9, -1e9]),
)
numbers = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32), st.sampled_from([nan, inf, -inf, 0.0]))


def folded(kind: str, values: list[float]) -> float:
    return {"mean": sum(values) / len(values), "max": max(values), "last": values[-1]}[kind]


class Model:
    """The same as lists that forget nothing: of each bucket what was measured since it was entered last, and
    in which slot it lies."""

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.slots: dict[int, tuple[int, list[float | None]]] = {}
        self.open: int | None = None

    def add(self, at: float, value: float | None) -> None:
        bucket = int(at // self.resolution.seconds)
        if bucket != self.open:
            self.open = bucket
            self.slots[bucket % self.resolution.buckets] = (bucket, [])
        self.slots[bucket % self.resolution.buckets][1].append(value)

    def points(self, now: float, kind: str) -> dict[float, float | None]:
        newest = int(now // self.resolution.seconds)
        known = {
            bucket * float(self.resolution.seconds): [
                each for each in values if each is not None and abs(each) < inf and each == each
            ]
            for bucket, values in self.slots.values()
            if newest - self.resolution.buckets < bucket <= newest
        }
        return {at: folded(kind, values) if values else None for at, values in sorted(known.items())}


@given(st.lists(st.tuples(steps, numbers), max_size=120))
def test_on_any_clock_each_point_is_what_was_measured_then(story: list[tuple[float, float | None]]) -> None:
    archive, now = Archive(FOLDS, SMALL), START
    models = [Model(each) for each in SMALL]
    size = archive.bytes
    for step, value in story:
        now += step
        archive.add(now, dict.fromkeys(FOLDS, value))
        for model in models:
            model.add(now, value)

    assert archive.bytes == size
    for model in models:
        seen = archive.points(now, model.resolution.span)
        assert seen.seconds == model.resolution.seconds
        for kind in FOLDS:
            wanted = model.points(now, kind)
            assert seen.at == tuple(wanted), "ascending, none of the future, none that is too old"
            kept = seen.values[kind]
            assert [each is None for each in kept] == [each is None for each in wanted.values()]
            assert [each for each in kept if each is not None] == pytest.approx(
                [each for each in wanted.values() if each is not None], rel=1e-5, abs=0.1
            )


@given(st.lists(st.floats(0.1, 30), min_size=1, max_size=60), st.floats(0, 500))
def test_what_came_since_is_the_end_of_what_is_known(story: list[float], back: float) -> None:
    archive, now = Archive(FOLDS, SMALL), START
    for place, step in enumerate(story):
        now += step
        archive.add(now, dict.fromkeys(FOLDS, float(place)))

    every, since = archive.points(now, 30), archive.points(now, 30, now - back)

    assert since.at == tuple(at for at in every.at if at + 5 > now - back)
    count = len(since.at)
    assert since.values["last"] == (every.values["last"][-count:] if count else ())


def test_a_clock_that_jumps_ahead_and_back_takes_nothing_that_was_measured() -> None:
    archive = Archive(FOLDS, SMALL)
    for second in range(0, 30, 5):
        archive.add(START + second, dict.fromkeys(FOLDS, float(second)))
    before = archive.points(START + 29, 30)

    archive.add(START + 1e8 + 3, dict.fromkeys(FOLDS, 99.0))
    assert archive.points(START + 1e8 + 3, 30).values["last"] == (99.0,)
    after = archive.points(START + 29, 30)

    assert [at for at in after.at if at not in before.at] == []
    assert len(after.at) >= len(before.at) - 1, "of the slots one was needed"


def test_a_day_is_kept_and_no_more() -> None:
    archive = Archive(FOLDS)
    for at in range(0, 3 * 86_400, 60):
        archive.add(START + at, dict.fromkeys(FOLDS, float(at)))
    now = START + 3 * 86_400 - 60

    day = archive.points(now, DAY)

    assert day.seconds == 300
    assert len(day.at) == 288
    assert now - DAY - 300 < day.at[0] <= now - DAY + 300
    assert RESOLUTIONS[-1].span == DAY
    assert archive.points(now, 600).seconds == 5
    assert archive.points(now, 7000).seconds == 30


@pytest.mark.parametrize("at", [nan, inf, -inf, 1e300])
def test_a_clock_that_says_nonsense_makes_no_point(at: float) -> None:
    archive = Archive(FOLDS, SMALL)

    archive.add(at, dict.fromkeys(FOLDS, 1.0))
    archive.add(START, dict.fromkeys(FOLDS, 1e300))

    assert len(archive.points(START, 30).at) == 1


def decision(replicas: int, code: str = "Steady", reason: str = "as it is") -> Decision:
    return Decision(replicas, reason, code, {}, None, Memory())  # type: ignore[arg-type]


def test_a_decision_is_kept_when_it_says_something_else_and_chatter_pushes_out_no_change_of_number() -> None:
    log = DecisionLog()
    log.decided(1.0, decision(1))
    log.decided(2.0, decision(1, reason="other words"))
    log.decided(3.0, decision(4, "ScaledOut", "17 wait"))
    for second in range(4, 2000):
        log.decided(second, decision(4, ("Holding", "Steady")[second % 2]))

    kept = log.decisions(2000.0, DAY)

    assert [(each.at, each.before, each.replicas) for each in kept[:2]] == [(1.0, None, 1), (3.0, 1, 4)]
    assert kept[1].reason == "17 wait"
    assert len(kept) == 2 + MOST_OTHERS
    assert log.decisions(2000.0, DAY, since=1998.0)[0].at > 1998.0
    assert log.last is not None
    assert log.last.replicas == 4


@given(st.lists(st.tuples(steps, st.integers(0, 3), st.sampled_from(["Steady", "Holding"])), max_size=400))
def test_decisions_are_bounded_ascending_and_none_is_of_the_future(
    story: list[tuple[float, int, str]],
) -> None:
    log, now = DecisionLog(), START
    for step, replicas, code in story:
        now += step
        log.decided(now, decision(replicas, code, "x" * 5000))

    kept = log.decisions(now, DAY)

    assert len(kept) <= MOST_SCALED + MOST_OTHERS
    assert [each.at for each in kept] == sorted(each.at for each in kept)
    assert all(now - DAY < each.at <= now and len(each.reason) <= 240 for each in kept)


def test_alerts_are_kept_as_they_begin_and_end_and_one_that_fired_before_began_then() -> None:
    log, old, new = (
        DecisionLog(),
        Firing("info", "it is 3", at=100.0),
        Firing("critical", "it is 9", at=999.0),
    )
    log.firing(1000.0, {"Old": old, "New": new})
    log.firing(1003.0, {"New": new})
    log.firing(1004.0, {"New": new})

    assert [(each.at, each.name, each.told) for each in log.alerts(1005.0, DAY)] == [
        (100.0, "Old", "firing"),
        (1000.0, "New", "firing"),
        (1003.0, "Old", "resolved"),
    ]
    assert [each.name for each in log.alerts(1005.0, DAY, since=999.5)] == ["New", "Old"], (
        "none is missed live"
    )


def sample(at: float, runs: float, **more: object) -> ReplicaSample:
    took = Histogram.of([(1.0, runs / 2), (2.0, runs), (inf, runs)], runs, runs)
    known = ReplicaSample(
        "a", at, slots=10, in_use=3, arrived=runs, finished=runs, failed=runs / 4, wait=took, latency=took,
        waiting=6, oldest_seconds=1.5, waiting_by=(1.0, 2.0, 3.0), started_at=START - 100,
    )  # fmt: skip
    return replace(known, **more)  # type: ignore[arg-type]


def observed(at: float, *samples: ReplicaSample) -> Observation:
    return Observation(at=at, samples=samples, ready=len(samples))


def test_a_service_at_work_has_each_series() -> None:
    history = ServiceHistory()
    for second in range(0, 61, 5):
        counted = {"cache_hits": second * 3.0, "cache_misses": float(second), "tokens": second * 10.0}
        at = START + second
        spent = {"broken": frozenset(), "used_up": frozenset({"tokens-per-hour"})}
        history.observe(at, observed(at, sample(at, second * 8.0, **counted, **spent)), decision(1), {})

    known = history.as_json(START + 60, 600)

    last = {name: values[-1] for name, values in known["values"].items()}
    assert last == {
        "ready": 1, "desired": 1, "starting": 0, "slots": 10, "inUse": 3, "arrived": 8, "finished": 8,
        "failed": 2, "rejected": 0, "errorRate": 0.25, "queueHigh": 1, "queueNormal": 2, "queueLow": 3,
        "oldest": 1.5, "waitP95": pytest.approx(1.9), "p50": 1.0, "p95": pytest.approx(1.9),
        "p99": pytest.approx(1.98), "cacheHitRate": 0.75, "tokens": 600, "circuitsOpen": 0,
        "budgetsUsedUp": 1, "alertsFiring": 0,
    }  # fmt: skip
    assert last.keys() == SERIES.keys()
    assert len(known["at"]) == 13
    json.dumps(known, allow_nan=False)


def test_a_round_without_counts_of_cache_and_tokens_makes_none_of_them() -> None:
    history = ServiceHistory()
    for second in range(0, 61, 5):
        at = START + second
        counted = {"tokens": 1e9 + second, "cache_hits": 1e9, "cache_misses": 0.0} if second % 2 == 0 else {}
        history.observe(at, observed(at, sample(at, 1.0, **counted)), None)

    values = history.as_json(START + 60, 600)["values"]

    assert max(each for each in values["tokens"] if each is not None) < 100
    assert values["desired"] == [None] * 13


def test_nobody_who_answers_is_no_load_that_is_zero() -> None:
    history = ServiceHistory()
    history.observe(START, Observation(at=START, samples=(), ready=2, failed=2), decision(2, "NoData"))

    values = history.as_json(START, 600)["values"]

    assert values["ready"] == [2.0]
    assert {name for name, column in values.items() if column == [None]} >= {
        "inUse",
        "slots",
        "p95",
        "oldest",
    }


def test_it_is_measured_every_few_seconds_also_after_a_clock_was_set_back() -> None:
    history = ServiceHistory()
    history.observe(START, observed(START, sample(START, 1.0)), None)

    assert not history.is_due(START + EVERY_SECONDS - 0.1)
    assert history.is_due(START + EVERY_SECONDS)
    assert history.is_due(START - 1000)


def test_what_a_service_takes_is_as_the_docs_say() -> None:
    size = ServiceHistory().bytes
    assert size == (180 + 240 + 288) * (8 + 4 * len(SERIES))
    assert round(size, -4) == 70_000


def test_of_many_services_as_many_are_kept_as_there_is_room_for_and_one_that_is_made_anew_begins_anew() -> (
    None
):
    histories = Histories(lambda: START)
    kept = [histories.begin("ns", f"s{number}", "uid") for number in range(MOST_SERVICES + 1)]
    assert kept[-1] is None
    assert histories.begin("ns", "s1", "uid") is kept[1]
    assert histories.begin("ns", "s1", "another") is not kept[1]

    histories.keep([("ns", "s2")])

    assert [(each["namespace"], each["name"]) for each in histories.all()] == [("ns", "s2")]
    assert histories.of("ns", "s1") is None
    assert histories.begin("ns", "new", "uid") is not None


def test_the_slots_in_use_are_read_alone_as_they_are_with_all_others() -> None:
    archive = Archive({"other": "mean", "inUse": "mean"})
    for second in (0, 5, 20, 60, 301):
        archive.add(START + second, {"other": 1.0, "inUse": None if second == 20 else float(second)})

    for seconds in (5.0, 300.0, 7200.0):
        points = archive.points(START + 301, seconds)
        assert archive.line("inUse", START + 301, seconds) == list(points.values["inUse"])


def test_a_namespace_with_very_many_services_leaves_the_others_theirs() -> None:
    histories = Histories(lambda: START)
    many = [("many", f"s{number}") for number in range(MOST_SERVICES + 100)]
    few = [("few", f"s{number}") for number in range(20)]
    for key in many:
        histories.begin(*key, "uid")
    first = histories.of(*many[0])

    for _ in range(3):  # round by round, as the scaling law asks for them
        begun = [histories.begin(*key, "uid") for key in (*many, *few)]

    assert len(histories.all()) == MOST_SERVICES
    assert None not in begun[-len(few) :]
    assert histories.of(*many[0]) is first, "those that are known longest stay"
    kept = [histories.of(*key) for key in (*many, *few)]
    assert [histories.begin(*key, "uid") for key in (*many, *few)] == kept, "nobody's comes and goes"
    histories.keep([*many, *few[:5]])
    assert len([each for each in many if histories.begin(*each, "uid")]) == MOST_SERVICES - 5


def test_namespaces_that_have_the_same_take_nothing_from_each_other() -> None:
    histories = Histories(lambda: START)
    wanted = [(f"ns{number % 7}", f"s{number}") for number in range(MOST_SERVICES + 50)]

    for key in wanted:
        histories.begin(*key, "uid")
    kept = {key for key in wanted if histories.of(*key)}
    for key in reversed(wanted):
        histories.begin(*key, "uid")

    assert {key for key in wanted if histories.of(*key)} == kept
    assert len(kept) == MOST_SERVICES
