"""The mark that the first attempt of a run stores with the checkpoint that its command is given to. It says
what was stored there before the command, and holds what LangGraph itself does not store.

A task that takes an answer stores it with the checkpoint of its own graph. So if a node of a subgraph took
the answer, the checkpoint of the parent graph does not show it; therefore the mark also counts the answers in
subgraphs. The number of answered questions of a task is also part of the id of its next question.
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
"""Whether each question of a task has its own id; in older versions of LangGraph, all have the first's."""
MOST_WITHOUT_STATE: Final = 10
"""How many graphs without state (`checkpointer=False`) a node may call in a row before the search for one
with state, whose questions are known, is given up."""


@dataclass(frozen=True, slots=True)
class Inside:
    """The state inside subgraphs at the time when an answer without an id was given."""

    asked: Sequence[str] = ()
    """The ids of the questions that were waiting."""
    answers: Sequence[tuple[str, str, int]] = ()
    """The latest checkpoints of the subgraphs: namespace, id, and number of answers that tasks had taken."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark that the first attempt has stored."""

    before: dict[str, int]
    """The result of `progress` before the command."""
    given: Sequence[str] = ()
    """The ids under which the command's answers were given: LangGraph does not store such answers."""
    inside: Inside = Inside()
    taken: bool = False
    """Whether a later attempt found that a subgraph had taken the answer, which leaves no other trace."""


def read_mark(found: CheckpointTuple, run_id: str) -> Mark | None:
    """The mark that a run has stored with a checkpoint; None if it stored none."""
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
    """Stores the mark of a run with a checkpoint."""
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
    # Under a task id of its own, as a task's second write would not replace its first.
    return str(uuid5(NAMESPACE_URL, f"lgs-taken:{run_id}"))


def progress(found: CheckpointTuple) -> dict[str, int]:
    """The inputs stored with a checkpoint besides its tasks' results, counted by task: the answers that each
    task has taken, and the writes of commands (under `NULL_TASK`)."""
    counts: Counter[str] = Counter()
    for task_id, channel, value in found.pending_writes or ():
        if channel == RESUME and task_id != NULL_TASK:
            counts[task_id] += len(value) if isinstance(value, list) else 1
        elif task_id == NULL_TASK and not (channel == RESUME and value is None):
            counts[task_id] += 1
    return dict(counts)


def ids_at(place: str, task_id: str, found: CheckpointTuple) -> Collection[str]:
    """The ids that a question of a task may have. `place`: the task's node and id, after those of the
    enclosing graphs. `found`: the checkpoint that the task's writes belong to."""
    answered = progress(found).get(task_id, 0)
    # Older versions of LangGraph give all questions of a task the id of the first.
    places = (place, f"{place}|{answered}") if answered else (place,)
    return [Interrupt.from_ns(None, each).id for each in places]


async def inside_of(checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot) -> Inside:
    """The `Inside` of a state that was read with its subgraphs."""
    answers = await _answers_inside(checkpointer, state)
    return Inside(asked_in(state), answers)


def asked_in(state: StateSnapshot) -> Sequence[str]:
    """The ids of the questions that wait in a state."""
    return [question.id for question in state.interrupts]


async def taken_inside(
    checkpointer: BaseCheckpointSaver[Any], found: CheckpointTuple, run_id: str, inside: Inside
) -> bool:
    """Whether a task of a subgraph has taken an answer since a run stored its mark with a checkpoint."""
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
    """The ids of the questions that are still stored with a checkpoint although their task took the answer
    that an earlier run gave by their ids: the run was interrupted before the task asked another."""
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
    """Whether a question of a state was not asked by one of its own nodes, but inside a subgraph. `found`:
    the state's checkpoint."""
    return any(
        task.state or not all(one.id in ids_at(f"{task.name}:{task.id}", task.id, found) for one in asked)
        for task in state.tasks
        if (asked := task.interrupts)
    )


async def answered_inside(checkpointer: BaseCheckpointSaver[Any], state: StateSnapshot) -> set[str]:
    """The ids of the answered questions of tasks in subgraphs. `state`: read with its subgraphs."""
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
    """Like `answered_inside`, for graphs that a node calls and that LangGraph does not discover: the first is
    stored at the node's own place, each later one at its number below it. `first`: the number to begin
    with."""
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
    """The ids of the first `questions` questions of a task."""
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
