"""A factory whose graph has another node for each configuration, and a graph whose edge reads it."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict


class Went(TypedDict):
    """Which nodes were gone through."""

    nodes: Annotated[list[str], operator.add]


def by_node(config: RunnableConfig) -> Any:
    """A graph of one node, whose name the configuration says."""
    name = config["configurable"].get("node", "unnamed")
    return StateGraph(Went).add_node(name, lambda state: {"nodes": [name]}).add_edge(START, name)


def _chosen(state: Went, config: RunnableConfig) -> str:
    return str(config["configurable"]["then"])


by_edge = (
    StateGraph(Went)
    .add_node("first", lambda state: {"nodes": ["first"]})
    .add_node("left", lambda state: {"nodes": ["left"]})
    .add_node("right", lambda state: {"nodes": ["right"]})
    .add_edge(START, "first")
    .add_conditional_edges("first", _chosen, ["left", "right"])
    .add_edge("left", END)
    .add_edge("right", END)
)
"""Its edge goes where the configuration says."""


class Refused(Exception):
    """What this application raises."""


def by_model(config: RunnableConfig) -> Any:
    """A factory that takes some models only."""
    model = config["configurable"].get("model", "usual")
    if model.startswith("no"):
        raise Refused(f"there is no model {model}")
    return StateGraph(Went).add_node(model, lambda state: {"nodes": [model]}).add_edge(START, model)


def by_known_model(config: RunnableConfig) -> Any:
    """A factory that makes nothing without a model."""
    return by_model({"configurable": {"model": config["configurable"].get("model", "none")}})


def _no_more(before: list[str], more: list[str]) -> list[str]:
    if "too much" in more:
        raise Refused("the reducer takes no more")
    return before + more


class Kept(TypedDict):
    """What a reducer lets in."""

    nodes: Annotated[list[str], _no_more]


def _nowhere(state: Kept) -> str:
    if "lost" in state["nodes"]:
        raise Refused("the edge leads nowhere")
    return END


by_rule = (
    StateGraph(Kept)
    .add_node("first", lambda state: {"nodes": ["first"]})
    .add_edge(START, "first")
    .add_conditional_edges("first", _nowhere)
)
"""Its reducer and its edge refuse."""
