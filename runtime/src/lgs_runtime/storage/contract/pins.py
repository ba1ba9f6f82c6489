"""What is pinned to each revision, and what becomes of it when a revision has no replicas any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lgs_runtime.model import Pinned


class Pins(Protocol):
    """The revisions that threads and runs are pinned to."""

    async def watch(
        self, wait_seconds: float, *, revision: str | None = None, period_seconds: float = 0.0
    ) -> Sequence[Pinned]:
        """Counts what is pinned to each revision, and frees what is pinned to revisions of which no replica
        has been there for `wait_seconds`: from then on any replica that is open to threads takes it. Only
        time in which somebody watches counts as absence. `revision`, the asker's own, is there.

        Returns all revisions that have replicas or something pinned to them, by name. If another replica has
        counted less than `period_seconds` ago, that count is returned, and nothing is freed. Safe to call
        from every replica.
        """
