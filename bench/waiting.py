"""The graph of `bench.modes`: one node that waits for a model elsewhere, in whichever way it is asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypedDict

from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph

MODEL_SECONDS = 0.1
GIVEN: dict[str, Any] = {"question": "how much"}
RIGHT: dict[str, Any] = {"question": "how much", "answer": "how much: so much"}
"""What a run on `GIVEN` must end with."""


class State(TypedDict, total=False):
    """A question and its answer."""

    question: str
    answer: str


def ask(state: State) -> dict[str, Any]:
    """Blocks its thread meanwhile."""
    time.sleep(MODEL_SECONDS)
    return {"answer": f"{state['question']}: so much"}


async def aask(state: State) -> dict[str, Any]:
    """Lets the event loop go on meanwhile."""
    await asyncio.sleep(MODEL_SECONDS)
    return {"answer": f"{state['question']}: so much"}


builder = StateGraph(State)
builder.add_node("ask", RunnableLambda(ask, afunc=aask))
builder.add_edge(START, "ask")
