"""What all replicas together have spent of budgets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from lgs_runtime.model import Spent


class Spending(Protocol):
    """Sums of spending in buckets of time. The caller chooses the names of spenders and the lengths of
    buckets. `at` is the moment; None: now, by the database's clock."""

    async def add(self, writer: str, number: int, spent: Sequence[Spent], at: datetime | None = None) -> None:
        """Adds these amounts to the buckets of the moment, in one transaction; each spender and length may
        occur once. Each call counts once: if `number` is not higher than the last that `writer` added, the
        amounts are there already, as when the answer to the first call was lost, and nothing is added."""

    async def of(
        self,
        who: Collection[str],
        seconds: Collection[int],
        at: datetime | None = None,
        *,
        since: float | None = None,
    ) -> tuple[datetime, Sequence[Spent]]:
        """The moment, and what these spenders have spent in the buckets of these lengths: back to the
        sixtieth bucket before the current one, or to the one that contains `since` (seconds since the epoch),
        whichever is later."""

    async def expire(self, seconds: Collection[int], at: datetime | None = None) -> int:
        """Deletes the buckets of these lengths that `of` no longer returns, and the numbers of writers that
        have not written for a day. Returns how many buckets were deleted."""
