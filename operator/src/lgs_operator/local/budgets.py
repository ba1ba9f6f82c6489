"""What `lgs up` prints of the budgets of the whole service: a line when one is used up, and when something is
left of it again. Users' budgets are no replica's to tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lgs_operator.scaling import ReplicaSample
from lgs_operator.status.budgets import BUDGETS


class LocalBudgets:
    """What was said of them."""

    def __init__(self) -> None:
        self._used_up: frozenset[str] = frozenset()

    def changes(self, samples: Sequence[ReplicaSample]) -> Iterator[str]:
        """The lines to say of what replicas answered now. One that has just looked may not know yet, so a
        budget is used up where all that know of any say so; where none does, there is nothing to say."""
        known = [each.used_up for each in samples if each.used_up is not None]
        before, now = self._used_up, frozenset.intersection(*known) if known else frozenset()
        if samples:
            self._used_up = now
        if known:
            yield from (words for _, _, words in BUDGETS.events(before, now))
