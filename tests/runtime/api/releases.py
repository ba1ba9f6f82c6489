"""Two releases of the same graphs: in the later one a node has another name."""

from typing import Any

from api_graphs import Steps, _chain, ask, first, second, waits
from langgraph.graph import START, StateGraph


def _named(name: str, node: Any) -> Any:
    def renamed(state: Steps) -> Any:
        return node(state)

    renamed.__name__ = name
    return renamed


def _inside(inner: Any) -> Any:
    return StateGraph(Steps).add_node("inner", inner.compile()).add_edge(START, "inner").compile()


works_1 = _chain(first, waits, second).compile()
works_2 = _chain(first, _named("holds", second), second).compile()
asks_1 = _chain(first, ask, second).compile()
asks_2 = _chain(first, _named("inquire", ask), second).compile()
asks_inside_1 = _inside(_chain(first, ask, second))
asks_inside_2 = _inside(_chain(first, _named("inquire", ask), second))
