"""Two graphs in one file."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """A number."""

    n: int


def _graph(name: str, step: int):  # type: ignore[no-untyped-def]
    def add(state: State) -> State:
        return {"n": state["n"] + step}

    return (
        StateGraph(State).add_node("add", add).add_edge(START, "add").add_edge("add", END).compile(name=name)
    )


first = _graph("first", 1)
second = _graph("second", 2)
