"""The order in which waiting runs are claimed, as pure functions: urgent before less urgent, older before
younger, and no group of runs first only because it is larger. `docs/queue.md` explains the law and its
bounds.

A run waits at a level, -5 (most urgent) to 5. Its `rank` is its due time plus an offset of its level; levels
compete by rank. Its `turn` is a round of its level, and a group has one run in each round: within a level the
run with the smaller turn goes first, and among equal turns the one with the smaller rank. SQLite calls these
functions, PostgreSQL says the same in its statements, and one test suite holds both to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lgs_runtime.model import NewRun, Priority

MOST_URGENT: Final = -5
LEAST_URGENT: Final = 5
LEVELS: Final = range(MOST_URGENT, LEAST_URGENT + 1)
LEVEL: Final = {Priority.HIGH: MOST_URGENT, Priority.NORMAL: 0, Priority.LOW: LEAST_URGENT}
"""The level that each named priority stands for."""

FIRST_TURN: Final = 0
"""The turn of a run that was handed back: before all runs that never started."""

SECONDS_AHEAD: Final = 6.0
"""What a level below 0 gains on the next level, in seconds of waiting."""
SECONDS_BEHIND: Final = 18.0
"""What a level above 0 loses to the level before it, in seconds of waiting."""
NORMAL_OFFSET: Final = -MOST_URGENT * SECONDS_AHEAD


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that could be claimed now."""

    run_id: str
    level: int
    turn: int
    rank: float


def priority_of_level(level: int) -> Priority:
    """The queue that runs of a level wait in; each queue has its own limit."""
    if level <= -2:
        return Priority.HIGH
    return Priority.LOW if level >= 2 else Priority.NORMAL


def level_of(new: NewRun) -> int:
    """The level of a run: the one it was given, or else that of its named priority."""
    return LEVEL[new.priority] if new.level is None else new.level


def rank_offset(level: int) -> float:
    """Seconds between a run's due time and its rank: 0 for level -5, 30 for 0, 120 for 5. A constant offset
    is linear aging: a run of level 5 that has waited 120 s longer than one of level -5 goes first, and the
    rank never has to be computed again."""
    return NORMAL_OFFSET + level * (SECONDS_AHEAD if level < 0 else SECONDS_BEHIND)


def next_turn(running: int | None, waiting: int | None, of_group: int | None) -> int:
    """The turn of a new run: the round after the present one of its level, and after its group's last.

    `running`: the largest turn of the level's running runs; `waiting`: the smallest turn of its waiting runs
    that were not handed back; `of_group`: the largest turn of its group's waiting runs. None: there are none.

    The present round goes on with the runs in service, as in self-clocked fair queueing (Golestani, 1994). A
    new run joins the round after it, behind the older runs there. So rounds end even when new groups arrive
    faster than they are served.
    """
    present = max(running or FIRST_TURN, (waiting or 1) - 1)
    return max(present, of_group or FIRST_TURN) + 1


def in_line(claimable: Iterable[Waiting]) -> Sequence[Waiting]:
    """Runs in the order in which to claim them: repeatedly, compare the first run (by turn) of each level and
    take the one with the smallest rank.

    This is the same as sorting by the largest rank found at or before each run in its level.
    """
    levels: defaultdict[int, list[Waiting]] = defaultdict(list)
    for run in claimable:
        levels[run.level].append(run)
    order: list[tuple[float, int, int, float, Waiting]] = []
    for level, runs in levels.items():
        held_up = float("-inf")
        for run in sorted(runs, key=lambda one: (one.turn, one.rank)):
            held_up = max(held_up, run.rank)
            order.append((held_up, level, run.turn, run.rank, run))
    return [run for *_, run in sorted(order, key=lambda entry: entry[:4])]
