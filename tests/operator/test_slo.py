"""Objectives of a service on a simulated clock: what is left of an error budget, who is told when it goes too
fast, and that the rules for Prometheus mean the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lgs_crds import Spec
from lgs_crds.model.observability import Monitoring
from lgs_operator.alerting.budgets import kept
from lgs_operator.alerting.definitions import definitions
from lgs_operator.alerting.evaluation import Change, Evaluation, changes, evaluate
from lgs_operator.alerting.history import MOST_TEXT, TIERS, History, Outcomes
from lgs_operator.desired.monitoring import prometheus_rule
from lgs_operator.monitoring.alerts import groups
from lgs_operator.monitoring.objectives import DAY, FAST, HOUR, MINUTE, SLOW, Objective, objectives
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.monitoring.slo_alerts import slo_alerts
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.scaling.histogram import Histogram
from lgs_operator.status.alerts import alerts_view, history_before
from support import prometheus
from support.alerts import observed, spec
from support.desired import inputs_of, service

START = 1_700_000_000.0
WEBHOOK = {"url": "https://example.com/alerts", "secret": {"name": "signing"}}


def promised(**slo: Any) -> Spec:
    return with_alerts({}, **slo)


def with_alerts(alerts: dict[str, Any], **slo: Any) -> Spec:
    return spec({}, observability={"alerts": alerts, "slo": slo})


@dataclass
class Phase:
    """For so many minutes as many runs end in each; of them `failed` fail, and `slow` take 40 seconds."""

    minutes: int
    runs: int = 10
    failed: int = 0
    slow: int = 0


class Played:
    """A service with one replica, which answers once a minute."""

    def __init__(self, made: Spec) -> None:
        self.spec, self.now = made, START
        self.evaluation = Evaluation()
        self.told: list[Change] = []
        self.runs = self.failed = self.slow = 0
        self.sees()

    def sees(self, observation: Observation | None = None) -> None:
        found = observation or observed(self.now, self.answer())
        after = evaluate(self.evaluation, definitions(self.spec), found, self.now, objectives(self.spec))
        self.told += changes(self.evaluation, after)
        self.evaluation = after

    def answer(self) -> ReplicaSample:
        counts = [self.runs - self.slow] * 2 + [self.runs] * 2
        latency = Histogram.of(zip((1.0, 30.0, 60.0, inf), counts, strict=True), 0.0, self.runs)
        return ReplicaSample(
            "support-1", self.now, 8, started_at=-1e6, finished=self.runs, failed=self.failed, latency=latency
        )

    def plays(self, *phases: Phase) -> None:
        for each in phases:
            for _ in range(each.minutes):
                self.now += MINUTE
                self.runs += each.runs
                self.failed += each.failed
                self.slow += each.slow
                self.sees()

    @property
    def words(self) -> list[str]:
        return [f"{each.definition.name.removeprefix('LGS')} {each.told}" for each in self.told]

    @property
    def left(self) -> dict[str, float]:
        return {each.objective.name: each.left for each in self.evaluation.kept}


def test_the_rates_are_the_workbooks_with_thirty_days() -> None:
    assert [each.rate(30) for each in (*FAST, *SLOW)] == pytest.approx([14.4, 6, 3, 1])


def test_a_budget_that_goes_fast_is_told_within_minutes_and_over_soon_after_its_cause() -> None:
    played = Played(promised(availability=0.99))
    played.plays(Phase(120))
    assert (played.words, played.left) == ([], {"availability": 1.0})

    played.plays(Phase(20, failed=10))

    assert "AvailabilityBudgetBurnsFast firing" in played.words
    played.plays(Phase(30))
    assert "AvailabilityBudgetBurnsFast firing" in played.words
    assert "AvailabilityBudgetBurnsFast resolved" in played.words
    assert played.left["availability"] == pytest.approx(1 - (200 / 1700) / 0.01)


def test_it_is_over_as_well_where_no_run_comes_any_more() -> None:
    """Whoever called has gone after the failures: nothing says that runs are well, and nothing goes on."""
    played = Played(promised(availability=0.99))
    played.plays(Phase(120), Phase(20, failed=10))
    assert "AvailabilityBudgetBurnsFast firing" in played.words

    played.plays(Phase(60, runs=0))

    assert "AvailabilityBudgetBurnsFast resolved" in played.words


def test_what_goes_slowly_is_a_warning_and_nothing_critical() -> None:
    """Four in a hundred fail, of which one may: the budget of 30 days is used up in a week."""
    played = Played(promised(availability=0.99))

    played.plays(Phase(180, runs=100, failed=4))

    assert played.words == ["AvailabilityBudgetBurnsSlowly firing"]
    (firing,) = [each.definition for each in played.told]
    assert firing.severity == "warning"


def test_runs_that_take_too_long_use_up_the_budget_of_latency_alone() -> None:
    played = Played(promised(availability=0.99, p95Seconds=30))

    played.plays(Phase(60, slow=1), Phase(60, slow=9))

    assert played.words[0].startswith("LatencyBudgetBurns")
    assert not any(each.startswith("Availability") for each in played.words)
    assert played.left == {"availability": 1.0, "latency": pytest.approx(1 - 0.5 / 0.05)}


def test_between_the_bounds_of_the_histogram_runs_are_counted_in_part() -> None:
    """As `histogram_quantile` has it: of those between 30 and 60 seconds two thirds took no more than 50."""
    histogram = Histogram.of([(30.0, 10.0), (60.0, 40.0), (inf, 50.0)], 0, 50)

    assert [histogram.below(each) for each in (15, 30, 50, 60, 3600)] == [5, 10, 30, 40, 40]


def test_a_refused_run_is_none_that_ended_well() -> None:
    played = Played(promised(availability=0.9))
    played.now += MINUTE
    refused = replace(played.answer(), finished=30, rejected=10)

    played.sees(observed(played.now, refused))

    assert played.left["availability"] == pytest.approx(1 - 0.25 / 0.1)


def test_a_few_bad_runs_in_a_quiet_night_wake_nobody() -> None:
    played = Played(promised(availability=0.999))

    played.plays(Phase(60, runs=0), Phase(1, runs=4, failed=4), Phase(60, runs=0))

    assert played.words == []
    assert played.left["availability"] < 0, "the budget has gone all the same"


def test_no_run_is_no_data_and_uses_up_nothing() -> None:
    played = Played(promised(availability=0.99))
    played.plays(Phase(60, runs=0))

    played.sees(Observation(at=played.now, samples=(), ready=0))

    assert (played.words, played.left) == ([], {"availability": 1.0})
    view = alerts_view(played.evaluation).slo
    assert view is not None and view.objectives[0].measured is None


def test_after_its_window_a_bad_day_counts_no_more() -> None:
    objective = Objective("availability", 0.99, 7)
    history = History().with_more(Outcomes(100, 50, 0, 0), START)
    for day in range(1, 10):
        history = history.with_more(Outcomes(100, 0, 0, 0), START + day * DAY)

    left = {day: kept(objective, history, START + day * DAY).left for day in (6, 9)}

    assert left[6] < 0
    assert left[9] == 1.0


def test_who_comes_next_goes_on_with_what_was_counted() -> None:
    played = Played(promised(availability=0.99, p95Seconds=30))
    played.plays(Phase(90, failed=1, slow=2))
    view = alerts_view(played.evaluation).slo
    assert view is not None

    again = Played(played.spec)
    again.evaluation = Evaluation(history=history_before({"slo": view.model_dump(by_alias=True)}))
    again.now = played.now
    again.sees()

    assert again.left == played.left
    assert (view.budget_left, view.since) == ("-900.0%", "2023-11-14T22:13:20Z")


def test_another_time_for_a_run_begins_with_a_whole_budget_of_latency() -> None:
    played = Played(promised(availability=0.99, p95Seconds=30))
    played.plays(Phase(30, failed=1, slow=5))

    played.spec = promised(availability=0.99, p95Seconds=60)
    played.plays(Phase(1, runs=0))

    assert played.left["latency"] == 1.0
    assert played.left["availability"] == pytest.approx(1 - 0.1 / 0.01)


def test_without_objectives_nothing_is_kept() -> None:
    played = Played(spec({"defaults": True}))

    played.plays(Phase(10, failed=10))

    assert played.evaluation.history == History()
    assert alerts_view(played.evaluation).slo is None


def test_objectives_need_no_section_of_alerts_and_have_its_receiver() -> None:
    alone = definitions(spec({}, observability={"slo": {"availability": 0.99}}))
    told = definitions(with_alerts({"webhook": WEBHOOK}, availability=0.99, p95Seconds=5))

    assert [each.name for each in alone] == [
        "LGSAvailabilityBudgetBurnsFast",
        "LGSAvailabilityBudgetBurnsSlowly",
    ]
    assert len(told) == 4 and all(each.webhook is not None for each in told)


def test_an_alert_that_no_share_of_bad_runs_could_reach_is_not_made() -> None:
    """Of 0.9 the budget is a tenth: 14.4 times as much are more runs than there are."""
    (objective,) = objectives(promised(availability=0.9))

    assert list(objective.burns(FAST)) == [FAST[1]]
    (alert, _) = slo_alerts(Replicas("team", "support"), promised(availability=0.9))
    assert "[1h]" not in alert.expression and "[6h]" in alert.expression


@pytest.mark.parametrize("days", [7, 14, 28, 30, 90])
def test_with_every_window_a_burn_rate_is_at_least_one(days: int) -> None:
    rates = [each.rate(days) for each in (*FAST, *SLOW)]

    assert min(rates) >= 1
    assert rates == sorted(rates, reverse=True)


counts = st.tuples(*[st.integers(0, 10**6)] * 4).map(lambda each: Outcomes(*map(float, each)))
steps = st.lists(st.tuples(st.floats(0, 5 * DAY), counts), max_size=60)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_nothing_is_counted_twice_or_lost_within_the_longest_window(
    drawn: list[tuple[float, Outcomes]],
) -> None:
    now, history, all_of_them = START, History(), []
    for seconds, outcomes in drawn:
        now += seconds
        history = history.with_more(outcomes, now)
        all_of_them.append((now, outcomes))

    for _, longest in TIERS:
        found = history.counted(longest, now)
        most = [each for at, each in all_of_them if at >= now - longest - DAY]
        assert found.runs <= sum(each.runs for each in most) + 1e-6
    begin = now - 90 * DAY
    whole = sum(each.runs for at, each in all_of_them if at > begin + DAY)
    assert history.counted(90 * DAY, now).runs >= whole - 1e-6


@settings(max_examples=60, deadline=None)
@given(steps)
def test_what_is_written_is_read_again_and_small(drawn: list[tuple[float, Outcomes]]) -> None:
    now, history = START, History()
    for seconds, outcomes in drawn:
        now += seconds
        history = history.with_more(outcomes, now)

    text = history.to_json()

    read = History.from_json(text)
    assert read.tiers == history.tiers
    assert read.counted(30 * DAY, now) == history.counted(30 * DAY, now)


def test_a_busy_service_of_months_stays_small_in_the_status() -> None:
    history = History()
    for minute in range(0, 91 * 24 * 60, 1):
        if minute % 60 == 0 or minute > 91 * 24 * 60 - 24 * 60:
            history = history.with_more(Outcomes(1e6, 12345, 1e6, 54321), START + minute * MINUTE)

    assert len(history.to_json()) < 12 * 1024 < MOST_TEXT


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"v":2}',
        '{"v":1,"since":0,"seconds":null,"tiers":[[],[],[]]}',
        '{"v":1,"since":0,"seconds":null,"tiers":[[[1,2,3]],[],[],[]]}',
        '{"v":1,"since":0,"seconds":null,"tiers":[[[2,1,1,1,1],[1,1,1,1,1]],[],[],[]]}',
        '{"v":1,"since":0,"seconds":null,"tiers":[[["1",1,1,1,1]],[],[],[]]}',
        '{"v":1,"since":0,"seconds":null,"tiers":[[[1,-1,1,1,1]],[],[],[]]}',
        '{"v":1,"since":0,"seconds":null,"tiers":[[[1,NaN,1,1,1]],[],[],[]]}',
        '{"v":1,"since":1e999,"seconds":null,"tiers":[[],[],[],[]]}',
        "[" * 9000,
        " " * MOST_TEXT + "{}",
    ],
)
def test_what_somebody_wrote_into_the_status_is_no_history(text: str | None) -> None:
    assert History.from_json(text) == History()


def test_counters_that_no_replica_can_have_end_nothing() -> None:
    """Their sums would be no numbers, and JSON has none for them."""
    played = Played(promised(availability=0.99, p95Seconds=30))
    for count in (0.0, 1e308, 1.7e308):
        played.now += MINUTE
        mad = replace(played.answer(), finished=count, failed=count, rejected=count)
        played.sees(observed(played.now, *(replace(mad, replica=name) for name in ("a", "b"))))

    view = alerts_view(played.evaluation).slo

    assert view is not None
    json.loads(json.dumps(view.model_dump(), allow_nan=False))


def test_a_clock_that_is_set_back_or_ahead_keeps_a_budget() -> None:
    history = History().with_more(Outcomes(100, 1, 0, 0), START)

    back = history.with_more(Outcomes(100, 0, 0, 0), START - HOUR)

    assert back.counted(30 * DAY, START - HOUR).runs >= 100
    assert back.counted(30 * DAY, START).runs >= 100


# What promtool says of the same story.
STORY = (
    Phase(60, runs=60),
    Phase(51, runs=60, failed=60, slow=60),
    Phase(90, runs=60),
    Phase(90, runs=60, failed=3, slow=10),
    Phase(51, runs=60, failed=60, slow=60),
    Phase(90, runs=0),
)
OF_PODS = 'job="team/support",namespace="team",lgs_dev_service="support",pod="support-1"'


def counted(which: str, phases: Sequence[Phase]) -> str:
    """A counter's values, minute by minute, as promtool writes them."""
    total, values = 0, ["0"]
    for each in phases:
        for _ in range(each.minutes):
            total += {
                "runs": each.runs,
                "failed": each.failed,
                "well": each.runs - each.failed,
                "within": each.runs - each.slow,
                "none": 0,
            }[which]
            values.append(str(total))
    return " ".join(values)


def story_series() -> Iterator[tuple[str, str]]:
    named = {
        'lgs_runs_finished_total{%s,status="success"}': "well",
        'lgs_runs_finished_total{%s,status="error"}': "failed",
        'lgs_runs_rejected_total{%s,priority="normal"}': "none",
        "lgs_run_latency_seconds_count{%s}": "runs",
        'lgs_run_latency_seconds_bucket{%s,le="1.0"}': "within",
        'lgs_run_latency_seconds_bucket{%s,le="20.0"}': "within",
        'lgs_run_latency_seconds_bucket{%s,le="30.0"}': "within",
        'lgs_run_latency_seconds_bucket{%s,le="60.0"}': "runs",
        'lgs_run_latency_seconds_bucket{%s,le="+Inf"}': "runs",
    }
    for name, which in named.items():
        yield name % OF_PODS, counted(which, STORY)


@prometheus.needed
@pytest.mark.parametrize(
    "slo", [{"availability": 0.99}, {"p95Seconds": 25}, {"p95Seconds": 45, "window": "7d"}]
)
def test_the_rules_for_prometheus_fire_when_the_operators_do(slo: dict[str, Any], tmp_path: Path) -> None:
    """Asked every ten minutes of a story of hours; a minute more or less makes no difference then."""
    made = promised(**slo)
    alerts = slo_alerts(Replicas("team", "support"), made)
    played, firing = Played(made), {each.name: [] for each in alerts}
    asked = list(range(15, sum(each.minutes for each in STORY), 10))
    minute = 0
    for each in STORY:
        for _ in range(each.minutes):
            played.plays(replace(each, minutes=1))
            minute += 1
            if minute in asked:
                for name, found in firing.items():
                    found.append(played.evaluation.states[name].phase == "Firing")
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": groups("slo", alerts)}), "utf-8")
    told = [
        {
            "expr": f"count({each.expression}) or vector(0)",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": int(is_firing)}],
        }
        for each in alerts
        for minute, is_firing in zip(asked, firing[each.name], strict=True)
    ]
    series = [{"series": name, "values": values} for name, values in story_series()]

    nothing = tmp_path / "nothing.yaml"
    nothing.write_text("groups: []", "utf-8")

    said = prometheus.failures(
        nothing, [{"interval": "1m", "input_series": series, "promql_expr_test": told}], tmp_path
    )

    assert prometheus.check_rules(rules) == []
    assert said == ""
    fired = firing["LGSAvailabilityBudgetBurnsFast" if "availability" in slo else "LGSLatencyBudgetBurnsFast"]
    assert any(fired) and not all(fired), "the story has both"


def test_the_rules_stand_in_the_services_prometheus_rule() -> None:
    observability = {"slo": {"availability": 0.999, "p95Seconds": 8}}
    inputs = replace(inputs_of(), service=service(observability=observability))

    made = prometheus_rule(inputs, Monitoring(), Replicas("team", "support"))

    (group,) = made["spec"]["groups"]
    names = [each["alert"] for each in group["rules"]]
    assert [each for each in names if "Budget" in each] == [
        "LGSAvailabilityBudgetBurnsFast",
        "LGSAvailabilityBudgetBurnsSlowly",
        "LGSLatencyBudgetBurnsFast",
        "LGSLatencyBudgetBurnsSlowly",
    ]
