"""The graph of `make load`: it fetches something, then answers in pieces, as slow as a remote model.

How long an answer takes and in how many pieces is part of the question, so that the load generator can
separate the model's time from the server's. Questions that come back are found in the cache.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from bench.conversations import answer_of
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy

LOOK_UP_SECONDS = 0.02
PIECE = (
    "about twenty tokens, in the same number of words, which a model gives at once, and then the next ones; "
)


class State(TypedDict, total=False):
    """A conversation: what is asked now, and all answers so far."""

    question: str
    pieces: int
    seconds: float
    found: str
    answers: Annotated[list[str], operator.add]


async def look_up(state: State) -> dict[str, Any]:
    """What a tool finds."""
    await asyncio.sleep(LOOK_UP_SECONDS)
    return {"found": f"what there is about {state['question']}"}


async def answer(state: State) -> dict[str, Any]:
    """The answer, which names its place in the conversation. Its pieces are due at equal times: one that the
    server keeps waiting is late, the next is not."""
    write = get_stream_writer()
    clock = asyncio.get_running_loop().time
    began, pieces = clock(), state["pieces"]
    for number in range(pieces):
        await asyncio.sleep(began + state["seconds"] * (number + 1) / pieces - clock())
        write(PIECE)
    return {"answers": [answer_of(len(state.get("answers", [])), state["question"])]}


def key(state: State) -> str:
    """Lookups of the same question are the same."""
    return state["question"]


builder = StateGraph(State)
builder.add_node("look_up", look_up, cache_policy=CachePolicy(key_func=key, ttl=600))
builder.add_node("answer", answer)
builder.add_edge(START, "look_up")
builder.add_edge("look_up", "answer")
builder.add_edge("answer", END)
