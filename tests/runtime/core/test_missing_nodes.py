"""A checkpoint that goes on at nodes that the graph does not have is distinguished from one that the graph
can go on with, however the step is reached."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.worker.missing_nodes import (
    NodeNotFound,
    missing_nodes,
    refuse_missing,
    refuse_unknown_goto,
    waiting_questions,
)

CONFIG: RunnableConfig = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}


class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]


Builder = StateGraph[State, Any, State, State]
Shape = Callable[[str], Builder]


def builder(*names: str) -> Builder:
    """The nodes, each of which says its name; `ask` asks first."""

    def node(name: str) -> Callable[[State], State]:
        return lambda _: {"done": [interrupt("go on?") if name == "ask" else name]}

    made = StateGraph(State)
    for name in names:
        made.add_node(name, node(name))
    return made


def by_an_edge(name: str) -> Builder:
    return builder("a", name).add_edge(START, "a").add_edge("a", name)


def by_a_send(name: str) -> Builder:
    return (
        builder("a", name)
        .add_edge(START, "a")
        .add_conditional_edges("a", lambda _: [Send(name, {}), Send(name, {})], [name])
    )


def by_a_command(name: str) -> Builder:
    made = builder(name)
    made.add_node("a", lambda _: Command(goto=name), destinations=(name,))
    return made.add_edge(START, "a")


def by_a_join(name: str) -> Builder:
    return builder("a", "b", name).add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], name)


def by_a_join_that_waits(name: str) -> Builder:
    made = builder("a", "b", "ask", name).add_edge(START, "a").add_edge(START, "b").add_edge("b", "ask")
    return made.add_edge(["a", "ask"], name)


def after_all_others(name: str) -> Builder:
    made = builder("a", "ask").add_node(name, lambda _: {"done": [name]}, defer=True)
    return made.add_edge(START, "a").add_edge("a", "ask").add_edge("a", name)


def by_a_join_after_all_others(name: str) -> Builder:
    made = builder("a", "b", "ask").add_node(name, lambda _: {"done": [name]}, defer=True)
    made.add_edge(START, "a").add_edge(START, "b").add_edge("a", "ask")
    return made.add_edge(["a", "b"], name)


def beside_one_that_asks(name: str) -> Builder:
    made = builder("a", "ask", name).add_edge(START, "a").add_edge(START, "ask")
    return made.add_edge("a", name)


def by_a_send_beside_one_that_asks(name: str) -> Builder:
    made = builder("a", "ask", name).add_edge(START, "a").add_edge(START, "ask")
    return made.add_conditional_edges("a", lambda _: [Send(name, {})], [name])


SHAPES = (
    by_an_edge,
    by_a_send,
    by_a_command,
    by_a_join,
    by_a_join_that_waits,
    after_all_others,
    by_a_join_after_all_others,
    beside_one_that_asks,
    by_a_send_beside_one_that_asks,
)


def stopped(shape: Shape) -> tuple[InMemorySaver, CheckpointTuple]:
    """Where a run stops that is to go on at the node `old`."""
    saver = InMemorySaver()
    shape("old").compile(saver, interrupt_before=["old"]).invoke({"done": []}, CONFIG)
    return saver, latest(saver)


def latest(saver: InMemorySaver) -> CheckpointTuple:
    found = saver.get_tuple(CONFIG)
    assert found is not None
    return found


def with_what_was_left(before: CheckpointTuple, found: CheckpointTuple, graph: Graph) -> CheckpointTuple:
    """As savers give it that keep values by their versions: that of a channel which the graph does not know
    stays."""
    old, values = before.checkpoint["channel_values"], found.checkpoint["channel_values"]
    found.checkpoint["channel_values"] = {n: v for n, v in old.items() if n not in graph.channels} | values
    return found


def missing(graph: Graph, found: CheckpointTuple) -> list[str]:
    graph.checkpointer = saver = InMemorySaver()
    config = saver.put(CONFIG, found.checkpoint, found.metadata, found.checkpoint["channel_versions"])
    more = bool(graph.get_state(config).tasks)
    return [name.rpartition(":")[2] for name in missing_nodes(graph, found, more=more)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_node_that_is_next_and_was_renamed_is_missing(shape: Shape) -> None:
    _, found = stopped(shape)

    assert missing(shape("new").compile(), found) == ["old"]


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_missing_from_the_graph_that_has_written_the_checkpoint(shape: Shape) -> None:
    _, found = stopped(shape)

    assert missing(shape("old").compile(), found) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_a_node_that_has_run_may_be_renamed(shape: Shape) -> None:
    saver = InMemorySaver()
    graph = shape("old").compile(saver)
    graph.invoke({"done": []}, CONFIG)
    if graph.get_state(CONFIG).tasks:
        graph.invoke(Command(resume="yes"), CONFIG)

    assert "old" in graph.get_state(CONFIG).values["done"]
    assert missing(shape("new").compile(), latest(saver)) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_what_an_earlier_input_was_to_run_is_not_missed_once_new_input_has_begun(shape: Shape) -> None:
    saver, before = stopped(shape)
    new = shape("new").compile(saver, interrupt_before=["new"])
    new.invoke({"done": []}, CONFIG)

    assert missing(shape("new").compile(), with_what_was_left(before, latest(saver), new)) == []


@pytest.mark.parametrize("shape", [by_an_edge, by_a_send, by_a_command, by_a_join])
def test_what_was_to_run_is_not_missed_once_somebody_has_set_the_state_beyond_it(shape: Shape) -> None:
    saver, before = stopped(shape)
    new = shape("new").compile(saver)
    new.update_state(CONFIG, {"done": ["by hand"]}, as_node="new")

    assert missing(shape("new").compile(), with_what_was_left(before, latest(saver), new)) == []


def test_a_join_that_now_waits_for_others_is_missing_though_its_node_is_there() -> None:
    _, found = stopped(by_a_join)
    now = builder("a", "b", "c", "old").add_edge(START, "a").add_edge(START, "b").add_edge(START, "c")

    graph = now.add_edge(["a", "b", "c"], "old").compile()

    assert missing_nodes(graph, found, more=False) == ["join:a+b:old"]


def test_a_join_that_can_not_be_completed_any_more_is_not_missed_where_all_has_ended() -> None:
    saver = InMemorySaver()
    made = builder("a", "b", "old").add_edge(START, "a").add_edge(["a", "b"], "old")
    made.compile(saver).invoke({"done": []}, CONFIG)

    assert missing(builder("a").add_edge(START, "a").compile(), latest(saver)) == []


def around(inner: Graph, **options: Any) -> Graph:
    made = StateGraph(State)
    made.add_node("inner", inner)
    return made.add_edge(START, "inner").compile(**options)


@pytest.mark.parametrize("kept", [None, True], ids=["anew", "kept"])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("shape", [by_an_edge, by_a_send, by_a_join])
async def test_a_node_of_a_subgraph_that_was_renamed_is_refused(
    shape: Shape, depth: int, kept: bool | None
) -> None:
    saver = InMemorySaver()

    def nested(name: str) -> Graph:
        graph: Graph = shape(name).compile(kept, interrupt_before=[name])
        for _ in range(depth - 1):
            graph = around(graph)
        return around(graph, checkpointer=saver)

    old, new = nested("old"), nested("new")
    await old.ainvoke({"done": []}, CONFIG)

    await refuse_missing(old, saver, latest(saver), await old.aget_state(CONFIG), "g")
    where = "'old'.* of its subgraph '" + r"\|".join(["inner"] * depth)
    with pytest.raises(NodeNotFound, match=where):
        await refuse_missing(new, saver, latest(saver), await new.aget_state(CONFIG), "g")


async def test_each_call_of_a_subgraph_is_looked_at() -> None:
    saver = InMemorySaver()

    def calls(name: str) -> Graph:
        inner = builder("ask", name).add_conditional_edges(
            START, lambda state: name if state["done"] == ["goes on"] else "ask", ["ask", name]
        )
        made = StateGraph(State).add_node("inner", inner.compile(interrupt_before=[name]))
        calls = [Send("inner", {"done": [said]}) for said in ("goes on", "asks", "asks")]
        return made.add_conditional_edges(START, lambda _: calls, ["inner"]).compile(saver)

    old, new = calls("old"), calls("new")
    await old.ainvoke({"done": []}, CONFIG)

    with pytest.raises(NodeNotFound, match=r"^node 'old' of its subgraph 'inner' of graph 'g' not found"):
        await refuse_missing(new, saver, latest(saver), await new.aget_state(CONFIG), "g")


async def test_the_refusal_names_the_node_the_graph_the_checkpoint_and_what_there_is() -> None:
    saver, found = stopped(by_a_join)
    new = by_a_join("new").compile(saver)

    with pytest.raises(NodeNotFound) as refused:
        await refuse_missing(new, saver, found, await new.aget_state(CONFIG), "orders")

    assert str(refused.value) == (
        f"node 'old' after 'a+b' of graph 'orders' not found: checkpoint {found.checkpoint['id']} goes on "
        "there; the nodes of this revision are: a, b, new. Nothing is lost: code that has the node goes on "
        "from that checkpoint, and new input begins anew"
    )


def test_questions_wait_until_they_are_answered() -> None:
    saver = InMemorySaver()
    builder("ask").add_edge(START, "ask").compile(saver).invoke({"done": []}, CONFIG)
    found = latest(saver)
    ((task_id, (question,)),) = waiting_questions(found).items()
    saver.put_writes(found.config, [("__resume__", ["yes"])], task_id)

    assert question.value == "go on?"
    assert waiting_questions(latest(saver)) == {}


def test_a_command_leads_only_to_nodes_that_there_are() -> None:
    graph = by_an_edge("new").compile()

    for goto in ("new", ["a", {"node": "new", "input": {}}], "__end__", None):
        refuse_unknown_goto(graph, {"goto": goto}, None, "g")
    for goto in ("old", ["a", "old"], [{"node": "old"}]):
        with pytest.raises(
            NodeNotFound, match=r"command.goto: node 'old' of graph 'g' not found; .*: a, new"
        ):
            refuse_unknown_goto(graph, {"goto": goto}, None, "g")
