"""Rules of `spec.budgets`. That each kind of budget occurs only once is checked only in Python."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.budgets import Budget
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule

_PATH: Final = "spec.budgets"
ONE: Final = "must have exactly one of tokens, cost"
PRICES: Final = "must be given, since a budget is of cost"
ANY_OTHER: Final = "*"
"""The key for each model without a price of its own."""


def _limits(spec: Spec) -> list[Budget]:
    return [] if spec.budgets is None else spec.budgets.limits


def _not_one(spec: Spec) -> Problem | None:
    for index, each in enumerate(_limits(spec)):
        if (each.tokens is None) == (each.cost is None):
            given = "none of them" if each.tokens is None else "tokens cost"
            return Problem(f"{_PATH}.limits[{index}]", ONE, given)
    return None


def _twice(spec: Spec) -> Problem | None:
    kinds = set()
    for index, each in enumerate(_limits(spec)):
        unit = "tokens" if each.cost is None else "cost"
        if (kind := (unit, each.per, each.of)) in kinds:
            return Problem(f"{_PATH}.limits[{index}]", "must be there once", " ".join(kind))
        kinds.add(kind)
    return None


def _no_prices(spec: Spec) -> Problem | None:
    if spec.budgets is None or all(each.cost is None for each in _limits(spec)):
        return None
    return None if ANY_OTHER in spec.budgets.prices else Problem(f"{_PATH}.prices", PRICES, "none for *")


RULES: Final = (
    Rule(
        "budgets",
        "self.limits.all(each, has(each.tokens) != has(each.cost))",
        f"'{_PATH}.limits: each {ONE}'",
        _not_one,
    ),
    Rule("budgets", None, None, _twice),
    Rule(
        "budgets",
        "(has(self.prices) && '*' in self.prices) || !self.limits.exists(each, has(each.cost))",
        f"'{_PATH}.prices: none for *: {PRICES}'",
        _no_prices,
    ),
)
