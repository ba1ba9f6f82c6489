"""Graphs whose question stands inside of another graph: one that keeps its state while it asks, one that
keeps it from one call to the next, and one that keeps none, each as a node or called by one; and tasks of the
functional API.
"""

import asyncio
import operator
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Said(TypedDict, total=False):
    """What was said, in its order."""

    said: Annotated[list[Any], operator.add]


def begin(state: Said) -> Said:
    return {"said": ["begun"]}


def ask(state: Said) -> Said:
    return {"said": [{"answer": interrupt("which?")}]}


def _inner(**options: Any) -> Any:
    builder = StateGraph(Said).add_node(begin).add_node(ask)
    return builder.add_edge(START, "begin").add_edge("begin", "ask").compile(**options)


def _around(node: Any) -> Any:
    return StateGraph(Said).add_node("inner", node).add_edge(START, "inner").compile()


_UNSEEN = {"keeps": _inner(), "keeps none": _inner(checkpointer=False)}
"""Graphs that LangGraph does not find where a node calls them."""


async def _call(which: str, config: RunnableConfig) -> Said:
    answered: Any = await _UNSEEN[which].ainvoke({}, config)
    return {"said": answered["said"]}


async def call_one(state: Said, config: RunnableConfig) -> Said:
    return await _call("keeps", config)


async def call_one_without_state(state: Said, config: RunnableConfig) -> Said:
    return await _call("keeps none", config)


@task
def ask_twice() -> list[Any]:
    return [{"answer": interrupt("which?")}, {"answer": interrupt("and then?")}]


@entrypoint()
async def asked_by_a_task(given: Said) -> Said:
    return {"said": await ask_twice()}


keeps = _around(_inner())
keeps_always = _around(_inner(checkpointer=True))
keeps_none = _around(_inner(checkpointer=False))
two_deep = _around(keeps)
called = _around(call_one)
called_keeps_none = _around(call_one_without_state)
GRAPHS = (
    "keeps",
    "keeps_always",
    "keeps_none",
    "two_deep",
    "called",
    "called_keeps_none",
    "asked_by_a_task",
)

HELD = "held"
held: dict[str, asyncio.Event] = {}
"""By thread: that an answer `HELD` was taken, whose task never ends by itself."""


@task
async def ask_and_hold(thread_id: str) -> Any:
    answer = interrupt("which?")
    if answer == HELD:
        held.setdefault(thread_id, asyncio.Event()).set()
        await asyncio.Event().wait()
    return {"answer": answer}


async def call_one_that_holds(state: Said, config: RunnableConfig) -> Said:
    return {"said": [await ask_and_hold(config["configurable"]["thread_id"])]}


held_in_a_task = _around(call_one_that_holds)


async def hold_and_fail(state: Said, config: RunnableConfig) -> Said:
    """Its cleanup fails when it is cancelled."""
    answer = interrupt("which?")
    if answer == HELD:
        held.setdefault(config["configurable"]["thread_id"], asyncio.Event()).set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("closed")
    return {"said": [{"answer": answer}]}


held_by_a_node_that_fails = _around(hold_and_fail)
