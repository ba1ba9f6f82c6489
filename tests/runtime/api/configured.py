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
