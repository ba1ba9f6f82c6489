"""Graphs and functions of an application whose own services fail, with the errors that databases have."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import asyncpg
import psycopg
from fastapi import FastAPI
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from langgraph_sdk import Auth
from typing_extensions import TypedDict

SAID = "the provider is away"
ERRORS: dict[str, Callable[[], Exception]] = {
    "os": lambda: OSError(5, SAID),
    "connection": lambda: ConnectionRefusedError(111, SAID),
    "timeout": lambda: TimeoutError(SAID),
    "psycopg": lambda: psycopg.OperationalError(SAID),
    "asyncpg": lambda: asyncpg.InterfaceError(SAID),
    "sqlite": lambda: sqlite3.OperationalError(SAID),
    "value": lambda: ValueError(SAID),
}
executed: list[str] = []
"""The kinds that a node was executed with, each time."""


class Asked(TypedDict, total=False):
    """Which error is wanted, and from where."""

    kind: str
    through: str


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Embeddings that fail for texts that name an error."""
    for text in texts:
        for kind, error in ERRORS.items():
            if kind in text:
                raise error()
    return [[1.0, 0.5, 0.25] for _ in texts]


async def fails(state: Asked, runtime: Runtime[None]) -> Asked:
    executed.append(state["kind"])
    assert runtime.store is not None
    if state["through"] == "put":
        await runtime.store.aput(("notes",), "a", {"text": state["kind"]})
    if state["through"] == "search":
        await runtime.store.asearch(("notes",), query=state["kind"])
    raise ERRORS[state["kind"]]()


def fails_in_a_thread(state: Asked, runtime: Runtime[None]) -> Asked:
    executed.append(state["kind"])
    assert runtime.store is not None
    if state["through"] == "put":
        runtime.store.put(("notes",), "a", {"text": state["kind"]})
    raise ERRORS[state["kind"]]()


failing = StateGraph(Asked).add_node(fails).add_edge(START, "fails").add_edge("fails", END).compile()
failing_in_a_thread = (
    StateGraph(Asked)
    .add_node(fails_in_a_thread)
    .add_edge(START, "fails_in_a_thread")
    .add_edge("fails_in_a_thread", END)
    .compile()
)


steady = StateGraph(Asked).add_node("stands", lambda _: {}).add_edge(START, "stands").compile()


class FailingStore(InMemoryStore):
    """A store of the application's own whose server is away."""

    async def abatch(self, ops: Any) -> Any:
        raise ConnectionRefusedError(111, SAID)


class Unsteady(InMemorySaver):
    """A checkpointer of the application's own, which fails when it is set to."""

    failures: ClassVar[list[Exception]] = []

    async def aput(self, *what: Any) -> RunnableConfig:
        if self.failures:
            raise self.failures.pop()
        return await super().aput(*what)


async def asks_its_database(authorization: str | None) -> str:
    raise ERRORS["psycopg"]()


owners = Auth()
owners.authenticate(asks_its_database)

web = FastAPI()


@web.get("/failing/{kind}")
async def answer(kind: str) -> None:
    raise ERRORS[kind]()
