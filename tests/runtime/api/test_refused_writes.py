"""A run that failed because the state can't take what a node gave leaves a thread that can be read, changed
and gone on with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from api_refusing import GRAPHS
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

NewService = Callable[[str, Callable[[Settings], Settings]], AbstractAsyncContextManager[Replica]]


def refusing(settings: Settings) -> Settings:
    return replace(
        settings, graphs={name: GraphSpec(f"api_refusing:{name}") for name in (*GRAPHS, "handler_asks")}
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
    failed: Any = await client.runs.wait(thread, graph, input={"many": ["given"]}, raise_error=False)
    assert failed["__error__"]["error"] in ("InvalidUpdateError", "ValueError")

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
