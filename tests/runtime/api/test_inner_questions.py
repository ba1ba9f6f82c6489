"""A question inside of a subgraph is answered by an answer alone, and by its id, whatever the subgraph keeps
and whoever changed its state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from api_asking import GRAPHS, HELD, held
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import MultitaskStrategy

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from support.ports import PATIENCE_SECONDS

NewService = Callable[[str, Callable[[Settings], Settings]], AbstractAsyncContextManager[Replica]]
TEXTS = [(graph, "blue") for graph in GRAPHS]
EMPTY = [(graph, {}) for graph in GRAPHS if "none" not in graph]
"""LangGraph takes an empty object that has no id for no answers by ids."""


HOLDING = ("held_in_a_task", "held_by_a_node_that_fails")


def asking(settings: Settings) -> Settings:
    return replace(settings, graphs={name: GraphSpec(f"api_asking:{name}") for name in (*GRAPHS, *HOLDING)})


@pytest.fixture(scope="module")
async def client(service: NewService) -> AsyncIterator[LangGraphClient]:
    async with service("asking", asking) as opened:
        yield opened.client


async def asked(client: LangGraphClient, graph: str) -> tuple[str, str]:
    """A thread that waits for an answer, and the id of its question."""
    thread: str = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, graph, input={})
    [[question]] = (await client.threads.get(thread))["interrupts"].values()
    assert question["id"] is not None
    return thread, question["id"]


@pytest.mark.parametrize("by_id", [False, True], ids=["alone", "by its id"])
@pytest.mark.parametrize(("graph", "answer"), [*TEXTS, *EMPTY])
async def test_a_question_inside_of_a_subgraph_takes_its_answer(
    client: LangGraphClient, graph: str, answer: Any, *, by_id: bool
) -> None:
    thread, question = await asked(client, graph)

    resume = {question: answer} if by_id else answer
    values: Any = await client.runs.wait(thread, graph, command={"resume": resume})

    if graph == "asked_by_a_task":
        [waiting] = values["__interrupt__"]
        assert waiting["value"] == "and then?"
        values = await client.runs.wait(thread, graph, command={"resume": "red"})
    assert values["said"][1 if graph != "asked_by_a_task" else 0] == {"answer": answer}
    assert (await client.threads.get(thread))["status"] == "idle"


@pytest.mark.parametrize("by_id", [False, True], ids=["alone", "by its id"])
@pytest.mark.parametrize(("graph", "depth"), [("keeps", 1), ("keeps_always", 1), ("two_deep", 2)])
async def test_a_question_takes_its_answer_after_its_subgraph_was_changed_by_hand(
    client: LangGraphClient, graph: str, depth: int, *, by_id: bool
) -> None:
    thread, question = await asked(client, graph)
    state: Any = await client.threads.get_state(thread, subgraphs=True)
    for _ in range(depth):
        [task] = state["tasks"]
        state = task["state"]
    place = {name: state["checkpoint"][name] for name in ("checkpoint_ns", "checkpoint_map")}
    await client.threads.update_state(thread, {"said": ["by hand"]}, as_node="begin", checkpoint=place)

    resume: Any = {question: "blue"} if by_id else "blue"
    values: Any = await client.runs.wait(thread, graph, command={"resume": resume})

    assert values["said"] == ["begun", "by hand", {"answer": "blue"}]
    assert (await client.threads.get(thread))["status"] == "idle"


@pytest.mark.parametrize("by_id", [False, True], ids=["alone", "by its id"])
@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
@pytest.mark.parametrize("graph", HOLDING)
async def test_the_answer_of_a_run_that_another_replaces_is_given_up_wherever_it_was_taken(
    client: LangGraphClient, graph: str, strategy: MultitaskStrategy, *, by_id: bool
) -> None:
    thread, question = await asked(client, graph)
    first: Any = {question: HELD} if by_id else HELD
    second: Any = {question: "blue"} if by_id else "blue"
    await client.runs.create(thread, graph, command={"resume": first})
    async with asyncio.timeout(PATIENCE_SECONDS):
        await held.setdefault(thread, asyncio.Event()).wait()

    async with asyncio.timeout(PATIENCE_SECONDS):
        values: Any = await client.runs.wait(
            thread, graph, command={"resume": second}, multitask_strategy=strategy
        )

    assert values["said"] == [{"answer": "blue"}]
