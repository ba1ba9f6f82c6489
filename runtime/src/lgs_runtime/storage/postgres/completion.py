"""Stores the ends of runs: all that arrive while others are being stored go into one statement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from lgs_runtime.database.columns import columns
from lgs_runtime.database.group_commit import GroupCommitter
from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import RollbackAsked
from lgs_runtime.model import Finished, Outcome, Run
from lgs_runtime.storage.histories import checkpoint_of
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.postgres.statements.completion import FINISH, TO_ROLL_BACK

COMMITS_AT_ONCE: Final = 3
RUN: Final = 1
"""Index of the column with the run's id."""

Row = tuple[Any, ...]
Result = Finished | RollbackAsked


class BatchCompleter:
    """Stores how runs ended."""

    def __init__(self, database: Database, options: StorageOptions) -> None:
        self._database = database
        self._versions_limit = options.versions_limit
        self._committer: GroupCommitter[Row, Result | None] = GroupCommitter(
            self._store, at_once=COMMITS_AT_ONCE, patience_seconds=0.0
        )

    async def store(self, run: Run, replica: str, outcome: Outcome) -> Result | None:
        """What remains after the end; `RollbackAsked` when the run must be undone first; None when the
        replica no longer holds the attempt. Raises `StorageUnavailable`."""
        return await self._committer.submit(run.thread_id, row(run, replica, outcome))

    async def close(self) -> None:
        """Finishes what is under way."""
        await self._committer.close()

    async def _store(self, works: Sequence[Row]) -> Sequence[Result | None]:
        ends = await self._end(works)
        # Only a second statement sees a cancellation that arrived while the first one waited for the thread.
        if again := [work for work in works if work[RUN] not in ends]:
            ends |= await self._end(again)
        if refused := [work for work in works if work[RUN] not in ends]:
            ends |= await self._to_roll_back(refused)
        return [ends.get(work[RUN]) for work in works]

    async def _to_roll_back(self, works: Sequence[Row]) -> dict[str, Result]:
        _, run_ids, replicas, attempts, *_ = zip(*works, strict=True)
        statement = partial(self._database.rows, TO_ROLL_BACK, run_ids, replicas, attempts)
        found = await self._database.retried(statement)
        return {row["run_id"]: RollbackAsked(f"run {row['run_id']}: is to be rolled back") for row in found}

    async def _end(self, works: Sequence[Row]) -> dict[str, Result]:
        values = [*columns(works), self._versions_limit]
        statement = partial(self._database.rows, FINISH, *values)
        found = await self._database.retried(statement)
        return {end["run_id"]: Finished(end["kept"], end["unfinished"]) for end in found}


def row(run: Run, replica: str, outcome: Outcome) -> Row:
    """An end as the statement takes it, in the order of its columns."""
    return (
        run.thread_id,
        run.run_id,
        replica,
        run.attempt,
        outcome.status,
        escape(outcome.error),
        outcome.thread_status,
        dump_optional(outcome.values),
        dump_optional(outcome.interrupts),
        checkpoint_of(outcome),
        dump_optional(outcome.answer),
        dump(outcome.thread_metadata),
        outcome.undone,
        dump(outcome.run_metadata) if outcome.run_metadata else None,
    )
