"""The saver of an attempt: what it keeps is what the database has, and what it writes behind arrives or
fails with an error."""

from __future__ import annotations

import asyncio
import gc
import operator
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
import pytest
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from lgs_runtime.checkpoint.postgres.saver import FastPostgresSaver
from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.checkpoint.wrappers.attempt import CHECKPOINTER, AttemptSaver, may_write_behind
from lgs_runtime.checkpoint.wrappers.fence import Fence, fenced
from lgs_runtime.errors import StorageUnavailable
from support.loop_faults import faults_of_the_loop


class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]
    mood: str


def note(name: str) -> Any:
    async def node(state: State) -> State:
        return {"done": [name], "mood": name}

    return node


async def part(state: State) -> State:
    return {"done": [f"part {state['done'][0]}"]}


async def ask(state: State) -> State:
    return {"done": [str(interrupt("first?")), str(interrupt("second?"))]}


def fan_out(state: State) -> list[Send]:
    return [Send("part", {"done": [f"for {number}"]}) for number in range(3)]


def graph() -> Any:
    """Steps one after the other, parts side by side, and a person who is asked twice."""
    builder = StateGraph(State)
    for name in ("one", "last"):
        builder.add_node(name, note(name))
    builder.add_node("part", part)
    builder.add_node("ask", ask)
    builder.add_edge(START, "one")
    builder.add_conditional_edges("one", fan_out, ["part"])
    builder.add_edge("part", "ask")
    builder.add_edge("ask", "last")
    builder.add_edge("last", END)
    return builder.compile()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_what_is_remembered_is_what_is_stored(database_uri: str, durability: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        stored = fenced(saver, Fence())
        app = graph().copy({"checkpointer": stored})
        thread_id = str(uuid4())
        for given in ({"done": []}, Command(resume="A"), Command(resume="B"), {"done": ["again"]}):
            own = AttemptSaver(stored, thread_id, write_behind=may_write_behind(app.channels, durability))
            config: Any = {"configurable": {"thread_id": thread_id, CHECKPOINTER: own}}
            await app.ainvoke(given, config, durability=durability)
            await own.settle()

            remembered = await app.aget_state(config)
            read = await app.aget_state({"configurable": {"thread_id": thread_id}})

            assert (remembered.values, remembered.next) == (read.values, read.next)
            assert remembered.tasks == read.tasks
            assert remembered.metadata == read.metadata
            assert remembered.config["configurable"] == read.config["configurable"]
            assert remembered.parent_config == read.parent_config


async def test_a_thread_of_somebody_else_and_an_older_checkpoint_are_read(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        app = graph().copy({"checkpointer": saver})
        mine, other = str(uuid4()), str(uuid4())
        await app.ainvoke({"done": ["other"]}, {"configurable": {"thread_id": other}})
        own = AttemptSaver(saver, mine)
        config: Any = {"configurable": {"thread_id": mine, CHECKPOINTER: own}}
        await app.ainvoke({"done": ["mine"]}, config)

        history = [state async for state in app.aget_state_history(config)]
        oldest = await own.aget_tuple(history[-1].config)
        of_other = await own.aget_tuple({"configurable": {"thread_id": other, "checkpoint_ns": ""}})

        assert oldest is not None
        assert oldest.checkpoint["id"] == history[-1].config["configurable"]["checkpoint_id"]
        assert of_other is not None and of_other.checkpoint["channel_values"]["done"][0] == "other"


async def test_a_checkpoint_is_not_stored_where_the_one_before_it_was_not(database_uri: str) -> None:
    # Neither database takes a lone surrogate in an id.
    postgres = not database_uri.startswith("sqlite")
    refused = (asyncpg.PostgresError, asyncpg.DataError) if postgres else UnicodeEncodeError
    async with open_checkpointer(database_uri) as saver:
        own = AttemptSaver(saver, thread_id := str(uuid4()), write_behind=True)
        address: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}

        address = await own.aput(address, {**checkpoint({"bad": [1]}), "id": "\ud800"}, {}, {"bad": "1"})
        with pytest.raises(refused):
            await own.aput(address, checkpoint({"good": [2]}), {}, {"good": "1"})
            await own.settle()

        assert [entry async for entry in saver.alist({"configurable": {"thread_id": thread_id}})] == []


async def test_asyncio_complains_of_none_of_several_failures_of_which_the_first_is_told(
    database_uri: str,
) -> None:
    async def fail_twice() -> None:
        own = AttemptSaver(saver, thread_id := str(uuid4()), write_behind=True)
        address: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        for _ in range(2):
            await own.aput(address, {**checkpoint({"bad": [1]}), "id": "\ud800"}, {}, {"bad": "1"})
        with suppress(asyncpg.PostgresError, asyncpg.DataError, UnicodeEncodeError):
            await own.settle()

    async with open_checkpointer(database_uri) as saver:
        with faults_of_the_loop() as faults:
            await fail_twice()
            gc.collect()

    assert faults == []


async def test_a_replica_without_a_lease_writes_nothing_behind_either(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        fence = Fence()
        own = AttemptSaver(fenced(saver, fence), thread_id := str(uuid4()), write_behind=True)
        fence.held_until(0.0)

        with pytest.raises(StorageUnavailable, match="lease"):
            await own.aput(
                {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}},
                checkpoint({"done": [1]}),
                {},
                {"done": "1"},
            )
        await own.settle()

        assert [entry async for entry in saver.alist({"configurable": {"thread_id": thread_id}})] == []


async def test_a_graph_that_runs_ahead_waits_when_too_much_is_on_its_way() -> None:
    saver = Slow()
    own = AttemptSaver(saver, "t", write_behind=True)
    address: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}}

    async def write_all() -> None:
        for number in range(100):
            await own.aput_writes(address, [("done", number)], f"task {number}")

    writing = asyncio.create_task(write_all())
    while not saver.stored or (not writing.done() and saver.progressed()):
        await asyncio.sleep(0)
    assert not writing.done() and len(saver.stored) < 100

    saver.finish()
    await writing
    saver.finish()
    await own.settle()
    assert len(saver.stored) == 100


async def test_a_thread_that_nobody_wrote_to_is_not_read() -> None:
    own = AttemptSaver(Slow(), "t", write_behind=True, empty=True)
    root: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

    assert await own.aget_tuple(root) is None
    put = await own.aput(root, checkpoint({"done": [1]}), {}, {"done": "1"})
    found = await own.aget_tuple(root)

    assert found is not None and found.config["configurable"] == put["configurable"]


async def test_what_is_abandoned_is_not_waited_for_and_a_deletion_waits_for_what_went_out(
    postgres_uri: str,
) -> None:
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        thread_id = str(uuid4())
        own = AttemptSaver(saver, thread_id, write_behind=True, empty=True)
        address: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        address = await own.aput(address, checkpoint({"done": [1]}), {}, {"done": "1"})
        while not saver._writes._turns:
            await asyncio.sleep(0)
        await own.aput(address, checkpoint({"done": [1, 2]}), {}, {"done": "2"})

        own.abandon()
        await own.arrived()
        await saver.aprune([thread_id, str(uuid4())], strategy="delete")

        assert [entry async for entry in saver.alist({"configurable": {"thread_id": thread_id}})] == []


class Slow(FastPostgresSaver):
    """A saver whose database answers when it is set to."""

    def __init__(self) -> None:
        self.stored: list[asyncio.Future[None]] = []
        self.serde = None  # type: ignore[assignment]
        self._seen = 0

    def submit_put(
        self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any, after: Any = None
    ) -> asyncio.Future[None]:
        self.stored.append(asyncio.get_running_loop().create_future())
        return self.stored[-1]

    def submit_put_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> asyncio.Future[None]:
        self.stored.append(asyncio.get_running_loop().create_future())
        return self.stored[-1]

    def progressed(self) -> bool:
        """Whether more was stored since this was asked last."""
        before, self._seen = self._seen, len(self.stored)
        return self._seen > before

    def finish(self) -> None:
        """All that was asked for so far is stored."""
        for each in self.stored:
            if not each.done():
                each.set_result(None)


def checkpoint(values: dict[str, Any]) -> Checkpoint:
    made = empty_checkpoint()
    made["channel_values"] = values
    made["channel_versions"] = dict.fromkeys(values, "1")
    return made


async def test_a_checkpoint_whose_caller_is_cancelled_is_stored_all_the_same(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        config = {"configurable": {"thread_id": str(uuid4()), "checkpoint_ns": ""}}
        made = checkpoint({"mood": "calm"})

        storing = asyncio.create_task(saver.aput(config, made, {}, {"mood": "1"}))
        await asyncio.sleep(0)
        storing.cancel()
        await asyncio.wait({storing})

        stored = await saver.aget_tuple(config)
        assert storing.cancelled()
        assert stored is not None
        assert stored.checkpoint["id"] == made["id"]
