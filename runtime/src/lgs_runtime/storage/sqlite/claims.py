"""Runs of SQLite's queue on their way to replicas, and back from those that give them up or are gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from lgs_runtime.database.json_columns import dump
from lgs_runtime.model import Run
from lgs_runtime.storage import fairness, transitions
from lgs_runtime.storage.sqlite import statements
from lgs_runtime.storage.sqlite.change import Change
from lgs_runtime.storage.sqlite.completion import apply


def claim(change: Change, replica: str, slots: int, graphs: str | None) -> list[sqlite3.Row]:
    """The first in line, in that order, become the replica's, as many as it has slots, and of these graphs,
    or those that it takes; none when its lease has run out."""
    lease = change.one(statements.ALIVE, replica=replica)
    if lease is None:
        return []
    found = change.all(statements.FIRST_OF_LEVELS, slots=slots, graphs=graphs or lease["graphs"])
    first = [fairness.Waiting(*row) for row in found]
    run_ids = [run.run_id for run in fairness.in_line(first)[:slots]]
    claimed = change.all(statements.CLAIM, replica=replica, run_ids=dump(run_ids))
    return sorted(claimed, key=lambda row: run_ids.index(row["run_id"]))


def release(change: Change, replica: str, runs: Sequence[Run]) -> None:
    """A replica gives back what it holds of these: no attempt is charged."""
    for run in runs:
        row = change.one(statements.HELD, run_id=run.run_id, replica=replica, attempt=run.attempt)
        if row is not None:
            apply(change, row, transitions.handed_back(row["cancel_requested"]), None, charge=False)


def reap(change: Change, max_attempts: int, replica: str | None) -> list[Run]:
    """Takes runs from replicas, other than that which asks, whose lease has run out, and returns what became
    of them."""
    lost = change.all(statements.LOST, replica=replica)
    change.run(statements.BURY_REPLICAS, replica=replica)
    for row in lost:
        transition = transitions.lost(row["attempt"], row["cancel_requested"], max_attempts)
        apply(change, row, transition, transitions.lost_reason(row["attempt"], max_attempts), charge=True)
    return change.afterwards(lost)


def claim_webhooks(change: Change, limit: int, retry: float, longest: float) -> list[sqlite3.Row]:
    """Webhooks that are due; each is due again later, should nobody drop it."""
    due = change.all(statements.DUE_WEBHOOKS, limit=limit)
    for row in due:
        change.run(statements.CHARGE_WEBHOOK, run_id=row["run_id"], retry=retry, longest=longest)
    return due
