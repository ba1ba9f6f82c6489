"""A run that failed because the state can't take what a node gave leaves a thread that can be read, changed
and gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_refusing import ASKING, GRAPHS, READ
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

NewService = Callable[[str, Callable[[Settings], Settings]], AbstractAsyncContextManager[Replica]]

RAISED = {"InvalidUpdateError", "ValueError", "CancelledError", "GeneratorExit", "RuntimeError", "Panic"} | {
    "BaseExceptionGroup"
}


def refusing(settings: Settings) -> Settings:
    return replace(
        settings, graphs={name: GraphSpec(f"api_refusing:{name}") for name in (*GRAPHS, *ASKING, *READ)}
    )


@pytest.fixture(scope="module")
async def client(service: NewService) -> AsyncIterator[LangGraphClient]:
    async with service("refusing", refusing) as opened:
        yield opened.client


@pytest.mark.parametrize("graph", GRAPHS)
async def test_the_state_before_what_was_refused_can_be_read_and_gone_on_with(
    client: LangGraphClient, graph: str
) -> None:
    thread = (await client.threads.create())["thread_id"]
    async with asyncio.timeout(60):
        failed: Any = await client.runs.wait(thread, graph, input={"many": ["given"]}, raise_error=False)
    assert failed["__error__"]["error"] in RAISED

    record = await client.threads.get(thread)
    assert (record["status"], record["values"]) == ("error", {"many": ["given"]})
    for subgraphs in (False, True):
        state = await client.threads.get_state(thread, subgraphs=subgraphs)
        assert state["values"] == {"many": ["given"]}
        assert state["next"]
    copied = await client.threads.copy(thread)
    assert (await client.threads.get_state(copied["thread_id"]))["values"] == {"many": ["given"]}  # type: ignore[index]

    await client.threads.update_state(thread, {"many": ["by hand"]}, as_node=state["next"][0])
    assert (await client.threads.get_state(thread))["values"] == {"many": ["given", "by hand"]}


async def test_what_an_error_handler_asks_is_told_and_answered(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]

    asked: Any = await client.runs.wait(thread, "handler_asks", input={"many": ["given"]})
    record = await client.threads.get(thread)
    state = await client.threads.get_state(thread)

    [[question]] = record["interrupts"].values()
    assert [one["value"] for one in asked["__interrupt__"]] == ["what now?"]
    assert (record["status"], question["value"]) == ("interrupted", "what now?")
    assert [one["value"] for task in state["tasks"] for one in task["interrupts"]] == ["what now?"]

    answered: Any = await client.runs.wait(thread, "handler_asks", command={"resume": "go on"})
    assert answered["many"] == ["given", "go on"]
    assert (await client.threads.get(thread))["status"] == "idle"


@pytest.mark.parametrize("by_id", [False, True], ids=["alone", "by its id"])
async def test_each_question_of_an_error_handler_is_told_and_strictly_answered(
    client: LangGraphClient, *, by_id: bool
) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "handler_asks_twice", input={"many": ["given"]})

    for asked, answer in (("what now?", "this"), ("and then?", "that")):
        record = await client.threads.get(thread)
        [[question]] = record["interrupts"].values()
        assert (record["status"], question["value"]) == ("interrupted", asked)
        resume: Any = {question["id"]: answer} if by_id else answer
        await client.http.post(
            f"/threads/{thread}/runs/wait",
            json={
                "assistant_id": "handler_asks_twice",
                "command": {"resume": resume},
                "strict_resume": True,
            },
        )

    assert (await client.threads.get_state(thread))["values"]["many"] == ["given", "this", "that"]
    assert (await client.threads.get(thread))["status"] == "idle"


async def test_what_two_error_handlers_ask_is_told_of_the_node_that_each_is_for(
    client: LangGraphClient,
) -> None:
    thread = (await client.threads.create())["thread_id"]

    await client.runs.wait(thread, "handlers_ask", input={"many": ["given"]})

    state: Any = await client.threads.get_state(thread)
    asked = {task["name"]: [one["value"] for one in task["interrupts"]] for task in state["tasks"]}
    assert asked == {"fails": ["what now?"], "fails_beside": ["and this?"]}
    answers = {one["value"]: one["id"] for task in state["tasks"] for one in task["interrupts"]}
    resume: Any = {answers["what now?"]: "this", answers["and this?"]: "there"}
    await client.runs.wait(thread, "handlers_ask", command={"resume": resume})
    [[question]] = (await client.threads.get(thread))["interrupts"].values()
    assert question["value"] == "and then?"
    answered: Any = await client.runs.wait(thread, "handlers_ask", command={"resume": "that"})
    assert sorted(answered["many"]) == ["given", "that", "there", "this"]


async def test_what_an_error_handler_asks_stands_in_the_history(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "handler_asks", input={"many": ["given"]})

    [latest, *_] = await client.threads.get_history(thread)

    assert [one["value"] for task in latest["tasks"] for one in task["interrupts"]] == ["what now?"]


async def test_what_an_error_handler_asks_is_told_beside_what_the_state_refuses(
    client: LangGraphClient,
) -> None:
    thread = (await client.threads.create())["thread_id"]
    graph = "asks_beside_refused"
    failed: Any = await client.runs.wait(thread, graph, input={"many": ["given"]}, raise_error=False)
    assert failed["__error__"]["error"] == "InvalidUpdateError"

    state = await client.threads.get_state(thread)

    assert [one["value"] for task in state["tasks"] for one in task["interrupts"]] == ["what now?"]


@pytest.mark.parametrize("graph", READ)
async def test_what_a_graph_raises_as_its_state_is_read_is_told_with_its_words(
    client: LangGraphClient, graph: str
) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, graph, input={"one": 0}, raise_error=False)

    refused = []
    for read in (client.threads.get_state, client.threads.get_history):
        with pytest.raises(httpx.HTTPStatusError) as raised:
            await read(thread)
        refused.append((raised.value.response.status_code, raised.value.response.json()["detail"]))

    assert [status for status, _ in refused] == [502, 502]
    assert all(words == f"graph {graph}: KeyError: 'the vault is sealed'" for _, words in refused)
