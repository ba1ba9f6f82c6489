"""Which budgets of a service are used up, as its replicas count them. Pure. The spending of single
users is not reported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lgs_crds import LangGraphService
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.status.refusals import Names, Refusals

_REFUSED: Final = "new runs are answered 429 until enough of it is over; those that are there go on"


def used_up(service: LangGraphService, samples: Iterable[ReplicaSample]) -> Names | None:
    """The budgets of which nothing is left, by the agreement of all replicas that report budgets; None: no
    replica reports any. They must agree, since one that looked a second ago may not know yet. Names that are
    not in the manifest are ignored."""
    known = [each.used_up for each in samples if each.used_up is not None]
    return frozenset.intersection(_of_all(service), *known) if known else None


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
