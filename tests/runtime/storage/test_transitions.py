"""What becomes of runs that are lost or cancelled, as both storages decide it, without a database."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_runtime.storage import transitions
from lgs_runtime.storage.transitions import Cancellation, Unfinished

WAITING = Unfinished("waiting", running=False)
RUNNING = Unfinished("running", running=True)
HANDED_BACK = Unfinished("handed-back", running=False, begun=True)
TO_BE_UNDONE = Unfinished("to-be-undone", running=False, begun=True, asked="rollback")


@pytest.mark.parametrize(
    ("attempt", "cancelled", "transition"),
    [
        (1, None, "wait"),
        (2, None, "wait"),
        (3, None, "fail"),
        (1, "interrupt", "stop"),
        (3, "rollback", "undo"),
    ],
)
def test_a_lost_run_has_three_attempts_unless_it_was_to_stop_anyway(
    attempt: int, cancelled: Any, transition: str
) -> None:
    assert transitions.lost(attempt, cancelled, max_attempts=3) == transition


@pytest.mark.parametrize(
    ("action", "end", "delete", "ask"),
    [
        ("interrupt", ["waiting", "handed-back"], [], ["running", "to-be-undone"]),
        ("rollback", [], ["waiting"], ["running", "handed-back", "to-be-undone"]),
    ],
)
def test_a_run_that_may_have_left_checkpoints_is_rolled_back_by_a_replica_and_not_dropped(
    action: Any, end: list[str], delete: list[str], ask: list[str]
) -> None:
    unfinished = [WAITING, RUNNING, HANDED_BACK, TO_BE_UNDONE]

    assert transitions.cancellation(unfinished, action) == Cancellation(end, delete, ask)


@pytest.mark.parametrize(
    ("asked", "transition"), [(None, "wait"), ("interrupt", "stop"), ("rollback", "undo")]
)
def test_a_run_that_is_handed_back_waits_unless_it_was_to_stop(asked: Any, transition: str) -> None:
    assert transitions.handed_back(asked) == transition
