"""Graphs of many kinds, whose answers are kept as a cache keeps them: a run that is answered so leaves the
state that the graph left, and goes on from there."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send
from pydantic import BaseModel

from lgs_runtime.cache.value_encoding import Encoding
from lgs_runtime.worker.answer_graph import answer, answer_in, answering_graph, not_cacheable

ENCODING = Encoding(1 << 20)
ASKED = {"messages": [("user", "q")]}


class Model(BaseModel):
    messages: Annotated[list[AnyMessage], add_messages] = []
    score: float | None = None
    tags: set[str] = set()


@dataclass
class Data:
    question: str
    found: Annotated[list[str], operator.add] = field(default_factory=list)


class Parts(TypedDict):
    parts: list[str]
    found: Annotated[list[str], operator.add]


def one_node(state: type[Any], update: Any) -> Any:
    return StateGraph(state).add_node("node", lambda _: update).add_edge(START, "node")


def sends() -> Any:
    builder = StateGraph(Parts).add_node("work", lambda part: {"found": [part["part"] * 2]})
    to = ["work"]
    return builder.add_conditional_edges(
        START, lambda state: [Send("work", {"part": part}) for part in state["parts"]], to
    )


def joins() -> Any:
    builder = StateGraph(Parts)
    for name in "xyz":
        builder.add_node(name, lambda _, name=name: {"found": [name]})
    return builder.add_edge(START, "x").add_edge(START, "y").add_edge(["x", "y"], "z")


def commands() -> Any:
    def first(_: Any) -> Command[Any]:
        return Command(update={"messages": [AIMessage("first")]}, goto="last")

    builder = StateGraph(MessagesState).add_node("first", first, destinations=("last",))
    return builder.add_node("last", lambda _: {"messages": [AIMessage("last")]}).add_edge(START, "first")


def nested() -> Any:
    inside = one_node(MessagesState, {"messages": [AIMessage("inside")]}).compile()
    return StateGraph(MessagesState).add_node("node", inside).add_edge(START, "node")


KINDS: dict[str, tuple[Any, Any]] = {
    "pydantic": (
        one_node(Model, {"messages": [AIMessage("said")], "score": 0.5, "tags": {"a", "b"}}),
        ASKED,
    ),
    "dataclass": (one_node(Data, {"found": ["it"]}), {"question": "q"}),
    "sends": (sends(), {"parts": ["a", "b"]}),
    "joins": (joins(), {"parts": []}),
    "commands": (commands(), ASKED),
    "nested": (nested(), ASKED),
}


def plain(values: Any) -> Any:
    """Without the ids that LangGraph gives to messages of the input."""
    return {
        name: [(each.type, each.content) if hasattr(each, "content") else each for each in value]
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cached_answer_leaves_the_state_that_the_graph_left(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    builder, asked = KINDS[kind]
    graph = builder.compile(InMemorySaver())
    cold, cached = ({"configurable": {"thread_id": name}} for name in ("cold", "cached"))
    assert not_cacheable(graph) is None
    await graph.ainvoke(asked, cold)
    kept = ENCODING.loads(ENCODING.dumps(answer_in(graph, graph.checkpointer.get_tuple(cold).checkpoint)).raw)
    caplog.clear()

    token = answer.set(kept["values"])
    await answering_graph(graph, kept["node"]).ainvoke(asked, cached)
    answer.reset(token)
    states = [await graph.aget_state(config) for config in (cold, cached)]
    turns = [await graph.ainvoke(asked, config) for config in (cold, cached)]

    assert plain(states[1].values) == plain(states[0].values)
    assert states[1].next == ()
    assert plain(turns[1]) == plain(turns[0])
    # What other tests have left is told by asyncio when it is collected.
    assert not [record for record in caplog.records if record.name != "asyncio"]


async def test_a_function_as_a_graph_says_why_its_answers_are_not_kept() -> None:
    @entrypoint(checkpointer=InMemorySaver())
    async def workflow(question: str) -> str:
        return question.upper()

    assert not_cacheable(workflow) == "a Pregel: must be a StateGraph that is compiled"
