"""Where an attempt starts whose run was cut after LangGraph had stored its answer, before a node took it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.worker.missing_nodes import NULL_TASK, RESUME
from lgs_runtime.worker.resumption import Start, starting_point

CONFIG: Any = {"configurable": {"thread_id": "t"}, "metadata": {"graph_id": "g"}}


class Said(TypedDict, total=False):
    """What was said."""

    said: Annotated[list[Any], operator.add]


def ask(state: Said) -> Said:
    return {"said": [interrupt("which?")]}


async def ask_once_more(state: Said) -> Said:
    return {"said": [interrupt("and then?")]}


async def ask_at_last(state: Said) -> Said:
    return {"said": [interrupt("and at last?")]}


async def begin(state: Said) -> Said:
    return {"said": ["begun"]}


async def start(graph: Any, saver: InMemorySaver, command: Mapping[str, Any] | None, run_id: str) -> Start:
    run: Any = SimpleNamespace(run_id=run_id, thread_id="t", untouched=False)
    return await starting_point(graph, saver, CONFIG, RunKwargs(input=None, command=command), run)


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


async def test_an_answer_to_whoever_asks_is_taken_by_no_later_question() -> None:
    asking = StateGraph(Said).add_sequence([begin, ask, ask_once_more, ask_at_last]).add_edge(START, "begin")
    saver = InMemorySaver()
    graph: Any = StateGraph(Said).add_node("inner", asking.compile()).add_edge(START, "inner").compile(saver)
    await graph.ainvoke({}, CONFIG)
    [inner] = (await graph.aget_state(CONFIG, subgraphs=True)).tasks
    await graph.aupdate_state(inner.state.config, {"said": ["by hand"]}, as_node="begin")

    for number in range(2):
        begun = await start(graph, saver, {"resume": number}, f"r{number}")
        await graph.ainvoke(begun.input, begun.config)

    state = await graph.aget_state(CONFIG)
    assert [question.value for question in state.interrupts] == ["and at last?"]
    begun = await start(graph, saver, None, "without an answer")
    await graph.ainvoke(begun.input, begun.config)
    state = await graph.aget_state(CONFIG)
    assert [question.value for question in state.interrupts] == ["and at last?"]
    begun = await start(graph, saver, {"resume": 2}, "r2")
    assert (await graph.ainvoke(begun.input, begun.config))["said"] == ["begun", "by hand", 0, 1, 2]


async def test_an_answer_beside_an_update_is_given_by_the_next_attempt_which_does_not_update_again() -> None:
    saver = InMemorySaver()
    graph: Any = StateGraph(Said).add_node(ask).add_edge(START, "ask").compile(saver)
    await graph.ainvoke({}, CONFIG)
    command = {"resume": "blue", "update": {"said": ["updated"]}}
    await start(graph, saver, command, "r")
    found = await saver.aget_tuple(CONFIG)
    assert found is not None
    await saver.aput_writes(found.config, [("said", ["updated"])], NULL_TASK)

    second = await start(graph, saver, command, "r")

    assert (await graph.ainvoke(second.input, CONFIG))["said"] == ["updated", "blue"]


async def test_of_several_answers_the_next_attempt_gives_those_that_no_task_has_taken() -> None:
    builder = StateGraph(Said).add_node(ask).add_node(ask_once_more)
    saver = InMemorySaver()
    graph: Any = builder.add_edge(START, "ask").add_edge(START, "ask_once_more").compile(saver)
    await graph.ainvoke({}, CONFIG)
    state = await graph.aget_state(CONFIG)
    ids = {task.name: task.interrupts[0].id for task in state.tasks}
    command = {"resume": {ids["ask"]: "blue", ids["ask_once_more"]: "red"}}
    await start(graph, saver, command, "r")
    found = await saver.aget_tuple(CONFIG)
    assert found is not None
    [taker] = (task for task in state.tasks if task.name == "ask")
    await saver.aput_writes(found.config, [("said", ["blue"]), (RESUME, ["blue"])], taker.id)

    second = await start(graph, saver, command, "r")

    assert second.input.resume == {ids["ask_once_more"]: "red"}
    assert (await graph.ainvoke(second.input, CONFIG))["said"] == ["blue", "red"]
