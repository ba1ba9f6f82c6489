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
from itertools import count
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from langgraph import types
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Interrupt, StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, checkpoint_id_of, namespace_of
from lgs_runtime.worker.missing_nodes import BRANCH, NULL_TASK, RESUME, last_questions

MARK: Final = "__lgs_command__"
GIVEN: Final = "__lgs_given__"
INSIDE: Final = "__lgs_inside__"
TAKEN: Final = "__lgs_taken__"
"""The channels of a mark."""
NUMBERED: Final = hasattr(types, "_interrupt_id")
"""Whether each question of a task has an id of its own: older versions of LangGraph give all the first's."""
MOST_WITHOUT_STATE: Final = 10
"""So many graphs without state (`checkpointer=False`) may a node call one after the other before one of which
it is known what it asks."""


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
    for namespace, checkpoint_id, before in inside.answers:
        within = await checkpointer.aget_tuple(checkpoint_config(thread_id, namespace, checkpoint_id))
        if within is not None and _answers(within) > before:
            return True
    if not inside.answers:
        return False
    everywhere: Any = {"configurable": {"thread_id": thread_id}}
    async for within in checkpointer.alist(everywhere, filter={"run_id": run_id}):
        if namespace_of(within.config) and _answers(within):
            return True
    return False


def answered_beside(found: CheckpointTuple) -> set[str]:
    """The ids of the questions that stand beside a checkpoint though a task took the answer that an earlier
    run gave by their ids: the run was cut before the task asked another."""
    by_task: dict[str, dict[str, Any]] = {}
    for task_id, channel, value in found.pending_writes or ():
        by_task.setdefault(task_id, {})[channel] = value
    marks = [written for written in by_task.values() if written.get(GIVEN)]
    now = progress(found)
    return {
        question.id
        for task_id, asked in last_questions(found).items()
        for question in asked
        for mark in marks
        if NUMBERED and question.id in mark[GIVEN] and now.get(task_id, 0) > mark[MARK].get(task_id, 0)
    }


def asks_inside(state: StateSnapshot, found: CheckpointTuple) -> bool:
    """Whether a question of a state is not that of one of its own nodes. `found`: the state's checkpoint."""
    return any(
        task.state or not all(one.id in ids_at(f"{task.name}:{task.id}", task.id, found) for one in asked)
        for task in state.tasks
        if (asked := task.interrupts)
    )


async def answered_inside(checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot) -> set[str]:
    """The ids of the questions that tasks of subgraphs have had answered, of a state with its subgraphs."""
    ids: set[str] = set()
    around = namespace_of(state.config)
    for task in state.tasks:
        place = f"{around}|{task.name}:{task.id}" if around else f"{task.name}:{task.id}"
        within = task.state if isinstance(task.state, StateSnapshot) else None
        if task.interrupts and (within is None or not within.interrupts):
            thread_id = state.config["configurable"]["thread_id"]
            ids |= await _answered_in_calls(checkpointer, thread_id, place, first=0 if within is None else 1)
        if within is None:
            continue
        found = await checkpointer.aget_tuple(within.config)
        counts = progress(found) if found is not None else {}
        inside = namespace_of(within.config)
        for inner in within.tasks:
            ids |= _ids_of(f"{inside}|{inner.name}:{inner.id}", counts.get(inner.id, 0))
        ids |= await answered_inside(checkpointer, within)
    return ids


async def _answered_in_calls(
    checkpointer: BaseCheckpointSaver[Any],
    thread_id: str,
    place: str,
    *,
    first: int = 0,
    most_without: int = MOST_WITHOUT_STATE,
) -> set[str]:
    """The same of graphs that a node calls and LangGraph does not find: the first at the node's own place,
    each later one at its number inside of it. `first`: the number to begin with."""
    ids: set[str] = set()
    without_state = 0
    for number in count(first):
        namespace = f"{place}|{number}" if number else place
        found = await checkpointer.aget_tuple(checkpoint_config(thread_id, namespace))
        if found is None:
            without_state += 1
            if without_state > most_without:
                return ids
            continue
        without_state = 0
        counts, channels = progress(found), found.checkpoint["channel_versions"]
        names = [name.removeprefix(BRANCH) for name in channels if name.startswith(BRANCH)]
        for task_id in last_questions(found):
            for name in names:
                inner = f"{namespace}|{name}:{task_id}"
                ids |= _ids_of(inner, counts.get(task_id, 0))
                ids |= await _answered_in_calls(checkpointer, thread_id, inner, most_without=0)
    raise AssertionError("there are no numbers left")


def _ids_of(place: str, questions: int) -> set[str]:
    """The ids of the first questions of a task."""
    places = (f"{place}|{number}" if number else place for number in range(questions))
    return {Interrupt.from_ns(None, each).id for each in places}


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
