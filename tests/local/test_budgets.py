"""What `lgs up` prints of budgets."""

from __future__ import annotations

from lgs_operator.local.budgets import LocalBudgets
from lgs_operator.scaling import ReplicaSample

UP = (
    "budget tokens-per-hour is used up: new runs are answered 429 until enough of it is over;"
    " those that are there go on"
)
LEFT = "budget tokens-per-hour: something is left again, and runs are taken"
NOTHING: frozenset[str] = frozenset()
HOUR = frozenset({"tokens-per-hour"})


def said(budgets: LocalBudgets, *used_up: frozenset[str] | None, asked: bool = True) -> list[str]:
    """Of replicas that say this."""
    samples = [ReplicaSample(str(at), 0.0, 2, used_up=each) for at, each in enumerate(used_up)]
    return list(budgets.changes(samples, asked=asked))


def test_a_budget_that_is_used_up_is_said_once_by_all_replicas_and_once_more_when_something_is_left() -> None:
    budgets = LocalBudgets()

    assert said(budgets, NOTHING, NOTHING) == []
    assert said(budgets, HOUR, NOTHING) == [], "one of them does not know yet"
    assert said(budgets, HOUR, HOUR) == [UP]
    assert said(budgets, HOUR, None) == []
    assert said(budgets) == [], "nobody answers: it is as it was"
    assert said(budgets, NOTHING) == [LEFT]


def test_of_a_budget_that_the_manifest_has_no_more_nothing_is_said() -> None:
    budgets = LocalBudgets()

    assert said(budgets, HOUR) == [UP]
    assert said(budgets, None) == []
    assert said(budgets, HOUR) == [UP], "it is there again, and used up"


def test_a_budget_of_which_replicas_were_not_asked_is_as_it_was() -> None:
    budgets = LocalBudgets()

    assert said(budgets, HOUR) == [UP]
    assert said(budgets, None, asked=False) == []
    assert said(budgets, HOUR) == [], "it was said"
    assert said(budgets, NOTHING) == [LEFT]
