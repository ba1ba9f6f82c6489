"""Graphs that call something outside, which the tests make well or sick."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import httpx
from langchain_core.messages import AnyMessage
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from lgs_runtime.breaker.policy import Policy
from lgs_runtime.graphs.circuit_section import GraphPolicy
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

POLICY = Policy(failure_threshold=0.5, minimum_calls=2, recovery_timeout=30, probes=2)


GUARDED = ("dependent", "strict", "strict_at_once", "told", "made")


class Outside:
    """What the graphs depend on."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.error: Callable[[], Exception] | None = None
        self.calls = 0
        self.under_way = 0
        self.most = 0
        self.free = asyncio.Event()
        self.free.set()

    async def call(self) -> None:
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.free.wait()
            if self.error is not None:
                raise self.error()
        finally:
            self.under_way -= 1


outside = Outside()


class Asked(TypedDict, total=False):
    """What a run is to do."""

    kind: str
    steps: Annotated[list[str], operator.add]


class BadQuestion(ValueError):
    """The application's own word for what its users may not ask."""


async def calls(state: Asked) -> Asked:
    kind = state.get("kind", "")
    if kind == "asks":
        interrupt("well?")
    if kind == "bad question":
        raise BadQuestion("no")
    if kind == "refused":
        raise httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(400, request=REQUEST))
    if kind == "goes in a circle":
        await circle().ainvoke({}, {"recursion_limit": 2})
    if kind == "raises what the limit does":
        raise GraphRecursionError("mine")
    if kind in FAILURES:
        raise FAILURES[kind]("well")
    await outside.call()
    return {"steps": ["called"]}


def circle() -> Any:
    """A graph without an end."""
    builder = StateGraph(Asked).add_node("turns", lambda _: {})
    return builder.add_edge(START, "turns").add_edge("turns", "turns").compile()


class Odd(Exception):
    """What can't be asked for the status of an answer."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.status_code = [404]


class Deaf(Exception):
    """What raises as it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise (AttributeError if name.startswith("__") else RuntimeError)(name)


class Leaving(Exception):
    """What asks the program to end as it is asked for its answer."""

    @property
    def response(self) -> Any:
        raise SystemExit(3)


class Abandoned(Exception):
    """What says that it was cancelled as it is asked."""

    @property
    def status_code(self) -> int:
        raise asyncio.CancelledError


class Mute(Exception):
    """What says that it was cancelled as it is printed."""

    def __str__(self) -> str:
        raise asyncio.CancelledError


class Misplaced(SyntaxError):
    """What stands in no file that has a path."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.filename = 5  # type: ignore[assignment]


FAILURES = {
    "odd": Odd,
    "deaf": Deaf,
    "cancelled": asyncio.CancelledError,
    "leaving": Leaving,
    "abandoned": Abandoned,
    "mute": Mute,
    "misplaced": Misplaced,
}
REQUEST = httpx.Request("POST", "http://model")
dependent = StateGraph(Asked).add_node(calls).add_edge(START, "calls").compile()
beside = (
    StateGraph(Asked).add_node("stands", lambda _: {"steps": ["stood"]}).add_edge(START, "stands").compile()
)


class Strict(BaseModel):
    """A state that pydantic checks."""

    number: int


def reads(_: Any) -> str:
    return "takes"


class Told(TypedDict):
    """A state whose reducer does not take any input."""

    messages: Annotated[list[AnyMessage], add_messages]


strict_at_once = (
    StateGraph(Strict)
    .add_node("takes", lambda _: {})
    .add_conditional_edges(START, reads, ["takes"])
    .compile()
)
told = (
    StateGraph(Told).add_node("takes", lambda _: {}).add_conditional_edges(START, reads, ["takes"]).compile()
)
strict = StateGraph(Strict).add_node("takes", lambda _: {}).add_edge(START, "takes").compile()


async def made(_: Any) -> Any:
    """A graph that can be made only while what it depends on is well."""
    await outside.call()
    return dependent


def guarded(settings: Settings) -> Settings:
    """A service of these graphs, with a circuit around each but the one beside them."""
    policy = GraphPolicy(POLICY, ignore=("BadQuestion",))
    return replace(
        settings,
        graphs={name: GraphSpec(f"api_dependency:{name}") for name in (*GUARDED, "beside")},
        circuits=dict.fromkeys(GUARDED, policy),
    )
