"""What is spent of budgets, by all replicas together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from lgs_runtime.model import Spent


class Spending(Protocol):
    """Sums in buckets of time. Who spends is a name of the caller's, as is the length of a bucket. `at` is
    the moment; None: now, by the database's clock."""

    async def add(self, writer: str, number: int, spent: Sequence[Spent], at: datetime | None = None) -> None:
        """Adds these to their buckets of the moment, in one transaction; of one who spends and a length there
        is one. Once: what has the number of what its `writer` added last, or a lower one, is there already,
        as where the answer to the first call was lost."""

    async def of(
        self,
        who: Collection[str],
        seconds: Collection[int],
        at: datetime | None = None,
        *,
        since: float | None = None,
    ) -> tuple[datetime, Sequence[Spent]]:
        """The moment, and what these have spent in the buckets of these lengths, back to the sixtieth before
        the one that is going on, or to the one in which `since` is, in seconds since the epoch."""

    async def expire(self, seconds: Collection[int], at: datetime | None = None) -> int:
        """Deletes what `of` gives no more, of the buckets of these lengths, and the numbers of writers that
        have not written for a day. Returns how many buckets there were."""
