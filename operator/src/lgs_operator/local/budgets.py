"""What `lgs up` prints of the budgets of the whole service: a line when one is used up, and when something is
left of it again. Replicas do not report the budgets of single users. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lgs_operator.scaling import ReplicaSample
from lgs_operator.scaling.samples import budgets_used_up
from lgs_operator.status.budgets import BUDGETS


class LocalBudgets:
    """Remembers which budgets were printed as used up."""

    def __init__(self) -> None:
        self._used_up: frozenset[str] = frozenset()

    def changes(self, samples: Sequence[ReplicaSample], *, asked: bool) -> Iterator[str]:
        """The lines to print for these answers of replicas; none if no replica reports any budget. If they
        were not `asked` about budgets, as those of an environment variable are not each time, nothing has
        changed."""
        if not asked:
            return
        before, now = self._used_up, budgets_used_up(samples)
        if samples:
            self._used_up = now or frozenset()
        if now is not None:
            yield from (words for _, _, words in BUDGETS.events(before, now))
