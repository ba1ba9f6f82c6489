"""Where an attempt of a run starts: with the run's own input, or from the last checkpoint that an earlier
attempt left.

The rule: if the thread's latest checkpoint was written by this run, continue from it without input (and run
nothing if the graph had reached its end, or waits for a person). So a step whose checkpoint was committed
never runs again, and the finished tasks of an interrupted step are taken from their pending writes.

A run whose answer was cached is the exception: if it was interrupted, its checkpoints belong to another
graph, and it is cheap to repeat, so it is rolled back.

A `Command` is the hard case: LangGraph stores it with the checkpoint of the run before, without a checkpoint
of its own. So the first attempt stores a mark there, which says what was stored before the command
(`command_marks`); from the difference, a later attempt sees whether its command was applied already. A single
answer to a single interrupt is given by the interrupt's id, so that it can't answer a later interrupt of the
same node (`questions`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Command, Send, StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, namespace_of
from lgs_runtime.checkpoint.savers import delete_run_checkpoints
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Run
from lgs_runtime.run_kwargs import NodeNames, RunKwargs
from lgs_runtime.worker.command_marks import (
    NUMBERED,
    Inside,
    Mark,
    answered_beside,
    answered_inside,
    asked_in,
    asks_inside,
    inside_of,
    leave_mark,
    mark_taken,
    progress,
    read_mark,
    taken_inside,
)
from lgs_runtime.worker.missing_nodes import (
    NULL_TASK,
    RESUME,
    asks,
    last_questions,
    missing_nodes,
    refuse_missing,
    refuse_unknown_goto,
)
from lgs_runtime.worker.questions import addressed, answers_by_id, refuse_unknown, without_answered
from lgs_runtime.worker.states import with_handlers

ANSWER_CACHE = "answer_cache"
"""Metadata key of a run, and of its checkpoints, which says that the answer was cached."""
REVISION = "lgs_revision"
"""Metadata key of a run, and of its checkpoints, which says which revision executed it."""


class CheckpointNotFoundError(Exception):
    """A run names a checkpoint that its thread does not have. Nothing of the run was executed."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where an attempt starts. `fresh`: with the run's own input. `resume`: from the run's last checkpoint.
    `done`: nothing is left to run."""

    kind: Literal["fresh", "resume", "done"]
    input: Any
    config: RunnableConfig


async def starting_point(
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    config: RunnableConfig,
    kwargs: RunKwargs,
    run: Run,
) -> Start:
    """Reads the thread and decides where to start. `config` names the thread, without a checkpoint. Raises
    `NodeNotFound` if the run would continue at a node that the graph does not have,
    `CheckpointNotFoundError`, and `UnknownInterruptError`."""
    latest = None if run.untouched else await checkpointer.aget_tuple(latest_of(config))
    if latest is not None and latest.metadata.get("run_id") == run.run_id:
        start = await _after_a_cut(graph, checkpointer, config, kwargs, latest)
        if start is not None:
            return start
        await delete_run_checkpoints(checkpointer, run.thread_id, run.run_id)
    at = _at_checkpoint(config, kwargs)
    await _refuse_missing_checkpoint(checkpointer, at)
    if kwargs.command is None and kwargs.input is not None and not kwargs.protocol:
        return Start("fresh", kwargs.input, at)
    return await _beside_a_checkpoint(graph, checkpointer, at, kwargs, run.run_id)


async def _after_a_cut(
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    config: RunnableConfig,
    kwargs: RunKwargs,
    latest: CheckpointTuple,
) -> Start | None:
    """Where an attempt continues if its run has written the thread's latest checkpoint. None: the run begins
    anew, and must be rolled back before."""
    state = await with_handlers(graph, await graph.aget_state(config))
    if ANSWER_CACHE not in latest.metadata:
        await refuse_missing(graph, checkpointer, latest, state, _graph_id(config))
    elif missing_nodes(graph, latest, more=bool(state.tasks)):
        return None
    # Checks `tasks` instead of `next`, which leaves out a task whose writes are stored, although the
    # checkpoint that applies them, and all steps after it, may be missing.
    if not state.tasks or await _waits(graph, state, kwargs):
        return Start("done", None, config)
    return None if ANSWER_CACHE in latest.metadata else Start("resume", None, config)


async def _beside_a_checkpoint(
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    at: RunnableConfig,
    kwargs: RunKwargs,
    run_id: str,
) -> Start:
    """Where a run without plain new input starts: with its command, its answer, or the remaining tasks."""
    found, command = await checkpointer.aget_tuple(latest_of(at, with_id=True)), kwargs.command
    if command is not None:
        refuse_unknown_goto(graph, command, found, _graph_id(at))
        if found is None:
            if kwargs.strict_resume:
                refuse_unknown(command, ())
            return Start("fresh", as_command(command), at)
    elif found is None or (kwargs.input is not None and not asks(found)):
        return Start("fresh", kwargs.input, at)
    elif kwargs.input is not None:
        command = {"resume": kwargs.input}
    state = await with_handlers(graph, await graph.aget_state(at))
    await refuse_missing(graph, checkpointer, found, state, _graph_id(at))
    start = Start("fresh", None, at)
    if command is None:
        await _forget_answer(checkpointer, found)
        return start
    return await _start_command(
        graph,
        checkpointer,
        start,
        command,
        run_id,
        found=found,
        state=state,
        strict=kwargs.strict_resume,
    )


async def _refuse_missing_checkpoint(checkpointer: BaseCheckpointSaver[Any], at: RunnableConfig) -> None:
    """Raises `CheckpointNotFoundError` for a checkpoint that does not exist: the graph would begin anew from
    it, and hide the thread's state."""
    named = at["configurable"].get("checkpoint_id")
    if named is None:
        return
    namespace = namespace_of(at)
    place = checkpoint_config(at["configurable"]["thread_id"], namespace, named)
    if await checkpointer.aget_tuple(place) is None:
        inside = f" of subgraph {namespace!r}" if namespace else ""
        raise CheckpointNotFoundError(
            f"checkpoint {named}{inside} not found: the run must name one of the thread's history, or none"
        )


def _graph_id(config: RunnableConfig) -> str:
    return str(config["metadata"]["graph_id"])


async def _start_command(
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    start: Start,
    command: Mapping[str, Any],
    run_id: str,
    *,
    found: CheckpointTuple,
    state: StateSnapshot,
    strict: bool,
) -> Start:
    """Where a run with a command starts. `found`, `state`: the checkpoint that the command is given to, and
    the graph's state there."""
    mark = read_mark(found, run_id)
    answered: set[str] = set()
    by_id = bool(mark.given) if mark is not None else answers_by_id(command.get("resume"))
    if NUMBERED and by_id and asks_inside(state, found):
        # LangGraph would give an answer by the id of a task's first question to its next question too.
        answered = await answered_inside(checkpointer, await graph.aget_state(start.config, subgraphs=True))
    if mark is not None and (
        mark.taken or answered.intersection(mark.given) or progress(found) != mark.before
    ):
        return await _after_a_command(
            checkpointer, start, command, run_id, mark=mark, found=found, state=state, answered=answered
        )
    if mark is None and strict:
        refuse_unknown(command, asked_in(state))
    if mark is None and "checkpoint_id" not in start.config["configurable"]:
        answered |= answered_beside(found)
        command = without_answered(command, [name for name in asked_in(state) if name not in answered])
    if mark is not None and mark.given:
        command = {**command, "resume": _answers(command, mark.given)}
    else:
        command = await addressed(command, graph, checkpointer, start.config, found=found, state=state)
    if mark is None:
        found = await _forget_answer(checkpointer, found)
        resume: Any = command.get("resume")
        given = list(resume) if answers_by_id(resume) else []
        inside = Inside()
        if resume is not None and not given and any(task.state for task in state.tasks):
            inside = await inside_of(checkpointer, await graph.aget_state(start.config, subgraphs=True))
        await leave_mark(checkpointer, found, run_id, Mark(progress(found), given, inside))
    return Start("fresh", as_command(command), start.config)


async def _after_a_command(
    checkpointer: BaseCheckpointSaver[Any],
    start: Start,
    command: Mapping[str, Any],
    run_id: str,
    *,
    mark: Mark,
    found: CheckpointTuple,
    state: StateSnapshot,
    answered: set[str],
) -> Start:
    """Where an attempt continues if the command of its run was stored already: with the answers by id that no
    task has taken, else without input. If only questions are left now, they are later ones, and nothing is to
    be run, unless no node has taken the answer yet."""
    now, given = progress(found), mark.given
    grown = {name for name, count in now.items() if count != mark.before.get(name)}
    waiting = {one.id for name, asked in last_questions(found).items() if name not in grown for one in asked}
    if left := waiting.intersection(given).difference(answered):
        return Start("fresh", as_command({"resume": _answers(command, left)}), start.config)
    lies_there = not given and command.get("resume") is not None and grown == {NULL_TASK}
    taken = mark.taken or (lies_there and await taken_inside(checkpointer, found, run_id, mark.inside))
    if lies_there and not taken:
        return Start("resume", None, start.config)
    # If a subgraph was interrupted after it took the answer, its question stays until it asks another.
    cut_inside = taken and list(asked_in(state)) == list(mark.inside.asked)
    cut_inside = cut_inside or not answered.isdisjoint(asked_in(state))
    if _all_interrupted(state) and not cut_inside:
        return Start("done", None, start.config)
    if taken:
        await mark_taken(checkpointer, found, run_id)
    await _forget_answer(checkpointer, found)
    return Start("resume", None, start.config)


def _answers(command: Mapping[str, Any], ids: Collection[str]) -> Mapping[str, Any]:
    """A command's answers under the ids by which the first attempt gave them."""
    resume = command["resume"]
    return {name: resume.get(name) if answers_by_id(resume) else resume for name in ids}


async def _forget_answer(checkpointer: BaseCheckpointSaver[Any], found: CheckpointTuple) -> CheckpointTuple:
    """Removes an earlier run's answer without an id from a checkpoint, and returns that. LangGraph keeps such
    an answer even after it was taken, and the next task that asks would take it again."""
    writes = found.pending_writes or []
    kept = [write for write in writes if write[:2] != (NULL_TASK, RESUME)]
    if len(kept) == len(writes):
        return found
    # LangGraph treats None as no answer.
    await checkpointer.aput_writes(found.config, [(RESUME, None)], NULL_TASK)
    return found._replace(pending_writes=kept)


def latest_of(config: RunnableConfig, *, with_id: bool = False) -> RunnableConfig:
    """The address of a thread's latest root checkpoint, or, `with_id`, of the one that `config` names."""
    configurable = config["configurable"]
    wanted = configurable.get("checkpoint_id") if with_id else None
    return checkpoint_config(configurable["thread_id"], checkpoint_id=wanted)


def as_command(command: Mapping[str, Any]) -> Command[Any]:
    """LangGraph's `Command` from its JSON form."""
    goto = command.get("goto")
    targets = goto if isinstance(goto, list) else [goto] if goto else []
    update = command.get("update")
    if isinstance(update, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in update):
        update = [(channel, value) for channel, value in update]
    return Command(
        update=update,
        resume=command.get("resume"),
        goto=[Send(to["node"], to.get("input")) if isinstance(to, Mapping) else to for to in targets],
    )


def _at_checkpoint(config: RunnableConfig, kwargs: RunKwargs) -> RunnableConfig:
    wanted = {
        name: value
        for name, value in (kwargs.checkpoint or {}).items()
        if name in ("checkpoint_id", "checkpoint_ns", "checkpoint_map") and value
    }
    return {**config, "configurable": {**config["configurable"], **wanted}}


def _all_interrupted(state: StateSnapshot) -> bool:
    """Whether every remaining task has asked its question already."""
    left = [task for task in state.tasks if task.result is None]
    return bool(left) and all(task.interrupts for task in left)


async def _waits(graph: Graph, state: StateSnapshot, kwargs: RunKwargs) -> bool:
    """Whether the run that wrote this state stopped there to wait for a person, and was not cut short."""
    if _all_interrupted(state):
        return True
    if len(state.next) < len(state.tasks):
        return False  # the step had begun, so nothing stopped it from beginning
    if _names(kwargs.interrupt_before or graph.interrupt_before_nodes, state.next):
        return True
    after = kwargs.interrupt_after or graph.interrupt_after_nodes
    if not after or state.parent_config is None:
        return False
    parent = await graph.aget_state(state.parent_config)
    return _names(after, parent.next)


def _names(wanted: NodeNames, nodes: Sequence[str]) -> bool:
    if not wanted:
        return False
    return wanted == "*" or any(node in wanted for node in nodes)
