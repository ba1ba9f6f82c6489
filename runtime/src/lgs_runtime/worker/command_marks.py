"""The mark that the first attempt of a run leaves beside the checkpoint that its command is given to: what
was stored there before it, and what LangGraph keeps nothing of.

A task that takes an answer writes it beside the checkpoint of its own graph. So where a subgraph's node took
one, nothing of it is seen beside the checkpoint of the graph around: the mark has the subgraphs' answers too.
How many questions of a task were answered is also part of the id of its next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Interrupt, StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, checkpoint_id_of, namespace_of
from lgs_runtime.worker.missing_nodes import NULL_TASK, RESUME

MARK: Final = "__lgs_command__"
GIVEN: Final = "__lgs_given__"
INSIDE: Final = "__lgs_inside__"
TAKEN: Final = "__lgs_taken__"
"""The channels of a mark."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What was there when an answer was given to whoever asks inside of a subgraph."""

    asked: Sequence[str] = ()
    """The ids of the questions that waited."""
    answers: Sequence[tuple[str, str, int]] = ()
    """The latest checkpoints of the subgraphs: namespace, id, and how many answers their tasks had taken."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the first attempt has left."""

    before: dict[str, int]
    """As `progress` has it."""
    given: Sequence[str] = ()
    """The ids that the command's answers were given by: LangGraph stores no such answer."""
    inside: Inside = Inside()
    taken: bool = False
    """Whether a later attempt has found that a subgraph took the answer, of which nothing else is left."""


def read_mark(found: CheckpointTuple, run_id: str) -> Mark | None:
    """The mark of a run beside a checkpoint, if it left one there."""
    task_id = _task_of(run_id)
    written = {channel: value for task, channel, value in found.pending_writes or () if task == task_id}
    if MARK not in written:
        return None
    asked, answers = written.get(INSIDE) or ((), ())
    taken = any(
        channel == TAKEN for task, channel, _ in found.pending_writes or () if task == _taken_by(run_id)
    )
    return Mark(written[MARK], written.get(GIVEN) or (), Inside(asked, answers), taken)


async def leave_mark(
    checkpointer: BaseCheckpointSaver[Any], found: CheckpointTuple, run_id: str, mark: Mark
) -> None:
    """Stores the mark of a run."""
    writes: list[tuple[str, Any]] = [(MARK, mark.before), (GIVEN, list(mark.given))]
    if mark.inside.answers:
        writes.append((INSIDE, [list(mark.inside.asked), list(mark.inside.answers)]))
    await checkpointer.aput_writes(found.config, writes, _task_of(run_id))


async def mark_taken(checkpointer: BaseCheckpointSaver[Any], found: CheckpointTuple, run_id: str) -> None:
    """Stores that a subgraph took the run's answer."""
    await checkpointer.aput_writes(found.config, [(TAKEN, True)], _taken_by(run_id))


def _task_of(run_id: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"lgs-run:{run_id}"))


def _taken_by(run_id: str) -> str:
    # A task's second write would not take the place of its first.
    return str(uuid5(NAMESPACE_URL, f"lgs-taken:{run_id}"))


def progress(found: CheckpointTuple) -> dict[str, int]:
    """How much input beside its tasks' results a checkpoint has: command writes, and answers by task."""
    counts: Counter[str] = Counter()
    for task_id, channel, value in found.pending_writes or ():
        if channel == RESUME and task_id != NULL_TASK:
            counts[task_id] += len(value) if isinstance(value, list) else 1
        elif task_id == NULL_TASK and not (channel == RESUME and value is None):
            counts[task_id] += 1
    return dict(counts)


def ids_at(place: str, task_id: str, found: CheckpointTuple) -> Collection[str]:
    """The ids that a question has if a task at a place asks it: its node and id, after those around it.
    `found`: the checkpoint that the task writes beside."""
    answered = progress(found).get(task_id, 0)
    # Older versions of LangGraph give all questions of a task the id of the first.
    places = (place, f"{place}|{answered}") if answered else (place,)
    return [Interrupt.from_ns(None, each).id for each in places]


async def inside_of(checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot) -> Inside:
    """What is inside of a state that was read with its subgraphs."""
    answers = await _answers_inside(checkpointer, state)
    return Inside(asked_in(state), answers)


def asked_in(state: StateSnapshot) -> Sequence[str]:
    """The ids of the questions that wait in a state."""
    return [question.id for question in state.interrupts]


async def taken_inside(
    checkpointer: BaseCheckpointSaver[Any], found: CheckpointTuple, run_id: str, inside: Inside
) -> bool:
    """Whether a task of a subgraph has taken an answer since a run left its mark beside a checkpoint."""
    thread_id = found.config["configurable"]["thread_id"]
    for namespace, checkpoint_id, count in inside.answers:
        within = await checkpointer.aget_tuple(checkpoint_config(thread_id, namespace, checkpoint_id))
        if within is not None and _answers(within) > count:
            return True
    if not inside.answers:
        return False
    everywhere: Any = {"configurable": {"thread_id": thread_id}}
    async for within in checkpointer.alist(everywhere, filter={"run_id": run_id}):
        if namespace_of(within.config) and _answers(within):
            return True
    return False


async def answered_inside(checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot) -> set[str]:
    """The ids of the questions that tasks of subgraphs have had answered, of a state with its subgraphs."""
    ids: set[str] = set()
    for task in state.tasks:
        if not isinstance(task.state, StateSnapshot):
            continue
        found = await checkpointer.aget_tuple(task.state.config)
        counts = progress(found) if found is not None else {}
        around = namespace_of(task.state.config)
        for inner in task.state.tasks:
            place = f"{around}|{inner.name}:{inner.id}"
            places = (f"{place}|{number}" if number else place for number in range(counts.get(inner.id, 0)))
            ids |= {Interrupt.from_ns(None, each).id for each in places}
        ids |= await answered_inside(checkpointer, task.state)
    return ids


async def _answers_inside(
    checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot
) -> Sequence[tuple[str, str, int]]:
    counted: list[tuple[str, str, int]] = []
    for task in state.tasks:
        if not isinstance(task.state, StateSnapshot):
            continue
        found = await checkpointer.aget_tuple(task.state.config)
        if found is not None:
            counted.append((namespace_of(found.config), checkpoint_id_of(found.config), _answers(found)))
        counted += await _answers_inside(checkpointer, task.state)
    return counted


def _answers(found: CheckpointTuple) -> int:
    return sum(count for task_id, count in progress(found).items() if task_id != NULL_TASK)
