"""Copies the waiting questions of a checkpoint to a copy of it, so that the copy asks the same questions.

LangGraph derives a task's id from its checkpoint's id, and an interrupt's id from its task's. So the tasks of
a copy have new ids: results and questions are written again under those, and the checkpoint of a waiting
subgraph is copied into the namespace of its new task. What the old checkpoint got later (answers, and the
results of those) is left out: `questions` are those that were waiting at that time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Interrupt, PregelTask

from lgs_runtime.checkpoint.configs import checkpoint_config, checkpoint_id_of, namespace_of
from lgs_runtime.errors import Conflict
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.streams.json_encoding import to_json

INTERRUPT: Final = "__interrupt__"
RESUME: Final = "__resume__"
NESTED: Final = "|"
LEAST_ANSWERS: Final = 64
"""How many successive questions of a task are tried at least; more if the task has had more answers."""

Question = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _TaskPair:
    """A task and its counterpart at the copy, with the namespaces inside them."""

    old: PregelTask
    new: PregelTask
    old_ns: str
    new_ns: str


@dataclass(slots=True)
class Transplant:
    """One copy operation. `mark` is added to the metadata of every checkpoint that it makes; `moment` is the
    time whose state is wanted."""

    graph: Graph
    saver: BaseCheckpointSaver[Any]
    questions: Mapping[str, Sequence[Question]]
    """The questions that waited for a person, by task id of the root graph."""
    moment: datetime
    mark: Mapping[str, Any]
    subgraphs: bool = True
    """Whether checkpoints of subgraphs are independent of earlier ones (with a `DeltaChannel` they are
    not)."""
    _parents: dict[str, str] = field(default_factory=dict)

    async def waiting(self, source: CheckpointTuple, copy: RunnableConfig) -> Mapping[str, Interrupt[Any]]:
        """Writes to `copy` what waited at `source`. Returns the copy's questions by the ids that they had at
        the source. Raises `Conflict` if the graph now has other tasks there."""
        old_ns, new_ns = namespace_of(source.config), namespace_of(copy)
        self._parents[new_ns] = checkpoint_id_of(copy)
        before = (await self.graph.aget_state(_address(source.config))).tasks
        after = (await self.graph.aget_state(_address(copy))).tasks
        if [task.name for task in before] != [task.name for task in after]:
            raise Conflict(
                f"checkpoint {source.checkpoint['id']}: its graph has changed: it would go on elsewhere"
            )
        asked: dict[str, Interrupt[Any]] = {}
        for old, new in zip(before, after, strict=True):
            pair = _TaskPair(old, new, _inner(old_ns, old), _inner(new_ns, new))
            asked |= await self._task(source, copy, pair)
        return asked

    async def _task(
        self, source: CheckpointTuple, copy: RunnableConfig, pair: _TaskPair
    ) -> Mapping[str, Interrupt[Any]]:
        old = pair.old
        own = [(channel, value) for task, channel, value in source.pending_writes or () if task == old.id]
        asked, answers = self._own_questions(own, pair)
        if old.state is not None and self.subgraphs:
            asked = {**asked, **await self._inside(pair, copy)}
        if not asked and old.id in self.questions:
            asked = {question["id"]: _interrupt(own, question) for question in self.questions[old.id]}
        if asked:
            kept = [(INTERRUPT, list(asked.values())), *_answered(own, answers)]
        else:
            # If another task waits, this one had ended; if none waits, none had begun.
            kept = own if self.questions else []
        for writes in _together(kept):
            await self.saver.aput_writes(copy, writes, pair.new.id)
        return asked

    def _own_questions(
        self, own: Sequence[tuple[str, Any]], pair: _TaskPair
    ) -> tuple[Mapping[str, Interrupt[Any]], int]:
        """The question of the task itself, by its old id, and how many of its questions were answered
        before."""
        flat = {question["id"]: question for asked in self.questions.values() for question in asked}
        most = max(LEAST_ANSWERS, len(_given(own)) + 1)
        for answers in range(most):
            old_id = _interrupt_id(pair.old_ns, answers)
            if old_id in flat:
                again = _interrupt(own, flat[old_id])
                again.id = _interrupt_id(pair.new_ns, answers)
                return {old_id: again}, answers
        return {}, most

    async def _inside(self, pair: _TaskPair, copy: RunnableConfig) -> Mapping[str, Interrupt[Any]]:
        """Copies the checkpoint that a task's subgraph had at that time. Returns the questions that waited
        there."""
        thread_id = copy["configurable"]["thread_id"]
        found = await self._as_it_was(thread_id, pair.old_ns)
        if found is None:
            return {}
        metadata: Any = {**found.metadata, **self.mark, "parents": dict(self._parents)}
        stored = await self.saver.aput(
            checkpoint_config(thread_id, pair.new_ns),
            found.checkpoint,
            metadata,
            found.checkpoint["channel_versions"],
        )
        return await self.waiting(found, stored)

    async def _as_it_was(self, thread_id: str, namespace: str) -> CheckpointTuple | None:
        """The latest checkpoint of a namespace at `moment`; the first one, if clocks disagree."""
        wanted = checkpoint_config(thread_id, namespace)
        found = None
        # Savers hold a lock, or a connection, until the listing is closed.
        async with aclosing(
            cast("AsyncGenerator[CheckpointTuple, None]", self.saver.alist(wanted))
        ) as history:
            async for entry in history:
                found = entry
                if datetime.fromisoformat(entry.checkpoint["ts"]) <= self.moment:
                    break
        return found


def _given(own: Sequence[tuple[str, Any]]) -> list[Any]:
    """The answers that a task has received."""
    found = [value for channel, value in own if channel == RESUME]
    return [answer for value in found for answer in (value if isinstance(value, list) else [value])]


def _answered(own: Sequence[tuple[str, Any]], answers: int) -> list[tuple[str, Any]]:
    kept = _given(own)[:answers]
    return [(RESUME, kept)] if kept else []


def _together(writes: Sequence[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    """The writes in groups as savers expect them: those that may be replaced apart from those written
    once."""
    groups: defaultdict[bool, list[tuple[str, Any]]] = defaultdict(list)
    for channel, value in writes:
        groups[channel in (INTERRUPT, RESUME)].append((channel, value))
    return list(groups.values())


def _interrupt(own: Sequence[tuple[str, Any]], question: Question) -> Interrupt[Any]:
    """The question as the graph asked it; rebuilt from its JSON if a later question has replaced it."""
    for channel, value in own:
        for asked in value if channel == INTERRUPT and isinstance(value, list | tuple) else ():
            if asked.id == question["id"] and to_json(asked.value) == question["value"]:
                return _asked(asked.value, asked.id, getattr(asked, "response_schema", None))
    return _asked(question["value"], question["id"], question.get("response_schema"))


def _asked(value: Any, interrupt_id: str, schema: Any) -> Interrupt[Any]:
    """A question; older versions of LangGraph have no `response_schema`."""
    return Interrupt(value, interrupt_id, **({} if schema is None else {"response_schema": schema}))


def _interrupt_id(namespace: str, answers: int) -> str:
    """The id that LangGraph gives to the next question of a task with this many answers."""
    return Interrupt.from_ns(None, f"{namespace}{NESTED}{answers}" if answers else namespace).id


def _inner(namespace: str, task: PregelTask) -> str:
    own = f"{task.name}:{task.id}"
    return f"{namespace}{NESTED}{own}" if namespace else own


def _address(config: RunnableConfig) -> RunnableConfig:
    return checkpoint_config(
        config["configurable"]["thread_id"], namespace_of(config), checkpoint_id_of(config)
    )
