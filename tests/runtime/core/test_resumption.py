"""Where an attempt starts whose run was cut after LangGraph had stored its answer, before a node took it."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import task as task_of
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.worker.missing_nodes import INTERRUPT, NULL_TASK, RESUME
from lgs_runtime.worker.resumption import Start, starting_point
from lgs_runtime.worker.states import with_handlers

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


holding = asyncio.Event()


async def hold(state: Said) -> Said:
    """Where a run is cut."""
    if holding.is_set():
        return {}
    holding.set()
    await asyncio.Event().wait()
    raise AssertionError("it is cut before")


async def cut(graph: Any, begun: Start, run_id: str) -> None:
    """Runs it until it holds, and cuts it there."""
    holding.clear()
    config: Any = {**begun.config, "metadata": {**CONFIG["metadata"], "run_id": run_id}}
    running = asyncio.ensure_future(graph.ainvoke(begun.input, config))
    await holding.wait()
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("options", [{}, {"checkpointer": True}], ids=["keeps", "keeps always"])
async def test_an_answer_that_a_node_of_a_subgraph_took_before_a_cut_is_given_to_no_later_one(
    depth: int, options: Any
) -> None:
    saver = InMemorySaver()
    graph: Any = StateGraph(Said).add_sequence([begin, ask, hold, ask_once_more]).add_edge(START, "begin")
    graph = graph.compile(**options)
    for level in range(depth):
        around = StateGraph(Said).add_node("inner", graph).add_edge(START, "inner")
        graph = around.compile(saver if level == depth - 1 else None)
    await graph.ainvoke({}, CONFIG)
    state = await graph.aget_state(CONFIG, subgraphs=True)
    for _ in range(depth):
        state = state.tasks[0].state
    await graph.aupdate_state(state.config, {"said": ["by hand"]}, as_node="begin")

    begun = await start(graph, saver, {"resume": "blue"}, "r1")
    await cut(graph, begun, "r1")
    again = await start(graph, saver, {"resume": "blue"}, "r1")
    await graph.ainvoke(again.input, again.config)

    assert again.kind == "resume"
    state = await graph.aget_state(CONFIG)
    assert [question.value for question in state.interrupts] == ["and then?"]
    assert (await start(graph, saver, {"resume": "blue"}, "r1")).kind == "done"
    begun = await start(graph, saver, {"resume": "red"}, "r2")
    assert (await graph.ainvoke(begun.input, begun.config))["said"] == ["begun", "by hand", "blue", "red"]


async def ask_thrice(state: Said) -> Said:
    return {"said": [interrupt("which?"), interrupt("and then?"), interrupt("and at last?")]}


async def fail(state: Said) -> Said:
    raise ValueError("not today")


ASKING = StateGraph(Said).add_node(ask_thrice).add_edge(START, "ask_thrice").compile()


def after(calls: int, **options: Any) -> Any:
    """A node that calls another graph so many times before it calls the one that asks."""
    first: Any = StateGraph(Said).add_node(begin).add_edge(START, "begin").compile(**options)

    async def call(state: Said, config: RunnableConfig) -> Said:
        for _ in range(calls):
            await first.ainvoke({}, config)
        asked: Any = await ASKING.ainvoke({}, config)
        return {"said": asked["said"]}

    return call


def failing(saver: InMemorySaver) -> Any:
    return StateGraph(Said).add_node(fail, error_handler=ask_thrice).add_edge(START, "fail").compile(saver)


def around(node: Any, saver: InMemorySaver) -> Any:
    return StateGraph(Said).add_node("inner", node).add_edge(START, "inner").compile(saver)


SHAPES: Mapping[str, Any] = {
    "a node": lambda saver: around(ask_thrice, saver),
    "a subgraph's node": lambda saver: around(ASKING, saver),
    "two deep": lambda saver: around(around(ASKING, None), saver),  # type: ignore[arg-type]
    "the second graph that a node calls": lambda saver: around(after(1), saver),
    "the last of many graphs that a node calls": lambda saver: around(after(101), saver),
    "one that a node calls after some without state": lambda saver: around(
        after(9, checkpointer=False), saver
    ),
    "an error handler": failing,
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_question_of_a_task_is_answered_by_its_id(shape: str) -> None:
    saver = InMemorySaver()
    graph = SHAPES[shape](saver)
    await graph.ainvoke({}, CONFIG)

    for number in range(3):
        begun = await start(graph, saver, {"resume": number}, f"r{number}")
        assert list(begun.input.resume.values()) == [number]
        await graph.ainvoke(begun.input, begun.config)

    assert (await graph.aget_state(CONFIG)).values["said"] == [0, 1, 2]


class CutInside(InMemorySaver):
    """Stores nothing more once a subgraph has stored its next question, where it is to be cut."""

    cut: bool | None = False
    """None: as soon as that is."""

    async def aput_writes(self, config: Any, writes: Any, *task: str) -> None:
        if self.cut:
            return
        await super().aput_writes(config, writes, *task)
        asks = any(channel == INTERRUPT for channel, _ in writes)
        if self.cut is None and asks and config["configurable"].get("checkpoint_ns"):
            self.cut = True


INSIDE = (
    "a subgraph's node",
    "two deep",
    "the second graph that a node calls",
    "the last of many graphs that a node calls",
)


@pytest.mark.parametrize("other", [False, True], ids=["its next attempt", "another run"])
@pytest.mark.parametrize("shape", INSIDE)
async def test_an_answer_by_id_that_a_subgraph_took_before_a_cut_goes_to_no_later_question(
    shape: str, *, other: bool
) -> None:
    saver = CutInside()
    graph = SHAPES[shape](saver)
    [question] = (await graph.ainvoke({}, CONFIG))["__interrupt__"]
    answers = {"resume": {question.id: 0}}
    saver.cut = None
    begun = await start(graph, saver, answers, "r")
    await graph.ainvoke(begun.input, begun.config)

    saver.cut = False
    for _ in range(2):
        again = await start(graph, saver, answers, "r2" if other else "r")
        assert (again.kind, again.input is None) == (("fresh", False) if other else ("resume", True))
    await graph.ainvoke(again.input, again.config)

    state = await graph.aget_state(CONFIG)
    assert [question.value for question in state.interrupts] == ["and then?"]
    begun = await start(graph, saver, {"resume": {state.interrupts[0].id: 1}}, "r3")
    await graph.ainvoke(begun.input, begun.config)
    assert [one.value for one in (await graph.aget_state(CONFIG)).interrupts] == ["and at last?"]


@task_of
async def ask_and_hold() -> list[Any]:
    first = interrupt("which?")
    await hold({})
    return [first, interrupt("and then?")]


async def of_a_task(state: Said) -> Said:
    return {"said": await ask_and_hold()}


async def test_an_answer_by_id_that_a_task_took_before_a_cut_goes_to_no_later_question_of_another_run() -> (
    None
):
    saver = InMemorySaver()
    graph = around(of_a_task, saver)
    [question] = (await graph.ainvoke({}, CONFIG))["__interrupt__"]
    answers = {"resume": {question.id: "blue"}}
    await cut(graph, await start(graph, saver, answers, "r1"), "r1")

    begun = await start(graph, saver, answers, "r2")
    asked = await graph.ainvoke(begun.input, begun.config)

    [second] = asked["__interrupt__"]
    assert second.value == "and then?"
    begun = await start(graph, saver, {"resume": {second.id: "red"}}, "r3")
    assert (await graph.ainvoke(begun.input, begun.config))["said"] == ["blue", "red"]


async def ask_and_fail(state: Said) -> Said:
    raise ValueError(interrupt("may it fail?"))


async def test_a_node_that_failed_after_it_was_answered_asks_by_its_handler_alone() -> None:
    saver = InMemorySaver()
    builder = StateGraph(Said).add_node(ask_and_fail, error_handler=ask_once_more).add_node(ask_thrice)
    graph: Any = builder.add_edge(START, "ask_and_fail").add_edge(START, "ask_thrice").compile(saver)
    await graph.ainvoke({}, CONFIG)

    async def answer(question: str, *, left: set[str]) -> None:
        state = await with_handlers(graph, await graph.aget_state(CONFIG))
        ids = {each.value: each.id for each in state.interrupts}
        begun = await start(graph, saver, {"resume": {ids[question]: question}}, ids[question])
        await graph.ainvoke(begun.input, begun.config)
        state = await with_handlers(graph, await graph.aget_state(CONFIG))
        assert {each.value for each in state.interrupts} == left
        assert {each.value for task in state.tasks for each in task.interrupts} == left

    await answer("may it fail?", left={"and then?", "which?"})
    await answer("and then?", left={"which?"})
    for question, after in (("which?", "and then?"), ("and then?", "and at last?")):
        await answer(question, left={after})
    await answer("and at last?", left=set())
    assert sorted((await graph.aget_state(CONFIG)).values["said"]) == [
        "and at last?",
        "and then?",
        "and then?",
        "which?",
    ]


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_that_is_given_twice_goes_to_no_later_question(shape: str) -> None:
    saver = InMemorySaver()
    graph = SHAPES[shape](saver)
    waiting = (await graph.ainvoke({}, CONFIG))["__interrupt__"]

    for number in range(2):
        begun = await start(graph, saver, {"resume": {waiting[0].id: "once"}}, f"r{number}")
        again = await graph.ainvoke(begun.input, begun.config)

    assert [question.value for question in again["__interrupt__"]] == ["and then?"]


async def late(state: Said) -> Said:
    """Asks in the end."""
    if not holding.is_set():
        await asyncio.Event().wait()
    return {"said": [interrupt("mine?")]}


async def test_the_answer_to_a_second_question_goes_to_no_task_beside_it_that_was_cut() -> None:
    saver = InMemorySaver()
    builder = StateGraph(Said).add_node("a", late).add_node("b", ask_thrice)
    graph: Any = builder.add_edge(START, "a").add_edge(START, "b").compile(saver)
    holding.clear()
    for number, asked in enumerate(("which?", "and then?")):
        begun = await start(graph, saver, {"resume": 0} if number else None, f"r{number}")
        running = asyncio.ensure_future(graph.ainvoke(begun.input if number else {}, CONFIG))
        while [question.value for question in (await graph.aget_state(CONFIG)).interrupts] != [asked]:
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})

    holding.set()
    begun = await start(graph, saver, {"resume": 1}, "r2")
    await graph.ainvoke(begun.input, begun.config)

    state = await graph.aget_state(CONFIG)
    assert {question.value for question in state.interrupts} == {"and at last?", "mine?"}


async def test_an_answer_that_a_task_ended_with_is_given_to_no_task_beside_it_after_a_cut(
    tmp_path: Path,
) -> None:
    async with open_checkpointer(f"sqlite:///{tmp_path}/lgs.db") as saver:
        builder = StateGraph(Said).add_node(ask_thrice).add_node(late)
        graph: Any = builder.add_edge(START, "ask_thrice").add_edge(START, "late").compile(saver)
        holding.clear()
        for number in range(4):
            begun = await start(graph, saver, {"resume": number} if number else None, f"r{number}")
            running = asyncio.ensure_future(graph.ainvoke(begun.input if number else {}, CONFIG))
            while not await arrived(graph, number):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running})

        holding.set()
        again = await start(graph, saver, {"resume": 3}, "r3")
        await graph.ainvoke(again.input, again.config)

        state = await graph.aget_state(CONFIG)
        assert [question.value for question in state.interrupts] == ["mine?"]
        begun = await start(graph, saver, {"resume": "at last"}, "r4")
        said = (await graph.ainvoke(begun.input, begun.config))["said"]
        assert said == [1, 2, 3, "at last"]


async def arrived(graph: Any, answers: int) -> bool:
    """Whether the node that asks three times has taken so many answers, and stored that."""
    for task in (await graph.aget_state(CONFIG)).tasks:
        if task.name == "ask_thrice":
            asked = [question.value for question in task.interrupts]
            return task.result is not None or asked == ["which?", "and then?", "and at last?"][answers:][:1]
    return False
