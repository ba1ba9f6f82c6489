"""What waits at a checkpoint is asked again at a copy of it, however often its node has asked before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.threads.transplant import Transplant

QUESTIONS = 70


class Said(TypedDict, total=False):
    """What was answered."""

    said: list[Any]


async def ask(state: Said) -> Said:
    return {"said": [interrupt(f"question {number}") for number in range(QUESTIONS)]}


async def test_the_last_question_of_a_node_that_asked_many_is_asked_again_at_a_copy() -> None:
    saver = InMemorySaver()
    graph: Any = StateGraph(Said).add_node(ask).add_edge(START, "ask").compile(saver)
    at: Any = checkpoint_config("t")
    await graph.ainvoke({}, at)
    for number in range(QUESTIONS - 1):
        await graph.ainvoke(Command(resume=number), at)
    source = await saver.aget_tuple(at)
    assert source is not None
    [task] = (await graph.aget_state(at)).tasks
    asked = {task.id: [{"id": one.id, "value": one.value} for one in task.interrupts]}

    copy = await saver.aput(at, {**source.checkpoint, "id": str(uuid6())}, source.metadata, {})
    moment = datetime.fromisoformat(source.checkpoint["ts"])
    again = await Transplant(graph, saver, asked, moment, {}).waiting(source, copy)

    [question] = again.values()
    assert (await graph.aget_state(copy)).interrupts == (question,)
    assert question.value == f"question {QUESTIONS - 1}"
    assert (await graph.ainvoke(Command(resume={question.id: "last"}), copy))["said"] == [
        *range(QUESTIONS - 1),
        "last",
    ]
