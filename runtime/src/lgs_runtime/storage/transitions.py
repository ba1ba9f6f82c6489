"""The decisions that both storages share, as pure functions of values: what multitask strategies do, and what
becomes of a lost run. The order of the queue is in `fairness`.

Nothing here reads a clock or a database. The storages read their rows, get the decision here, and act.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from lgs_runtime.errors import AssistantChanged, Conflict, InvalidRequest, NotFound
from lgs_runtime.model import Assistant, CancelAction, MultitaskStrategy, NewRun, Priority

CHANGEABLE: Final = ("graph_id", "name", "description", "config", "context", "metadata")
"""The fields that a new version of an assistant may change."""

HANDED_BACK_SECONDS = 1e9
"""Seconds taken off the rank of a run that was handed back, so that it goes before all runs that never
started."""

NEAR_LIMIT = 128
"""A queue with less room than this many runs is counted under a lock. With more room, passing the limit
unseen would take more concurrent writers than a database has connections."""

CODE = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}
"""How priorities are stored."""

PRIORITY = {code: priority for priority, code in CODE.items()}

Transition = Literal["wait", "fail", "stop", "delete", "undo"]
"""`undo`: the run waits, uncharged and first in line, for a replica that deletes its checkpoints and ends
it."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What a strategy needs to know about an unfinished run of the thread."""

    run_id: str
    running: bool
    begun: bool = False
    """An attempt of it has started, and may have left checkpoints."""
    asked: CancelAction | None = None


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What a cancellation does to each run: waiting runs end now, running runs are asked to stop."""

    end: Sequence[str]
    """Waiting runs that become `interrupted`."""
    delete: Sequence[str]
    """Waiting runs that are rolled back: their record is deleted."""
    ask: Sequence[str]
    """Runs that run, or that a replica must undo: they get `cancel_requested`."""


def check_assistant(new: NewRun, changed_at: datetime | None) -> None:
    """Raises `NotFound` when the run's assistant does not exist, and `AssistantChanged` when it has changed
    since the run was made from it. `changed_at`: when it was last changed; None: it does not exist."""
    if new.assistant_as_of is not None and changed_at != new.assistant_as_of:
        raise AssistantChanged(f"assistant {new.assistant_id}: was changed or deleted meanwhile")
    if changed_at is None:
        raise NotFound("assistant", new.assistant_id)


def cancellation(unfinished: Sequence[Unfinished], action: CancelAction) -> Cancellation:
    """What `action` does to unfinished runs. A run that has begun is rolled back by a replica, even when it
    waits: its checkpoints are deleted before its record is."""
    asked = [
        run.run_id
        for run in unfinished
        if run.running or run.asked == "rollback" or (run.begun and action == "rollback")
    ]
    waiting = [run.run_id for run in unfinished if run.run_id not in asked]
    return Cancellation(
        end=waiting if action == "interrupt" else [],
        delete=waiting if action == "rollback" else [],
        ask=asked,
    )


def strategy(
    name: MultitaskStrategy, thread_id: str, unfinished: Sequence[Unfinished]
) -> Cancellation | None:
    """What a new run with this strategy does to the unfinished runs of its thread; None: nothing. Raises
    `Conflict` (`reject`)."""
    if not unfinished or name == "enqueue":
        return None
    if name == "reject":
        raise Conflict(
            f"thread {thread_id} is busy with run {unfinished[0].run_id}: multitask_strategy is reject; "
            "wait for it, cancel it, or use enqueue, interrupt or rollback"
        )
    return cancellation(unfinished, name)


def lost(attempt: int, cancel_requested: CancelAction | None, max_attempts: int) -> Transition:
    """What becomes of a running run whose replica is gone. If its worker never answered a cancellation, the
    cancellation is carried out here."""
    if cancel_requested is not None:
        return handed_back(cancel_requested)
    return "wait" if attempt < max_attempts else "fail"


def handed_back(cancel_requested: CancelAction | None) -> Transition:
    """What becomes of a run that its replica hands back unfinished."""
    if cancel_requested is None:
        return "wait"
    return "stop" if cancel_requested == "interrupt" else "undo"


def lost_reason(attempt: int, max_attempts: int) -> str:
    """The error of a run that lost its replica in its last attempt."""
    return (
        f"the replica that ran it was lost in attempt {attempt} of {max_attempts}; "
        "start a new run on the thread to go on from its last checkpoint, or raise workers.maxAttempts"
    )


def by_graph(counted: Iterable[tuple[str | None, int]]) -> Mapping[str, int]:
    """The sums of the counts by graph; counts of no graph (None) and sums of zero are left out."""
    sums: Counter[str] = Counter()
    for graph_id, count in counted:
        if graph_id is not None:
            sums[graph_id] += count
    return {graph_id: count for graph_id, count in sums.items() if count}


def retry_after_seconds(limit: int) -> int:
    """Seconds after which a client may try a full queue again: longer for long queues, between 1 and 10."""
    return max(1, min(10, limit // 100))


def with_changes(assistant: Assistant, changes: Mapping[str, Any]) -> Assistant:
    """The assistant with `changes`: metadata is merged, None leaves a field as it is. Raises `InvalidRequest`
    for a field that can't be changed."""
    unknown = sorted(set(changes) - set(CHANGEABLE))
    if unknown:
        raise InvalidRequest(f"{unknown[0]} can't be changed; it must be one of {', '.join(CHANGEABLE)}")
    given = {name: value for name, value in changes.items() if value is not None}
    if "metadata" in given:
        given["metadata"] = {**assistant.metadata, **given["metadata"]}
    return replace(assistant, **given)
