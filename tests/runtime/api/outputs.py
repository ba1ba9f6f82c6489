"""Graphs that give out less than they keep, whose state is no object, or that have a name."""

import operator
from typing import Annotated, Any

from api_graphs import entrance, gate
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.graph.message import MessagesState
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Asked(TypedDict):
    """What the graphs take."""

    question: str


class Answered(TypedDict):
    """What the graphs give out."""

    answer: str


class Known(TypedDict, total=False):
    """What the graphs keep."""

    question: str
    answer: str
    notes: Annotated[list[str], operator.add]


def think(state: Known) -> Known:
    get_stream_writer()({"thinking": True})
    return {"notes": ["secret"]}


def speak(state: Known) -> Known:
    return {"answer": "42", "notes": ["spoken"]}


def ask(state: Known) -> Known:
    return {"answer": f"told {interrupt('which?')}", "notes": ["asked"]}


async def wait(state: Known) -> Known:
    entrance(state["question"]).set()
    await gate(state["question"]).wait()
    return {"answer": "waited"}


def fail(state: Known) -> Known:
    raise ValueError("no answer today")


def _private(*nodes: Any) -> Any:
    builder = StateGraph(Known, input_schema=Asked, output_schema=Answered)
    builder.add_sequence(list(nodes)).add_edge(START, nodes[0].__name__)
    return builder.compile()


private = _private(think, speak)
private_asks = _private(think, ask)
private_waits = _private(think, wait)
private_fails = _private(think, fail)


def private_factory(config: RunnableConfig) -> Any:
    return _private(think, speak)


private_inside = StateGraph(Known).add_node("inner", private).add_edge(START, "inner").compile()


class Shy(MessagesState):
    """A conversation with notes that are nobody's business."""

    notes: Annotated[list[str], operator.add]


def reply(state: Shy) -> dict[str, Any]:
    return {"messages": [AIMessage("hello", id="said")], "notes": ["secret"]}


shy = StateGraph(Shy, output_schema=MessagesState).add_node(reply).add_edge(START, "reply").compile()


@task
def double(number: int) -> int:
    return 2 * number


@entrypoint()
async def number(given: int) -> int:
    return await double(given) + 1


@entrypoint()
async def gives_none(given: int) -> None:
    return None


@entrypoint()
async def number_asks(given: int) -> int:
    return given + int(interrupt("how much more?"))


def add(state: list[str]) -> list[str]:
    return ["added"]


listed: Any = StateGraph(Annotated[list[str], operator.add])
listed = listed.add_node(add).add_edge(START, "add").compile()


named = StateGraph(Known).add_node(speak).add_edge(START, "speak").compile(name="Support")
