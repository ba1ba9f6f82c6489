"""What a graph streams is published; a run that is cancelled while it publishes ends with its nodes."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, StateGraph
from langgraph.runtime import RunControl
from typing_extensions import TypedDict

from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.worker.emission import Emitter, stream
from lgs_runtime.worker.resumption import Start
from lgs_runtime.worker.stream_v2 import ProtocolEmitter, stream_protocol


class Done(TypedDict, total=False):
    """What was done."""

    done: Annotated[list[str], operator.add]


cleaned_up: list[str] = []
begun = asyncio.Event()


async def quick(state: Done) -> Done:
    await begun.wait()
    return {"done": ["quick"]}


async def slow(state: Done) -> Done:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        cleaned_up.append("slow")
    raise AssertionError("it is cancelled before")


async def step(state: Done) -> Done:
    return {"done": ["step"]}


def steps(count: int) -> Any:
    def more(state: Done) -> str:
        return "step" if len(state["done"]) < count else "__end__"

    builder = StateGraph(Done).add_node(step).add_edge(START, "step")
    return builder.add_conditional_edges("step", more).compile(InMemorySaver())


class Deaf:
    """A publisher that keeps nothing."""

    async def send(self, name: str, data: Any) -> None:
        """Takes an event."""


async def run(graph: Any, modes: tuple[str, ...] | None, publisher: Any, **config: Any) -> list[str]:
    """What was done in a run that is streamed in these modes, or for protocol v2."""
    config = {"configurable": {"thread_id": "t"}, "run_id": "01a22b35-869f-7e21-9826-befd6d30f1a3", **config}
    at: Any = config
    kwargs = RunKwargs(input={"done": []}, stream_mode=modes or ("values",))
    if modes is None:
        start = Start("fresh", kwargs.input, at)
        emitter = ProtocolEmitter(publisher)
        await stream_protocol(graph, start, at, kwargs, emitter=emitter, control=RunControl())
    else:
        of_modes = Emitter(publisher, kwargs)
        await stream(graph, kwargs.input, at, kwargs, emitter=of_modes, control=RunControl())
    done: list[str] = (await graph.aget_state(at)).values["done"]
    return done


MODES = pytest.mark.parametrize(
    "modes", [("updates",), ("updates", "events"), None], ids=["plain", "events", "v2"]
)


@MODES
async def test_how_many_steps_a_run_may_take_is_the_same_in_every_mode(modes: tuple[str, ...] | None) -> None:
    assert len(await run(steps(60), modes, Deaf())) == 60
    with pytest.raises(GraphRecursionError):
        await run(steps(60), modes, Deaf(), recursion_limit=10)
    with pytest.raises(GraphRecursionError):
        await run(steps(60).with_config(recursion_limit=10), modes, Deaf())


class Stuck:
    """A publisher that takes nothing once the slow node has begun."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def send(self, name: str, data: Any) -> None:
        if begun.is_set():
            self.reached.set()
            await asyncio.Event().wait()


@MODES
async def test_the_nodes_of_a_run_that_is_cancelled_as_it_publishes_have_cleaned_up_when_it_ends(
    modes: tuple[str, ...] | None,
) -> None:
    cleaned_up.clear()
    begun.clear()
    builder = StateGraph(Done).add_node(quick).add_node(slow)
    graph: Any = builder.add_edge(START, "quick").add_edge(START, "slow").compile(InMemorySaver())
    publisher = Stuck()
    task = asyncio.ensure_future(run(graph, modes, publisher))
    await publisher.reached.wait()

    task.cancel()
    await asyncio.wait({task})

    assert cleaned_up == ["slow"]
