"""What the steps' own records prove: which steps ran, how often, and which of them must not have.

The graph of examples/support writes a record when a step starts and when it ends, into a Redis that has
nothing to do with its state. Pure: takes the records, returns the account.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Account:
    """`repeated`: steps that started more than once. `wrongly_repeated`: those whose checkpoint was
    committed before, which a later step's start proves. `incomplete`: runs in which a step has no end.
    `moved`: runs that went on in another replica, or in another attempt: a pod whose container was killed has
    the same name when it is back, and may be the first to take its runs up again.
    """

    runs: int
    steps: int
    repeated: tuple[str, ...]
    wrongly_repeated: tuple[str, ...]
    incomplete: tuple[str, ...]
    moved: int


def account(records: list[dict[str, Any]], steps: int) -> Account:
    """The account of runs that have `steps` steps each. The records are in the order of their arrival, which
    no replica's clock can disturb; one may come twice, with the same `id`."""
    records = list({record["id"]: record for record in records}.values())
    by_run: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        by_run[record["run_id"]].append(record)
    repeated: list[str] = []
    wrongly: list[str] = []
    incomplete: list[str] = []
    for run_id, told in by_run.items():
        again, committed = _repetitions(told)
        repeated += [f"{run_id} step {step}" for step in again]
        wrongly += [f"{run_id} step {step}" for step in committed]
        ended = {record["step"] for record in told if record["phase"] == "end"}
        if ended != set(range(steps)):
            incomplete.append(f"{run_id}: steps {sorted(ended)} of {steps}")
    return Account(
        runs=len(by_run),
        steps=sum(record["phase"] == "end" for record in records),
        repeated=tuple(repeated),
        wrongly_repeated=tuple(wrongly),
        incomplete=tuple(incomplete),
        moved=sum(
            len({(record["replica"], record["attempt"]) for record in told}) > 1 for told in by_run.values()
        ),
    )


def in_flight(records: list[dict[str, Any]]) -> list[str]:
    """The replicas that are in a step: one name for each that has begun and not ended, oldest first."""
    steps: dict[tuple[Any, ...], str] = {}
    for record in records:
        step = (record["run_id"], record["step"], record["attempt"], record["replica"])
        if record["phase"] == "start":
            steps[step] = record["replica"]
        else:
            steps.pop(step, None)
    return list(steps.values())


def _repetitions(told: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Steps that started again, and those of them that started after a later step had: that one's start
    shows that the checkpoint between was committed.
    """
    again: list[int] = []
    committed: list[int] = []
    started: set[int] = set()
    for record in told:
        if record["phase"] != "start":
            continue
        step = record["step"]
        if step in started:
            again.append(step)
        if any(later > step for later in started):
            committed.append(step)
        started.add(step)
    return again, committed
