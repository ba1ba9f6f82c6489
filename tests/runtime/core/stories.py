"""Graphs for the tests of the worker. Each node writes its name to a file outside the graph's state when it
runs, so that a test can count how often it did, whichever replica ran it."""

from __future__ import annotations

import asyncio
import operator
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, interrupt
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]
    folder: str
    steps: int
    seconds: float


def note(state: State, name: str) -> None:
    """The record outside the state."""
    with (Path(state["folder"]) / "ran").open("a") as file:
        file.write(name + "\n")


def ran(folder: Path) -> list[str]:
    """Which nodes ran, in order."""
    path = folder / "ran"
    return path.read_text().split() if path.exists() else []


async def gate(state: State, name: str) -> None:
    """Waits as long as the file `hold-<name>` is there."""
    while (Path(state["folder"]) / f"hold-{name}").exists():
        await asyncio.sleep(0.01)


def step(name: str) -> Any:
    async def node(state: State) -> State:
        note(state, name)
        await gate(state, name)
        return {"done": [name]}

    return node


def chain(*names: str) -> Any:
    builder = StateGraph(State)
    before = START
    for name in names:
        builder.add_node(name, step(name))
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder


three_steps = chain("one", "two", "three")


def _fan() -> Any:
    builder = StateGraph(State)
    for name in ("left", "right", "join"):
        builder.add_node(name, step(name))
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    builder.add_edge(["left", "right"], "join")
    builder.add_edge("join", END)
    return builder


fan = _fan()


async def _asks(state: State) -> State:
    note(state, "asks")
    first = interrupt("first?")
    note(state, f"got-{first}")
    await gate(state, "asks")
    second = interrupt("second?")
    return {"done": [first, second]}


def _asking() -> Any:
    builder = StateGraph(State)
    builder.add_node("asks", _asks)
    builder.add_node("last", step("last"))
    builder.add_edge(START, "asks")
    builder.add_edge("asks", "last")
    return builder


asking = _asking()


async def _raises(state: State) -> State:
    note(state, "raises")
    raise ValueError("the graph is at fault")


def _single(node: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder


raising = _single(_raises)


class _Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


async def _raises_what_has_no_text(state: State) -> State:
    note(state, "raises")
    raise _Speechless


raising_what_has_no_text = _single(_raises_what_has_no_text)


async def _blocks(state: State) -> State:
    note(state, "blocks")
    time.sleep(state["seconds"])
    return {"done": ["blocks"]}


blocking = _single(_blocks)


def backtrack(seconds: float) -> None:
    """A call of C code that holds the interpreter lock for so long, and up to twice as long."""
    took, length = 0.0, 20
    while took < seconds:
        began = time.monotonic()
        re.match("(a+)+$", "a" * length + "b")
        took, length = time.monotonic() - began, length + 1


async def _backtracks(state: State) -> State:
    note(state, "backtracks")
    await gate(state, "backtracks")
    backtrack(state["seconds"])
    return {"done": ["backtracks"]}


def _stalling() -> Any:
    builder = StateGraph(State)
    builder.add_node("stalls", _backtracks)
    builder.add_node("last", step("last"))
    builder.add_edge(START, "stalls")
    builder.add_edge("stalls", "last")
    return builder


stalling = _stalling()


async def _tidies(state: State) -> State:
    """Works, and takes its time to clean up when it is cancelled."""
    note(state, "works")
    try:
        await gate(state, "works")
    except asyncio.CancelledError:
        note(state, "cancelled")
        try:
            await gate(state, "tidies")
        except asyncio.CancelledError:
            note(state, "cancelled-again")
            raise
        note(state, "tidied")
        raise
    return {"done": ["works"]}


def _tidying() -> Any:
    builder = StateGraph(State)
    builder.add_node("tidies", _tidies)
    builder.add_node("beside", step("beside"))
    builder.add_edge(START, "tidies")
    builder.add_edge(START, "beside")
    return builder


async def _ignores(state: State) -> State:
    """Goes on when it is cancelled, as if nothing was."""
    with suppress(asyncio.CancelledError):
        await _tidies(state)
    return {"done": ["ignored"]}


tidying = _tidying()
stubborn = _single(_ignores).add_node("after", step("after")).add_edge("node", "after")
tidying_alone = _single(_tidies)


async def _writes(state: State) -> State:
    write = get_stream_writer()
    for i in range(20):
        write({"token": i})
    await gate(state, "writes")
    return {"done": ["writes"]}


writing = _single(_writes)


async def _jumps(state: State) -> Command[Any]:
    note(state, "jumps")
    return Command(update={"done": ["jumps"]}, goto=END)


jumping = _single(_jumps)


async def _costly(state: State) -> State:
    note(state, "costly")
    return {"done": ["costly"]}


def _cached() -> Any:
    builder = StateGraph(State)
    builder.add_node("costly", _costly, cache_policy=CachePolicy(key_func=lambda state: state["folder"]))
    builder.add_edge(START, "costly")
    return builder


cached = _cached()


async def factory(config: RunnableConfig) -> Any:
    return chain(*config["configurable"].get("names", ["one"])).compile()
