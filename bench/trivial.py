"""The graph that is measured: two nodes that do next to nothing, so that what shows is all the rest."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

GIVEN: dict[str, Any] = {"log": [], "number": 0}
RIGHT: dict[str, Any] = {"log": ["first", "second"], "number": 2}
"""What a run on `GIVEN` must end with."""


class State(TypedDict):
    """A log that grows and a number."""

    log: Annotated[list[str], operator.add]
    number: int


async def first(state: State) -> dict[str, Any]:
    """Says that it was here."""
    return {"log": ["first"], "number": state["number"] + 1}


async def second(state: State) -> dict[str, Any]:
    """So does this one."""
    return {"log": ["second"], "number": state["number"] + 1}


builder = StateGraph(State)
builder.add_node("first", first)
builder.add_node("second", second)
builder.add_edge(START, "first")
builder.add_edge("first", "second")
builder.add_edge("second", END)
