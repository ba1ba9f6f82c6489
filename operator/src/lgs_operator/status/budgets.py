"""Which budgets of a service are used up, as its replicas count them. Pure. The spending of single
users is not reported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lgs_crds import LangGraphService
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.scaling.samples import budgets_used_up
from lgs_operator.status.refusals import Names, Refusals

_REFUSED: Final = "new runs are answered 429 until enough of it is over; those that are there go on"


def used_up(service: LangGraphService, samples: Iterable[ReplicaSample]) -> Names | None:
    """The budgets of the manifest of which nothing is left; None: no replica reports any."""
    found = budgets_used_up(samples)
    return None if found is None else _of_all(service) & found


def _of_all(service: LangGraphService) -> Names:
    """The names of the budgets of the whole service, in the form in which replicas report them."""
    limits = [] if service.spec.budgets is None else service.spec.budgets.limits
    return frozenset(
        f"{'tokens' if each.cost is None else 'cost'}-per-{each.per.lower()}"
        for each in limits
        if each.of != "User"
    )


def _read(service: LangGraphService, observation: Observation, before: Names | None) -> Names | None:
    return used_up(service, observation.samples) if _of_all(service) else frozenset()


BUDGETS: Final = Refusals(
    "WithinBudget",
    none=("BudgetLeft", "something is left of each budget"),
    some=("BudgetUsedUp", f"used up: {{}}: {_REFUSED}"),
    unknown="no replica says what is left",
    began=("BudgetUsedUp", f"budget {{}} is used up: {_REFUSED}"),
    over=("BudgetRenewed", "budget {}: something is left again, and runs are taken"),
    read=_read,
    applies=lambda service, _: bool(_of_all(service)),
)
