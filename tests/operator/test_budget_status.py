"""What is said of a service's budgets, from what its replicas answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lgs_operator.alerting.definitions import needs_usage
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.monitoring.service_alerts import service_alerts
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.scaling.exposition import parse
from lgs_operator.status.budgets import BUDGETS, used_up
from lgs_operator.status.circuits import CIRCUITS
from lgs_operator.status.refusals import Seen
from support import prometheus
from support.alerts import spec
from support.desired import service

HOUR, BY_USER = {"tokens": 5, "per": "Hour"}, {"tokens": 5, "per": "Hour", "of": "User"}
DAYS = {"cost": 9, "per": "Day"}
PAGE = """lgs_slots 8.0
lgs_budget_left{budget="tokens-per-hour"} HOUR
lgs_budget_left{budget="cost-per-day"} DAY
"""


def budgets(*limits: dict[str, Any]) -> dict[str, Any]:
    return {"limits": list(limits)}


BOTH = service(
    budgets={"limits": [HOUR, DAYS], "prices": {"*": {"input": 1, "output": 1}}},
)


def sample(hour: str, day: str = "7.25") -> ReplicaSample:
    return parse(PAGE.replace("HOUR", hour).replace("DAY", day), "support-1", 0.0)


@pytest.mark.parametrize(
    ("hour", "found"),
    [
        *[("0.0", {"tokens-per-hour"}), ("12.0", set()), ("1e+06", set()), ("0.004", set())],
        ("5.551115123125783e-17", set()),
    ],
)
def test_a_budget_of_which_nothing_is_left_is_used_up(hour: str, found: set[str]) -> None:
    assert used_up(BOTH, [sample(hour)]) == found


def test_a_replica_that_shows_no_budgets_says_nothing_of_them() -> None:
    silent = parse("lgs_slots 8.0\n", "support-1", 0.0)

    assert used_up(BOTH, [silent]) is None
    assert used_up(BOTH, []) is None
    assert used_up(BOTH, [silent, sample("0.0")]) == {"tokens-per-hour"}


def test_it_is_used_up_when_all_say_so() -> None:
    """One of them has read a second ago what is over by now, or is not yet."""
    assert used_up(BOTH, [sample("0.0"), sample("5.0")]) == frozenset()
    assert used_up(BOTH, [sample("0.0"), sample("0.0", "0.0")]) == {"tokens-per-hour"}


def test_a_budget_of_which_next_to_nothing_is_left_is_known_of() -> None:
    page = 'lgs_slots 8.0\nlgs_budget_left{budget="cost-per-day"} 5.551115123125783e-17\n'

    assert used_up(BOTH, [parse(page, "support-1", 0.0)]) == frozenset()


def test_what_the_manifest_does_not_have_no_replica_may_name() -> None:
    """A graph may write any line to the page of its replica."""
    page = "".join(f'lgs_budget_left{{budget="{"x" * 200}{number}"}} 0.0\n' for number in range(1000))
    hostile = parse(
        f'lgs_slots 8.0\nlgs_budget_left{{budget="tokens-per-hour"}} 0.0\n{page}', "support-1", 0.0
    )

    assert used_up(BOTH, [hostile]) == {"tokens-per-hour"}
    assert used_up(service(), [hostile]) == frozenset()


def test_the_condition_names_what_is_used_up() -> None:
    made = service(budgets=budgets(HOUR))

    used, left, unknown = (
        BUDGETS.condition(made, each) for each in (frozenset({"tokens-per-hour"}), frozenset(), None)
    )

    assert used is not None and left is not None and unknown is not None
    assert (used.type, used.status, used.reason) == ("WithinBudget", "False", "BudgetUsedUp")
    assert used.message.startswith("used up: tokens-per-hour: new runs are answered 429")
    assert (left.status, left.reason) == ("True", "BudgetLeft")
    assert (unknown.status, unknown.reason) == ("Unknown", "NoReplica")


@pytest.mark.parametrize("made", [service(), service(budgets=budgets(BY_USER))], ids=["none", "by user"])
def test_without_a_budget_of_the_whole_service_nothing_is_said(made: Any) -> None:
    assert BUDGETS.condition(made, frozenset()) is None
    assert not [
        each for each in service_alerts(Replicas("team", "support"), made.spec) if "UsedUp" in each.name
    ]


@prometheus.needed
def test_the_alert_of_a_budget_that_comes_back_bit_by_bit_does_not_flap(tmp_path: Path) -> None:
    """A part of the hour is over each minute, and what that gave back is spent at once."""
    (alert,) = [
        each
        for each in service_alerts(Replicas("team", "support"), service(budgets=budgets(HOUR)).spec)
        if each.name == "LGSBudgetUsedUp"
    ]
    labels = 'job="team/support",namespace="team",lgs_dev_service="support",pod="support-1"'
    series = f'lgs_budget_left{{{labels},budget="tokens-per-hour"}}'
    nothing = tmp_path / "nothing.yaml"
    nothing.write_text("groups: []", "utf-8")
    asked = {9: 0, 10: 1, 11: 1, 12: 1, 13: 1, 29: 1, 30: 1, 42: 0}

    said = prometheus.failures(
        nothing,
        [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": f"5x9 {'0 3 ' * 10}4x30"}],
                "promql_expr_test": [
                    {
                        "expr": f"count({alert.expression}) or vector(0)",
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": "{}", "value": firing}],
                    }
                    for minute, firing in asked.items()
                ],
            }
        ],
        tmp_path,
    )

    assert said == ""


def test_each_change_is_an_event() -> None:
    before, now = frozenset({"tokens-per-hour"}), frozenset({"cost-per-day"})

    told = [
        (kind, reason, words.split(" ")[1].rstrip(":")) for kind, reason, words in BUDGETS.events(before, now)
    ]

    assert told == [
        ("Warning", "BudgetUsedUp", "cost-per-day"),
        ("Normal", "BudgetRenewed", "tokens-per-hour"),
    ]
    assert list(BUDGETS.events(now, now)) == []


def test_replicas_are_asked_for_budgets_where_there_are_some() -> None:
    assert needs_usage(spec({}, budgets=budgets(HOUR)))
    assert not needs_usage(spec({}))


def test_what_nobody_says_this_time_is_as_it_was() -> None:
    """A replica was slow to answer: that says nothing of a budget, and of a circuit as little."""
    made = service(budgets=budgets(HOUR), circuitBreaker={})
    silent = Observation(at=0.0, samples=(), ready=1, failed=1)
    for kind, name in ((BUDGETS, "tokens-per-hour"), (CIRCUITS, "agent")):
        for names in (frozenset({name}), frozenset[str]()):
            stated = kind.condition(made, names)
            for before in (names, None):
                assert kind.seen(made, silent, before, stated) == Seen(before, stated)
        assert kind.seen(made, silent, None, None) == Seen(None, kind.condition(made, None))
        assert kind.seen(service(), silent, None, None) == Seen(kind.read(service(), silent, None), None)


def test_what_another_operator_told_of_is_no_new_event_and_what_is_new_is_one() -> None:
    made = service(budgets=budgets(HOUR))
    used = Observation(at=0.0, samples=(sample("0.0"),), ready=1)
    names = frozenset({"tokens-per-hour"})

    first = BUDGETS.seen(made, used, None, BUDGETS.condition(made, frozenset()))
    assert [event[1] for event in first.events] == ["BudgetUsedUp"]
    assert BUDGETS.seen(made, used, None, BUDGETS.condition(made, names)) == Seen(names, first.condition)
    assert BUDGETS.seen(made, used, names, first.condition) == Seen(names, first.condition)


def test_of_a_budget_that_the_manifest_has_no_more_nothing_is_said() -> None:
    names = frozenset({"tokens-per-hour"})
    stated = BUDGETS.condition(service(budgets=budgets(HOUR)), names)
    nothing = Observation(at=0.0, samples=(parse("lgs_slots 8.0\n", "support-1", 0.0),), ready=1)

    for before in (names, None):
        assert BUDGETS.seen(service(), nothing, before, stated).condition is None
