"""Parses `LGS_BUDGETS`: the budgets of a service and the prices of models, in JSON, as in `spec.budgets` of a
manifest. A value that breaks a rule raises `ConfigError`, worded `name: value: rule`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from lgs_runtime.checks import Gathered, checked_object, checked_positive, json_of, object_of
from lgs_runtime.errors import ConfigError

VARIABLE: Final = "LGS_BUDGETS"
MOST: Final = 1e15
"""Highest amount of a budget or a price, in tokens or any currency."""
Unit = Literal["tokens", "cost"]
UNITS: Final[tuple[Unit, ...]] = ("tokens", "cost")
PERIODS: Final[Mapping[str, int]] = {"Hour": 3600, "Day": 86400}
WHOSE: Final = ("Service", "User")
EACH: Final = 1_000_000
"""Number of tokens that a price is for."""
ANY_OTHER: Final = "*"
"""Ends a name that stands for all models whose names begin with the rest of it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget: `most` of a unit may be spent in `seconds`, by all runs together or by those of each user."""

    most: float
    unit: Unit
    seconds: int
    by_user: bool = False

    @property
    def name(self) -> str:
        """The name of the budget, such as `tokens-per-hour` or `cost-per-day-by-user`."""
        period = next(each for each, seconds in PERIODS.items() if seconds == self.seconds).lower()
        return f"{self.unit}-per-{period}{'-by-user' if self.by_user else ''}"


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a million tokens. `cached_input` is for input tokens that the provider had in its
    cache."""

    input: float
    output: float
    cached_input: float

    def cost(self, input_tokens: float, output_tokens: float, cached_input: float) -> float:
        """The cost of one call. `input_tokens` includes the cached ones."""
        cached = min(cached_input, input_tokens)
        whole = (input_tokens - cached) * self.input + cached * self.cached_input
        return (whole + output_tokens * self.output) / EACH


@dataclass(frozen=True, slots=True)
class Budgets:
    """All budgets of a service. The keys of `prices` are names of models, or beginnings of names with `*` at
    the end."""

    limits: tuple[Limit, ...]
    prices: Mapping[str, Price] = field(default_factory=dict)

    def price(self, model: str) -> Price | None:
        """The price of a model: by its name, else by the longest beginning of it that has one. None only
        where no budget is of cost."""
        if (found := self.prices.get(model)) is not None:
            return found
        begins = [name for name in self.prices if name.endswith(ANY_OTHER) and model.startswith(name[:-1])]
        return self.prices[max(begins, key=len)] if begins else None


def parse_budgets(text: str) -> Budgets | None:
    """The budgets; None if there are none. Raises `ConfigError`."""
    if not text:
        return None
    found = Gathered()
    section = found.entries(json_of(text, VARIABLE), ("limits", "prices"), VARIABLE)
    given = section.get("limits")
    if not isinstance(given, list) or not given:
        raise ConfigError(f"{VARIABLE}.limits: {json.dumps(given)}: must be a list of at least one budget")
    nothing = Limit(1, "tokens", PERIODS["Hour"])
    limits = [found.read(nothing, _limit, each, f"{VARIABLE}.limits[{n}]") for n, each in enumerate(given)]
    named = found.read({}, object_of, section.get("prices"), f"{VARIABLE}.prices")
    prices = {
        name: found.read(Price(0, 0, 0), _price, each, f"{VARIABLE}.prices.{name}")
        for name, each in named.items()
    }
    found.done()
    names = [each.name for each in limits]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(f"{VARIABLE}.limits[{index}]: {name}: must be there once")
    budgets = Budgets(tuple(limits), prices)
    if any(each.unit == "cost" for each in limits) and ANY_OTHER not in prices:
        # without it, a model that nobody thought of would cost nothing
        raise ConfigError(f"{VARIABLE}.prices: none for {ANY_OTHER}: must be given where a budget is of cost")
    return budgets


def _limit(given: Any, where: str) -> Limit:
    own = checked_object(given, (*UNITS, "per", "of"), where)
    units = [each for each in UNITS if own.get(each) is not None]
    if len(units) != 1:
        raise ConfigError(
            f"{where}: {' '.join(units) or 'none of them'}: must have exactly one of tokens, cost"
        )
    most = checked_positive(own[units[0]], f"{where}.{units[0]}", MOST)
    assert most is not None, "it is given"
    period, whose = own.get("per"), own.get("of", WHOSE[0])
    if not isinstance(period, str) or period not in PERIODS:
        raise ConfigError(f"{where}.per: {json.dumps(period)}: must be one of {', '.join(PERIODS)}")
    if whose not in WHOSE:
        raise ConfigError(f"{where}.of: {json.dumps(whose)}: must be one of {', '.join(WHOSE)}")
    return Limit(most, units[0], PERIODS[period], by_user=whose == "User")


def _price(given: Any, where: str) -> Price:
    own = checked_object(given, ("input", "output", "cachedInput"), where)
    parts = {name: _amount(own.get(name), f"{where}.{name}") for name in ("input", "output")}
    cached = own.get("cachedInput")
    return Price(
        parts["input"],
        parts["output"],
        parts["input"] if cached is None else _amount(cached, f"{where}.cachedInput"),
    )


def _amount(value: Any, where: str) -> float:
    if value == 0 and not isinstance(value, bool):
        return 0.0
    amount = checked_positive(value, where, MOST)
    if amount is None:
        raise ConfigError(f"{where}: null: must be given")
    return amount
