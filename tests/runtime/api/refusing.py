"""Graphs whose state refuses what a node gives it, and one whose error handler asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from langgraph._internal._typing import MISSING
from langgraph.channels.last_value import LastValue
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from langgraph_sdk.runtime import ServerRuntime
from typing_extensions import TypedDict


class Panic(BaseException):
    """As that of an extension written in Rust: no `Exception`."""


AWAY = {
    "cancel": asyncio.CancelledError("nobody has asked for it"),
    "close": GeneratorExit("nobody closes it"),
    "panic": Panic("index out of bounds"),
    "panics": BaseExceptionGroup("of a group of tasks", [Panic("index out of bounds")]),
}


def without_poison(left: list[str], right: list[str]) -> list[str]:
    for way in AWAY.keys() & set(right):
        raise AWAY[way]
    if "poison" in right:
        raise ValueError("no poison here")
    return [*(left or []), *(right or [])]


class Kept(TypedDict, total=False):
    """A channel that takes one value a step, and one whose reducer refuses some."""

    one: int
    many: Annotated[list[str], without_poison]


def first(state: Kept) -> Kept:
    return {"one": 1}


def second(state: Kept) -> Kept:
    return {"one": 2}


def poison(state: Kept) -> Kept:
    return {"many": ["poison"]}


def cancel(state: Kept) -> Kept:
    return {"many": ["cancel"]}


def close(state: Kept) -> Kept:
    return {"many": ["close"]}


def panic(state: Kept) -> Kept:
    return {"many": ["panic"]}


def panics(state: Kept) -> Kept:
    return {"many": ["panics"]}


def _of(*nodes: Any) -> Any:
    builder = StateGraph(Kept)
    for node in nodes:
        builder.add_node(node).add_edge(START, node.__name__)
    return builder.compile()


twice = _of(first, second)
refused = _of(poison)
cancelled = _of(cancel)
closed = _of(close)
panicked = _of(panic)
panicked_together = _of(panics)
refused_inside = StateGraph(Kept).add_node("inner", refused).add_edge(START, "inner").compile()


async def fails(state: Kept) -> Kept:
    raise ValueError("not today")


async def handles(state: Kept) -> Kept:
    return {"many": [interrupt("what now?")]}


async def handles_twice(state: Kept) -> Kept:
    return {"many": [interrupt("what now?"), interrupt("and then?")]}


handler_asks_twice = (
    StateGraph(Kept).add_node(fails, error_handler=handles_twice).add_edge(START, "fails").compile()
)


async def fails_beside(state: Kept) -> Kept:
    raise ValueError("neither")


async def handles_beside(state: Kept) -> Kept:
    return {"many": [interrupt("and this?")]}


handlers_ask = (
    StateGraph(Kept)
    .add_node(fails, error_handler=handles_twice)
    .add_node(fails_beside, error_handler=handles_beside)
    .add_edge(START, "fails")
    .add_edge(START, "fails_beside")
    .compile()
)
handler_asks = StateGraph(Kept).add_node(fails, error_handler=handles).add_edge(START, "fails").compile()
asks_beside_refused = (
    StateGraph(Kept)
    .add_node(fails, error_handler=handles)
    .add_node(first)
    .add_node(second)
    .add_edge(START, "fails")
    .add_edge(START, "first")
    .add_edge(START, "second")
    .compile()
)
ASKING = ("handler_asks", "handler_asks_twice", "handlers_ask", "asks_beside_refused")
GRAPHS = ("twice", "refused", "refused_inside", "cancelled", "closed", "panicked", "panicked_together")


class Sealed(LastValue[int]):
    """A channel that takes a value and does not give it back."""

    def from_checkpoint(self, checkpoint: Any) -> Any:
        if checkpoint is not MISSING:
            raise KeyError("the vault is sealed")
        return super().from_checkpoint(checkpoint)


class Unreadable(TypedDict, total=False):
    one: Annotated[int, Sealed(int)]


unreadable = StateGraph(Unreadable).add_node(first).add_edge(START, "first").compile()


@asynccontextmanager
async def unclosable(runtime: ServerRuntime[Any]) -> AsyncIterator[Any]:
    """A factory that can close what it opened for runs alone."""
    yield _of(first)
    if runtime.access_context != "threads.create_run":
        raise KeyError("the vault is sealed")


READ = ("unreadable", "unclosable")
