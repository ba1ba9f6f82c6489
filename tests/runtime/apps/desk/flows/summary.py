"""A graph that langgraph.json names by a dotted path; it imports by a name relative to its package."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from .words import shorten


class State(TypedDict):
    """A text and its summary."""

    text: str
    summary: str


def summarise(state: State) -> dict[str, str]:
    """Shortens it."""
    return {"summary": shorten(state["text"])}


graph = (
    StateGraph(State).add_node(summarise).add_edge(START, "summarise").add_edge("summarise", END).compile()
)
