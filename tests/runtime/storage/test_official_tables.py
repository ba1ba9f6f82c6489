"""A database can move to this checkpointer and back: what the official one stored is read here, and what is
stored here is read there."""

from __future__ import annotations

import math
import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypedDict

import aiosqlite
import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.postgres.base import MIGRATIONS as OFFICIAL_MIGRATIONS
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt

from lgs_runtime.checkpoint.postgres.statements import MIGRATIONS
from support.savers import fast_saver


@asynccontextmanager
async def official(uri: str) -> AsyncIterator[AsyncPostgresSaver | AsyncSqliteSaver]:
    """The saver of langgraph-checkpoint-postgres, or -sqlite."""
    if uri.startswith("sqlite:///"):
        async with AsyncSqliteSaver.from_conn_string(uri.removeprefix("sqlite:///")) as lite:
            await lite.setup()
            yield lite
        return
    async with AsyncPostgresSaver.from_conn_string(uri) as saver:
        await saver.setup()
        yield saver


DIRECTIONS = pytest.mark.parametrize(
    ("first", "second"), [(official, fast_saver), (fast_saver, official)], ids=["to us", "back"]
)


def joined(state: list[str], writes: list[list[str]]) -> list[str]:
    """A list and what was written to it."""
    return [*state, *chain.from_iterable(writes)]


class State(TypedDict):
    """Values of every kind that the tables treat differently."""

    messages: Annotated[list[AnyMessage], add_messages]
    parts: Annotated[list[str], operator.add]
    deltas: Annotated[list[str], DeltaChannel(joined, list)]
    note: str
    number: int
    nothing: None


def graph(saver: BaseCheckpointSaver[Any]) -> Any:
    """Fans out, waits for a person, and answers."""

    def plan(state: State) -> list[Send]:
        return [Send("part", {"number": number}) for number in range(3)]

    def part(state: State) -> dict[str, Any]:
        return {"parts": [f"part {state['number']}"], "deltas": [f"delta {state['number']}"]}

    def ask(state: State) -> dict[str, Any]:
        return {
            "messages": [AIMessage(f"you said {interrupt('well?')}")],
            "number": 10**15,
            "deltas": ["asked"],
        }

    builder = StateGraph(State)
    builder.add_node("part", part)
    builder.add_node("ask", ask)
    builder.add_conditional_edges(START, plan, ["part"])
    builder.add_edge("part", "ask")
    builder.add_edge("ask", END)
    return builder.compile(checkpointer=saver)


CONFIG: Any = {"configurable": {"thread_id": "t1", "user": "ada\x00"}, "metadata": {"run_id": "run1"}}
INPUT = {"messages": [HumanMessage("hi", id="m1")], "parts": [], "note": "n", "number": 1, "nothing": None}


async def tuples(saver: BaseCheckpointSaver[Any], config: Any = CONFIG) -> list[CheckpointTuple]:
    """All that a saver knows of a thread."""
    return [found async for found in saver.alist(config)]


def test_the_tables_are_those_of_the_installed_official_package() -> None:
    def plain(statement: str) -> str:
        return "".join(statement.lower().split()).rstrip(";")

    assert [plain(text) for text in MIGRATIONS] == [plain(text) for text in OFFICIAL_MIGRATIONS]


async def columns(path: Path) -> list[tuple[Any, ...]]:
    """Names, types, rules and places in keys of all columns of a SQLite file."""
    async with aiosqlite.connect(path) as connection:
        found = await connection.execute(
            "SELECT t.name, c.* FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        )
        return sorted(map(tuple, await found.fetchall()))


async def test_a_sqlite_file_has_the_tables_of_the_installed_official_package(tmp_path: Path) -> None:
    async with official(f"sqlite:///{tmp_path}/official.db"), fast_saver(f"sqlite:///{tmp_path}/ours.db"):
        pass

    assert await columns(tmp_path / "ours.db") == await columns(tmp_path / "official.db") != []


async def test_a_sqlite_file_of_an_older_official_package_is_brought_to_the_newest_form(
    tmp_path: Path,
) -> None:
    uri = f"sqlite:///{tmp_path}/old.db"
    async with official(uri) as saver:
        await graph(saver).ainvoke(INPUT, CONFIG)
        before = await tuples(saver)
    async with aiosqlite.connect(tmp_path / "old.db") as connection:
        await connection.execute("ALTER TABLE writes DROP COLUMN task_path")
        await connection.commit()

    async with fast_saver(uri) as saver:
        found = await tuples(saver)
        await graph(saver).ainvoke(Command(resume="yes"), CONFIG)

        assert [each.checkpoint for each in found] == [each.checkpoint for each in before]
        assert (await graph(saver).aget_state(CONFIG)).next == ()


@DIRECTIONS
async def test_a_thread_goes_on_under_the_other_saver(first: Any, second: Any, database_uri: str) -> None:
    async with first(database_uri) as saver:
        await graph(saver).ainvoke(INPUT, CONFIG)
        before = await tuples(saver)

    async with second(database_uri) as saver:
        assert await tuples(saver) == before
        assert await saver.aget_tuple(CONFIG) == before[0]
        await graph(saver).ainvoke(Command(resume="yes"), CONFIG)
        after = await tuples(saver)

    async with first(database_uri) as saver:
        state = await graph(saver).aget_state(CONFIG)
        assert await tuples(saver) == after
    assert state.values["messages"][-1].content == "you said yes"
    assert state.values["parts"] == ["part 0", "part 1", "part 2"]
    assert state.values["deltas"] == ["delta 0", "delta 1", "delta 2", "asked"]
    assert (state.values["note"], state.values["number"], state.next) == ("n", 10**15, ())


@DIRECTIONS
async def test_both_build_delta_channels_from_the_same_history(
    first: Any, second: Any, database_uri: str
) -> None:
    async with first(database_uri) as saver:
        await graph(saver).ainvoke(INPUT, CONFIG)
        told = [
            await saver.aget_delta_channel_history(config=found.config, channels=["deltas", "note", "parts"])
            for found in await tuples(saver)
        ]

    async with second(database_uri) as saver:
        seen = [
            await saver.aget_delta_channel_history(config=found.config, channels=["deltas", "note", "parts"])
            for found in await tuples(saver)
        ]
    assert seen == told
    assert any(history["deltas"]["writes"] for history in told)
    assert any("seed" in history["note"] for history in told)


@DIRECTIONS
async def test_checkpoints_of_older_formats_are_read_alike(
    first: Any, second: Any, postgres_uri: str
) -> None:
    parent_config: Any = {"configurable": {"thread_id": "old", "checkpoint_ns": ""}}
    parent = {**empty_checkpoint(), "v": 3}
    child = {**empty_checkpoint(), "v": 3, "channel_versions": {"a": "2"}, "channel_values": {"a": [1]}}
    async with first(postgres_uri) as saver:
        stored = await saver.aput(parent_config, parent, {"step": 0}, {})
        await saver.aput_writes(stored, [("__pregel_tasks", Send("b", 2)), ("a", 1)], "task")
        await saver.aput(stored, child, {"step": 1}, {"a": "2"})
        told = await saver.aget_tuple(parent_config)

    async with second(postgres_uri) as saver:
        assert await saver.aget_tuple(parent_config) == told
    assert told.checkpoint["channel_values"] == {"a": [1], "__pregel_tasks": [Send("b", 2)]}


@pytest.mark.parametrize("value", ["a\x00b", math.inf, -math.inf, 2**80, "plain", None, True, 1.5, b"\x00"])
async def test_a_value_that_json_can_not_hold_comes_back_whole(value: Any, postgres_uri: str) -> None:
    checkpoint = {**empty_checkpoint(), "channel_versions": {"a": "1"}, "channel_values": {"a": value}}
    config: Any = {"configurable": {"thread_id": "t1", "checkpoint_ns": ""}}
    async with fast_saver(postgres_uri) as saver:
        await saver.aput(config, checkpoint, {"step": 0}, {"a": "1"})

        (mine,) = await tuples(saver, config)

    async with official(postgres_uri) as saver:
        (theirs,) = await tuples(saver, config)
    assert mine.checkpoint["channel_values"] == {"a": value} == theirs.checkpoint["channel_values"]
