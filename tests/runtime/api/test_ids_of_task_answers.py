"""A message without an id that a task returns gets one where it is first told, and keeps it: in every part of
the stream, in the state, and when the run goes on after a question."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

NewService = Callable[[str, Callable[[Settings], Settings]], AbstractAsyncContextManager[Replica]]
GRAPHS = ("as_a_node", "as_a_call")
TOLD = ["said", "told by one", "told by another", "before", "after yes"]


def with_tasks(settings: Settings) -> Settings:
    return replace(settings, graphs={name: GraphSpec(f"api_tasks:{name}") for name in GRAPHS})


@pytest.fixture(scope="module")
async def client(service: NewService) -> AsyncIterator[LangGraphClient]:
    async with service("tasks", with_tasks) as opened:
        yield opened.client


def messages_in(value: Any) -> Iterator[tuple[str, str | None]]:
    """Text and id of each message anywhere in a value."""
    if isinstance(value, dict) and "content" in value and "type" in value:
        yield value["content"], value["id"]
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from messages_in(each)


@pytest.mark.parametrize("graph", GRAPHS)
async def test_an_answer_of_a_task_in_a_subgraph_has_one_id_wherever_it_is_told(
    client: LangGraphClient, graph: str
) -> None:
    thread = (await client.threads.create())["thread_id"]
    told: dict[str, set[str | None]] = {}
    streamed: set[str] = set()
    for options in ({"input": {"messages": []}}, {"command": {"resume": "yes"}}):
        parts = client.runs.stream(
            thread,
            graph,
            stream_mode=["messages-tuple", "updates", "tasks", "values", "debug"],
            stream_subgraphs=True,
            **options,  # type: ignore[arg-type]
        )
        async for part in parts:
            for text, ident in messages_in(part.data):
                told.setdefault(text, set()).add(ident)
                if part.event.split("|")[0] == "messages":
                    streamed.add(text)
        state = await client.threads.get_state(thread, subgraphs=True)
        for text, ident in messages_in([state["values"], state["tasks"]]):
            told.setdefault(text, set()).add(ident)

    assert sorted(told) == sorted(TOLD)
    assert set(TOLD) <= streamed
    assert {text: len(idents) for text, idents in told.items()} == dict.fromkeys(TOLD, 1)
    assert len(set().union(*told.values())) == len(TOLD) and None not in set().union(*told.values())
