"""Where an attempt starts whose run was cut after LangGraph had stored its answer, before a node took it."""

from __future__ import annotations

import operator
from types import SimpleNamespace
from typing import Annotated, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.worker.missing_nodes import NULL_TASK, RESUME
from lgs_runtime.worker.resumption import starting_point


class Said(TypedDict, total=False):
    """What was said."""

    said: Annotated[list[Any], operator.add]


def ask(state: Said) -> Said:
    return {"said": [interrupt("which?")]}


async def test_an_answer_that_was_stored_and_that_no_node_took_is_taken_by_the_next_attempt() -> None:
    inner = StateGraph(Said).add_node(ask).add_edge(START, "ask").compile(checkpointer=False)
    saver = InMemorySaver()
    graph: Any = StateGraph(Said).add_node("inner", inner).add_edge(START, "inner").compile(saver)
    config: Any = {"configurable": {"thread_id": "t"}, "metadata": {"graph_id": "g"}}
    await graph.ainvoke({}, config)
    run: Any = SimpleNamespace(run_id="r", thread_id="t", untouched=False)
    kwargs = RunKwargs(input=None, command={"resume": "blue"})

    first = await starting_point(graph, saver, config, kwargs, run)
    found = await saver.aget_tuple(config)
    assert found is not None
    await saver.aput_writes(found.config, [(RESUME, first.input.resume)], NULL_TASK)
    second = await starting_point(graph, saver, config, kwargs, run)

    assert (first.kind, second.kind) == ("fresh", "resume")
    assert (await graph.ainvoke(second.input, config))["said"] == ["blue"]
