"""A graph that keeps a secret in every place where a graph can keep one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

SECRET = "PLAINTEXT"
"""In every value that must not be found at rest."""


def secret(place: str) -> str:
    """A text that says where it was put."""
    return f"{SECRET} of the {place}"


class Told(TypedDict, total=False):
    """What was given and answered: a plain value, one that is none, and one that stays the same."""

    text: str
    notes: dict[str, Any]
    answer: str


@dataclass
class Mood:
    """The context of a run."""

    mood: str = ""


async def note(state: Told, runtime: Runtime[Mood]) -> Told:
    assert runtime.store is not None
    await runtime.store.aput(("notes",), "graph", {"text": secret("store of the graph")})
    kept = await runtime.store.aget(("notes",), "graph")
    get_stream_writer()({"custom": secret("stream")})
    mood = runtime.context and runtime.context.mood
    return {"notes": {"mood": mood, "kept": kept.value["text"] if kept else None}}


def ask(state: Told, runtime: Runtime[Mood]) -> Told:
    assert runtime.store is not None
    runtime.store.put(("notes",), "thread", {"text": secret("store, from a thread")})
    answer = interrupt({"question": secret("question")})
    if answer == "fail":
        raise ValueError(secret("error"))
    return {"answer": answer}


keeps_secrets = (
    StateGraph(Told, context_schema=Mood)
    .add_node(note)
    .add_node(ask)
    .add_edge(START, "note")
    .add_edge("note", "ask")
    .add_edge("ask", END)
    .compile()
)
