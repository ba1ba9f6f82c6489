"""The budgets of a service, as its replicas count them: which are used up, the condition of that, and the
Events of what changed. Pure. What users have spent nobody is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lgs_crds import LangGraphService
from lgs_crds.reasons import Reason
from lgs_crds.status import Condition, condition
from lgs_operator.kube.kinds import EventType
from lgs_operator.scaling import ReplicaSample

_REFUSED = "new runs are answered 429 until enough of it is over; those that are there go on"


def used_up(service: LangGraphService, samples: Iterable[ReplicaSample]) -> frozenset[str] | None:
    """The budgets of which nothing is left, as all replicas that know of them say; None: none of them knows.
    One that looked a second ago may not know yet. What the manifest does not have none of them may name."""
    known = [each.used_up for each in samples if each.used_up is not None]
    return frozenset.intersection(_of_all(service), *known) if known else None


def _of_all(service: LangGraphService) -> frozenset[str]:
    """The names of the budgets of the whole service, as replicas show them."""
    limits = [] if service.spec.budgets is None else service.spec.budgets.limits
    return frozenset(
        f"{'tokens' if each.cost is None else 'cost'}-per-{each.per.lower()}"
        for each in limits
        if each.of != "User"
    )


def within_budget(service: LangGraphService, found: frozenset[str] | None) -> Condition | None:
    """The condition, where there are budgets of the whole service."""
    budgets = service.spec.budgets
    if budgets is None or all(each.of == "User" for each in budgets.limits):
        return None
    if found is None:
        return condition("WithinBudget", "Unknown", "NoReplica", "no replica says what is left")
    if not found:
        return condition("WithinBudget", "True", "BudgetLeft", "something is left of each budget")
    words = f"used up: {', '.join(sorted(found))}: {_REFUSED}"
    return condition("WithinBudget", "False", "BudgetUsedUp", words)


def budget_events(before: frozenset[str], now: frozenset[str]) -> Iterator[tuple[EventType, Reason, str]]:
    """An Event for each budget that is used up, or is no more."""
    for each in sorted(now - before):
        yield "Warning", "BudgetUsedUp", f"budget {each} is used up: {_REFUSED}"
    for each in sorted(before - now):
        yield "Normal", "BudgetRenewed", f"budget {each}: something is left again, and runs are taken"
