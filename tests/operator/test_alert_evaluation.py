"""Alerts of a manifest on a simulated clock: when one fires, when that is over, and what is no data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lgs_operator.alerting.definitions import definitions, needs_usage
from lgs_operator.alerting.evaluation import Change, Evaluation, changes, evaluate
from lgs_operator.alerting.measures import MEASURES, Seen
from lgs_operator.alerting.states import AlertState, taken
from lgs_operator.alerting.window import Window, advanced
from lgs_operator.scaling import Observation, ReplicaSample
from support.alerts import histogram, observed, replica, rule, spec

WEBHOOK = {"url": "https://example.com/alerts", "secret": {"name": "signing"}}
START = 1_000_000.0


class Played:
    """A service whose replicas answer each ten seconds."""

    def __init__(self, alerts: dict[str, Any], **more: Any) -> None:
        self.now = START
        self.told: list[Change] = []
        self.follows(alerts, **more)
        self.evaluation = Evaluation()

    def follows(self, alerts: dict[str, Any], **more: Any) -> None:
        self.definitions = definitions(spec(alerts, **more))

    def sees(self, observation: Observation | None) -> None:
        after = evaluate(self.evaluation, self.definitions, observation, self.now)
        self.told += changes(self.evaluation, after)
        self.evaluation = after

    def plays(self, seconds: float, answer: Callable[[float], ReplicaSample] | None) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 10
            self.sees(None if answer is None else observed(self.now, answer(self.now)))

    def waits(self, seconds: float, waiting: int | None) -> None:
        self.plays(seconds, lambda now: replica(at=now, waiting=waiting))

    @property
    def state(self) -> AlertState:
        (name,) = {each.name for each in self.definitions}
        return self.evaluation.states[name]

    @property
    def words(self) -> list[str]:
        return [f"{each.definition.name} {each.told}" for each in self.told]


def one(**more: Any) -> Played:
    return Played({"rules": [rule(**more)]})


def test_an_alert_fires_when_it_has_been_so_for_long_enough_and_ends_when_it_is_no_more() -> None:
    played = one(**{"for": "1m"})
    played.waits(30, 5)
    assert (played.state.phase, played.told) == ("Inactive", [])

    played.waits(50, 11)
    assert (played.state.phase, played.told) == ("Pending", [])
    played.waits(20, 12)

    assert played.state.phase == "Firing"
    assert (played.state.value, played.state.fired_at) == (12, played.now)
    played.waits(600, 13)
    assert played.words == ["Watched firing"], "it is told once"
    played.waits(10, 10)
    assert (played.state.phase, played.state.resolved_at) == ("Resolved", played.now)
    assert played.words == ["Watched firing", "Watched resolved"]


def test_what_is_over_before_that_never_fires() -> None:
    played = one(**{"for": "1m"})

    for _ in range(5):
        played.waits(50, 11)
        played.waits(10, 1)

    assert (played.state.phase, played.told) == ("Inactive", [])


def test_without_a_time_it_fires_at_once() -> None:
    played = one()

    played.waits(10, 11)

    assert played.words == ["Watched firing"]


@pytest.mark.parametrize("silence", ["no replica", "no queue"])
def test_no_data_neither_fires_nor_ends_an_alert(silence: str) -> None:
    """No replica answers, or their database is silent, so that none of them knows its queue."""

    def is_silent(played: Played, seconds: float) -> None:
        if silence == "no replica":
            played.plays(seconds, None)
        else:
            played.waits(seconds, None)

    played = one(**{"for": "1m"})
    is_silent(played, 300)
    assert (played.state.phase, played.told) == ("Inactive", [])

    played.waits(40, 11)
    is_silent(played, 300)
    assert played.state.phase == "Pending", "what is not known does not count"
    played.waits(20, 11)
    assert played.state.phase == "Pending"
    played.waits(20, 11)
    assert played.state.phase == "Firing"

    is_silent(played, 600)
    assert played.state.phase == "Firing"
    played.waits(10, 1)
    assert played.words == ["Watched firing", "Watched resolved"]


@pytest.mark.parametrize(("operator", "fires"), [("gt", (11,)), ("lt", (9,)), ("eq", (10,)), ("ne", (9, 11))])
def test_each_operator_compares_as_its_name_says(operator: str, fires: tuple[int, ...]) -> None:
    for waiting in (9, 10, 11):
        played = one(operator=operator)

        played.waits(10, waiting)

        assert (played.words != []) == (waiting in fires)


def test_a_clock_that_is_set_back_keeps_no_alert_waiting() -> None:
    played = one(**{"for": "1m"})
    played.waits(30, 11)

    played.now -= 3600
    played.waits(70, 11)

    assert played.state.phase == "Firing"


def test_a_rule_that_is_taken_away_while_it_fires_is_over() -> None:
    played = Played({"rules": [rule(webhook=WEBHOOK)]})
    played.waits(10, 11)

    played.follows({"rules": []})
    played.waits(10, 11)

    assert [(each.told, each.gone) for each in played.told] == [("firing", False), ("resolved", True)]
    assert played.told[1].definition.webhook is not None, "its receiver is told"
    assert played.evaluation.states == {}


def test_what_is_about_something_else_now_begins_anew() -> None:
    played = one(**{"for": "1m"})
    played.waits(60, 11)

    played.follows({"rules": [rule(threshold=5, **{"for": "1m"})]})
    played.waits(30, 11)

    assert played.state.phase == "Pending"


def test_who_is_to_be_told_is_told_until_they_took_it() -> None:
    silent, told = one(), one(webhook=WEBHOOK)
    for played in (silent, told):
        played.waits(10, 11)

    assert (silent.state.unsent, told.state.unsent) == (None, "firing")
    late = taken(told.state, "resolved", None, final=True)
    failed = taken(told.state, "firing", "it answered 500", final=False)
    assert (late.unsent, failed.unsent, failed.error) == ("firing", "firing", "it answered 500")
    assert taken(failed, "firing", None, final=True) == replace(told.state, unsent=None)


def test_the_webhook_of_all_is_that_of_a_rule_without_its_own() -> None:
    own = WEBHOOK | {"url": "https://example.com/mine"}
    rules = [rule(name="A"), rule(name="B", webhook=own)]

    found = definitions(spec({"webhook": WEBHOOK, "rules": rules, "defaults": True}))

    urls = {each.name: each.webhook.url for each in found if each.webhook}
    assert (urls["A"], urls["B"]) == (WEBHOOK["url"], own["url"])
    assert urls["LGSRunsFail"] == WEBHOOK["url"]


def minutes(count: int, *replicas: Callable[[float], ReplicaSample | None]) -> Seen:
    """What there is to measure after so many minutes in which these answered each ten seconds."""
    window, observation = Window(), observed(START)
    for step in range(count * 6 + 1):
        at = START + step * 10
        samples = [found for each in replicas if (found := each(step * 10)) is not None]
        observation = observed(at, *samples)
        window = advanced(window, observation)
    return Seen(observation, window)


def measured(metric: str, seen: Seen) -> float | None:
    return MEASURES[metric].read(seen)  # type: ignore[index]


def counting(name: str = "support-1", **by_second: Any) -> Callable[[float], ReplicaSample]:
    def answer(seconds: float) -> ReplicaSample:
        counts = {each: 1000 + rate * seconds for each, rate in by_second.items()}
        return replica(name, START + seconds, **counts)

    return answer


def test_what_replicas_counted_before_is_no_load_of_now() -> None:
    seen = minutes(0, counting(arrived=5))

    assert measured("arrivalsPerMinute", seen) is None

    assert measured("arrivalsPerMinute", minutes(3, counting(arrived=5))) == 300


def test_only_the_last_five_minutes_count() -> None:
    def answer(seconds: float) -> ReplicaSample:
        failed = min(seconds, 600) / 10
        return replica(at=START + seconds, finished=seconds / 10, failed=failed)

    assert measured("errorRate", minutes(10, answer)) == 1.0
    assert measured("errorRate", minutes(13, answer)) == pytest.approx(0.4)
    assert measured("errorRate", minutes(16, answer)) == 0.0
    assert len(minutes(60, answer).window.points) < 40, "what is older is not kept"


def test_a_replica_that_restarts_or_goes_makes_no_false_number() -> None:
    def restarted(seconds: float) -> ReplicaSample:
        began = START if seconds < 100 else START + 100
        arrived = seconds * 2 if seconds < 100 else (seconds - 100) * 2
        return replica("support-2", START + seconds, arrived=arrived, started_at=began)

    def goes(seconds: float) -> ReplicaSample | None:
        return counting("support-3", arrived=1)(seconds) if seconds <= 150 else None

    seen = minutes(5, counting(arrived=5), restarted, goes)

    # of the restarted one, what came in the last seconds before is not known
    assert measured("arrivalsPerMinute", seen) == pytest.approx(300 + 116 + 30, abs=5)


def test_percentiles_are_those_of_all_replicas_together() -> None:
    def answer(name: str, slow: float) -> Callable[[float], ReplicaSample]:
        def page(seconds: float) -> ReplicaSample:
            runs = seconds / 10
            made = histogram(runs * (1 - slow), runs, runs, runs)
            return replica(name, START + seconds, latency=made, wait=made)

        return page

    seen = minutes(5, answer("a", 0.0), answer("b", 0.2))

    assert measured("p95LatencySeconds", seen) == pytest.approx(3.0)
    assert measured("p99LatencySeconds", seen) == pytest.approx(4.6)
    assert measured("p95WaitSeconds", seen) == pytest.approx(3.0)


def test_what_replicas_tell_of_now_is_read_of_them() -> None:
    broken = frozenset({("graph", "agent")})
    seen = Seen(
        observed(
            START,
            replica("a", waiting=7, blocked=2, oldest_seconds=3.0, in_use=4, broken=broken),
            replica("b", waiting=6, blocked=2, oldest_seconds=2.0, in_use=8, broken=broken | {("code", "m")}),
        ),
        Window(),
    )

    assert measured("queueDepth", seen) == 7
    assert measured("oldestWaitSeconds", seen) == 3.0
    assert measured("runsOpen", seen) == 7 + 2 + 12
    assert measured("slotUtilization", seen) == 12 / 16
    assert measured("circuitsOpen", seen) == 2


def test_shares_and_tokens_are_of_what_was_counted() -> None:
    counts = counting(arrived=3, rejected=1, finished=4, failed=1, cache_hits=9, cache_misses=1, tokens=50)
    seen = minutes(5, counts)

    found = {each: measured(each, seen) for each in ("errorRate", "rejectionRate", "cacheHitRate")}
    assert found == {"errorRate": 0.25, "rejectionRate": 0.25, "cacheHitRate": 0.9}
    assert measured("tokensPerMinute", seen) == 3000


@pytest.mark.parametrize("metric", MEASURES)
def test_where_there_is_nothing_to_measure_there_is_no_value(metric: str) -> None:
    nothing = ReplicaSample("support-1", START, 0, waiting=None, oldest_seconds=None, blocked=None)

    found = measured(metric, Seen(observed(START, nothing), advanced(Window(), observed(START, nothing))))

    assert found is None


def test_more_is_asked_of_replicas_only_where_a_rule_is_about_it() -> None:
    asked = {metric: needs_usage(spec({"rules": [rule(metric)]})) for metric in MEASURES}

    assert {metric for metric, more in asked.items() if more} == {"cacheHitRate", "tokensPerMinute"}
    assert not needs_usage(spec({"defaults": True}))


DEFAULTS = {"defaults": True}


def test_one_line_turns_the_operators_own_alerts_on() -> None:
    target = {"target": {"p95LatencySeconds": 5}}
    names = [each.name for each in definitions(spec(DEFAULTS, scaling=target))]

    assert names == [
        "LGSQueueFull",
        "LGSQueueWaitsLong",
        "LGSLatencyOverTarget",
        "LGSRunsFail",
        "LGSCircuitOpen",
    ]
    assert "LGSLatencyOverTarget" not in [each.name for each in definitions(spec(DEFAULTS))]


def test_the_defaults_fire_when_runs_fail_wait_or_are_refused_and_not_while_all_is_well() -> None:
    well, ill = Played(DEFAULTS), Played(DEFAULTS)

    def good(now: float) -> ReplicaSample:
        runs = now - START
        return replica(at=now, arrived=runs, finished=runs, failed=runs // 50, oldest_by=(5, 50, 50))

    def bad(now: float) -> ReplicaSample:
        runs = now - START
        broken = frozenset({("graph", "agent")})
        counts = {"arrived": runs, "rejected": runs // 2, "finished": runs, "failed": runs // 5}
        return replica(at=now, oldest_by=(5, 70, 50), broken=broken, **counts)

    well.plays(1800, good)
    ill.plays(1800, bad)

    assert well.told == []
    assert sorted(ill.words) == [
        "LGSCircuitOpen firing",
        "LGSQueueFull firing",
        "LGSQueueWaitsLong firing",
        "LGSRunsFail firing",
    ]


IDLE: dict[str, dict[str, Any]] = {
    "LGSRunsFail": {"finished": 1.0, "failed": 1.0},
    "LGSQueueFull": {"arrived": 1.0, "rejected": 1.0},
    "LGSLatencyOverTarget": {"latency": (0, 0, 1, 1)},
}


def counted(name: str, now: float, ends: float) -> ReplicaSample:
    """It counts so many of each in a second until then."""
    seconds = min(now, ends) - START
    counts = {
        each: histogram(*(one * seconds for one in by)) if isinstance(by, tuple) else by * seconds
        for each, by in IDLE[name].items()
    }
    return replica(at=now, **counts)


@pytest.mark.parametrize("name", IDLE)
def test_what_is_about_runs_is_over_when_none_came_for_five_minutes(name: str) -> None:
    """As in Prometheus: whoever called has gone after the failures."""
    played = Played(DEFAULTS, scaling={"target": {"p95LatencySeconds": 5}})
    ends = START + 1200
    played.plays(1200, lambda now: counted(name, now, ends))
    assert played.words == [f"{name} firing"]

    played.plays(280, lambda now: counted(name, now, ends))
    assert played.words == [f"{name} firing"], "there were some in the last five minutes"
    played.plays(40, lambda now: counted(name, now, ends))

    assert played.words == [f"{name} firing", f"{name} resolved"]
    assert played.evaluation.states[name].value is None


def test_that_no_run_came_is_not_known_where_a_replica_is_silent_or_an_operator_is_new() -> None:
    played = Played(DEFAULTS)
    ends = START + 1200
    played.plays(1200, lambda now: counted("LGSRunsFail", now, ends))

    for _ in range(60):
        played.now += 10
        answer = counted("LGSRunsFail", played.now, ends)
        played.sees(observed(played.now, answer, failed=1))
    assert played.words == ["LGSRunsFail firing"]

    played.evaluation = replace(played.evaluation, window=Window())
    played.plays(290, lambda now: counted("LGSRunsFail", now, ends))
    assert played.words == ["LGSRunsFail firing"]
    played.plays(30, lambda now: counted("LGSRunsFail", now, ends))
    assert played.words == ["LGSRunsFail firing", "LGSRunsFail resolved"]


def test_what_was_so_for_a_while_before_nothing_happened_is_pending_no_more() -> None:
    played = Played({"rules": [rule("errorRate", threshold=0.5, **{"for": "20m"})]})
    ends = START + 600
    played.plays(600, lambda now: counted("LGSRunsFail", now, ends))
    assert played.state.phase == "Pending"

    played.plays(400, lambda now: counted("LGSRunsFail", now, ends))

    assert (played.state.phase, played.told) == ("Inactive", [])


def test_a_run_that_fails_alone_is_no_share_of_all() -> None:
    played = Played(DEFAULTS)

    played.plays(
        1800, lambda now: replica(at=now, finished=(now - START) // 300, failed=(now - START) // 300)
    )

    assert played.told == []


def test_runs_of_a_priority_may_wait_as_long_as_the_manifest_lets_them() -> None:
    patient = Played(DEFAULTS, scaling={"target": {"byPriority": {"low": {"queueWaitSeconds": 600}}}})

    patient.plays(900, lambda now: replica(at=now, oldest_by=(1, 1, 1100)))
    assert patient.told == []
    patient.plays(900, lambda now: replica(at=now, oldest_by=(1, 1, 1300)))

    assert patient.words == ["LGSQueueWaitsLong firing"]
