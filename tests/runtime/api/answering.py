"""A graph whose answers may be cached: two nodes, a model that speaks in tokens, reducers of three kinds, and
a count of how often it was asked."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import replace
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import DeltaChannel
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

asked: Counter[str] = Counter()
"""How often each question has reached the graph."""


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: Annotated[list[str], operator.add]
    length: Annotated[int, operator.add]
    topic: str


def question_of(state: State) -> str:
    return str(state["messages"][-1].content)


async def classify(state: State) -> dict[str, Any]:
    question = question_of(state)
    asked[question] += 1
    if question.startswith("fail"):
        raise ValueError("no answer to that")
    if question.startswith("which"):
        interrupt("which one?")
    return {"topic": question[:1], "steps": ["classify"], "length": len(question)}


async def reply(state: State) -> dict[str, Any]:
    question = question_of(state)
    who = (get_config()["configurable"].get("langgraph_auth_user") or {"identity": "you"})["identity"]
    said = AIMessage(f"To {who}: {question}, {asked[question]}")
    model = GenericFakeChatModel(messages=iter([said]))
    return {"messages": [await model.ainvoke(state["messages"])], "steps": ["reply"]}


graph = (
    StateGraph(State)
    .add_node(classify)
    .add_node(reply)
    .add_edge(START, "classify")
    .add_edge("classify", "reply")
    .compile()
)
asks_always = graph.copy()
"""The same, whose answers nobody wants to be cached."""


def joined(before: list[str], more: list[list[str]]) -> list[str]:
    return [*before, *(each for part in more for each in part)]


class Summed(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: Annotated[list[str], DeltaChannel(joined)]


async def count(state: Summed) -> dict[str, Any]:
    asked["summed"] += 1
    return {"steps": [str(asked["summed"])]}


summed = StateGraph(Summed).add_node(count).add_edge(START, "count").compile()
"""Its state is in the writes of its steps, which an answer does not have."""


def caching(settings: Settings) -> Settings:
    """A service that caches the answers of two of these graphs."""
    names = ("graph", "asks_always", "summed")
    graphs = {name: GraphSpec(f"api_answering:{name}") for name in names}
    return replace(settings, graphs=graphs, answers={"graph": 60.0, "summed": 60.0})
