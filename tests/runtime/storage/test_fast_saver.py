"""The checkpointers, what both of them promise; and that of Postgres under many runs, bad rows, a server that
comes and goes, and a process that is killed."""

from __future__ import annotations

import asyncio
import operator
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypedDict

import asyncpg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from lgs_runtime.checkpoint import FastPostgresSaver
from lgs_runtime.database.postgres import Database
from support.ports import PATIENCE_SECONDS
from support.postgres import PostgresServer
from support.savers import fast_saver


class Profile(BaseModel):
    """A type of the user's own."""

    name: str


def config(thread_id: str = "t1", namespace: str = "") -> Any:
    """The address of a thread."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace}}


async def put(saver: BaseCheckpointSaver[Any], value: Any, to: Any = None) -> Any:
    """Stores a checkpoint with one value."""
    version = saver.get_next_version(None, None)
    checkpoint = {**empty_checkpoint(), "channel_versions": {"a": version}, "channel_values": {"a": value}}
    return await saver.aput(to or config(), checkpoint, {"step": 0}, {"a": version})  # type: ignore[typeddict-item]


async def value_of(saver: BaseCheckpointSaver[Any], thread_id: str = "t1") -> Any:
    """What `put` stored last in a thread."""
    found = await saver.aget_tuple(config(thread_id))
    return found and found.checkpoint["channel_values"]["a"]


def unfit(at: RunnableConfig) -> RunnableConfig:
    """An address that the database refuses."""
    return {"configurable": {**at["configurable"], "checkpoint_id": "bad\x00"}}


async def test_a_row_that_can_not_be_stored_fails_nobody_else(postgres_uri: str) -> None:
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        stored = [await put(saver, [number], config(f"t{number}")) for number in range(20)]

        answers = await asyncio.gather(
            *(
                saver.aput_writes(unfit(at) if number in (3, 11) else at, [("a", number)], "task")
                for number, at in enumerate(stored)
            ),
            return_exceptions=True,
        )

        assert [number for number, answer in enumerate(answers) if answer is not None] == [3, 11]
        found = await asyncio.gather(*(saver.aget_tuple(config(f"t{number}")) for number in range(20)))
        assert [len(each.pending_writes) for each in found if each] == [
            number not in (3, 11) for number in range(20)
        ]


async def test_a_read_of_a_wrong_address_fails_nobody_else(postgres_uri: str) -> None:
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        await put(saver, [1])

        good, bad, none = await asyncio.gather(
            value_of(saver), saver.aget_tuple(unfit(config())), value_of(saver, "t2"), return_exceptions=True
        )

        assert (good, none) == ([1], None)
        assert isinstance(bad, asyncpg.DataError)


async def test_a_put_waits_for_a_server_that_comes_back(postgres_server: PostgresServer) -> None:
    async with FastPostgresSaver.from_conn_string(postgres_server.uri) as saver:
        await put(saver, [0])
        await asyncio.to_thread(postgres_server.stop, crash=True)

        waiting = [asyncio.create_task(put(saver, [number], config(f"t{number}"))) for number in range(10)]
        await asyncio.sleep(0)
        await asyncio.to_thread(postgres_server.start)
        await asyncio.gather(*waiting)

        assert [await value_of(saver, f"t{number}") for number in range(10)] == [[n] for n in range(10)]


async def test_a_read_sees_what_was_submitted_before_it(database_uri: str) -> None:
    async with fast_saver(database_uri) as saver:
        heavy = b"x" * 1_000_000
        large = asyncio.create_task(put(saver, [heavy]))
        small = asyncio.create_task(put(saver, [1]))
        await asyncio.sleep(0)

        assert await value_of(saver) == [1]
        assert large.done() and small.done()
        found = [each.checkpoint["channel_values"]["a"] async for each in saver.alist(config())]
        assert found == [[1], [heavy]]


async def test_a_long_listing_has_each_checkpoint_once_and_holds_few_at_a_time(
    database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, rows = 0, Database.rows

    async def counted(database: Database, statement: str, *values: Any) -> Any:
        nonlocal most
        found = await rows(database, statement, *values)
        most = max(most, sum("checkpoint" in each.keys() for each in found))  # noqa: SIM118
        return found

    monkeypatch.setattr(Database, "rows", counted)
    checkpoints: list[Any] = [empty_checkpoint() for _ in range(130)]
    ids = [checkpoint["id"] for checkpoint in reversed(checkpoints)]
    async with fast_saver(database_uri) as saver:
        for namespace in ("", "inner"):
            for checkpoint in checkpoints:
                await saver.aput(config(namespace=namespace), checkpoint, {"step": 0}, {})

        async def listed(at: Any = None, **options: Any) -> list[tuple[str, str]]:
            at = at or {"configurable": {"thread_id": "t1"}}
            found = [each.config["configurable"] async for each in saver.alist(at, **options)]
            return [(each["checkpoint_id"], each["checkpoint_ns"]) for each in found]

        everything = await listed()
        assert len(everything) == len(set(everything)) == 260
        assert [checkpoint_id for checkpoint_id, _ in everything[::2]] == ids
        assert await listed(limit=201, filter={"step": 0}) == everything[:201]
        assert await listed(config(namespace="inner")) == [(each, "inner") for each in ids]
        before = {"configurable": {"thread_id": "t1", "checkpoint_id": ids[9]}}
        assert await listed(before=before, limit=150) == everything[20:170]
        assert await listed(limit=0) == []
    assert most <= 100


async def test_a_long_listing_searches_its_thread_once_for_many_pages(
    postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches, rows = 0, Database.rows

    async def counted(database: Database, statement: str, *values: Any) -> Any:
        nonlocal searches
        searches += "ORDER BY checkpoint_id" in statement
        return await rows(database, statement, *values)

    monkeypatch.setattr(Database, "rows", counted)
    monkeypatch.setattr("lgs_runtime.checkpoint.postgres.saver.PAGE", 5)
    thread = {"configurable": {"thread_id": "t1"}}
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        for step in range(100):
            await saver.aput(config(namespace=f"inner:{step % 30}"), empty_checkpoint(), {"step": step}, {})

        listed = [each.metadata["step"] async for each in saver.alist(thread)]
        assert listed == list(reversed(range(100)))
        assert searches <= 2

        # Where more is left than is searched for at once, the next search goes on after it.
        monkeypatch.setattr("lgs_runtime.checkpoint.postgres.saver.PAGES_AT_ONCE", 4)
        assert [each.metadata["step"] async for each in saver.alist(thread)] == listed
        assert [each.metadata["step"] async for each in saver.alist(thread, limit=46)] == listed[:46]
        assert [each.metadata["step"] async for each in saver.alist(None, limit=25)] == listed[:25]


class Said(TypedDict, total=False):
    """What was answered."""

    said: Annotated[list[str], operator.add]


async def fail(state: Said) -> Said:
    raise ValueError("no")


async def recover(state: Said) -> Said:
    return {"said": [interrupt("first"), interrupt("second")]}


async def beside(state: Said) -> Said:
    return {"said": [interrupt("beside")]}


async def test_what_an_error_handler_was_answered_is_kept_until_its_step_is_over(database_uri: str) -> None:
    builder = StateGraph(Said).add_node(fail, error_handler=recover).add_node(beside)
    async with fast_saver(database_uri) as saver:
        graph: Any = builder.add_edge(START, "fail").add_edge(START, "beside").compile(saver)
        given: Any = {}
        for question in ("first", "second", "beside"):
            waiting = (await graph.ainvoke(given, config()))["__interrupt__"]
            given = Command(resume={one.id: one.value for one in waiting if one.value == question})
        ended = await graph.ainvoke(given, config())

    assert "__interrupt__" not in ended
    assert sorted(ended["said"]) == ["beside", "first", "second"]


async def test_other_threads_use_the_methods_that_block(database_uri: str) -> None:
    async with fast_saver(database_uri) as saver:

        def work() -> tuple[Any, int, Any]:
            checkpoint = {**empty_checkpoint(), "channel_versions": {"a": "1"}, "channel_values": {"a": [1]}}
            stored = saver.put(config(), checkpoint, {"step": 0}, {"a": "1"})  # type: ignore[typeddict-item,arg-type]
            saver.put_writes(stored, [("a", 2)], "task")
            saver.copy_thread("t1", "t2")
            saver.prune(["t2"])
            found = saver.get_tuple(config("t2"))
            count = len(list(saver.list(config("t1"))))
            saver.delete_thread("t1")
            return found, count, saver.get_tuple(config("t1"))

        found, count, gone = await asyncio.to_thread(work)

        assert found.checkpoint["channel_values"] == {"a": [1]} and len(found.pending_writes) == 1
        assert (count, gone) == (1, None)
        with pytest.raises(asyncio.InvalidStateError, match="another thread"):
            saver.get_tuple(config())


async def test_only_types_that_are_allowed_are_made_from_what_is_stored(database_uri: str) -> None:
    async with fast_saver(database_uri) as strict:
        await put(strict, Profile(name="Ada"))

        assert await value_of(strict) == {"name": "Ada"}

    async with fast_saver(database_uri, allow=[Profile]) as saver:
        assert await value_of(saver) == Profile(name="Ada")


def joined(state: list[str], writes: list[list[str]]) -> list[str]:
    """A list and what was written to it."""
    return [*state, *chain.from_iterable(writes)]


class Log(TypedDict):
    """A list that is stored by its changes."""

    log: Annotated[list[str], DeltaChannel(joined, list)]


async def test_pruning_keeps_what_delta_channels_are_built_from(postgres_uri: str) -> None:
    builder = StateGraph(Log)
    builder.add_node("a", lambda state: {"log": [f"a{len(state['log'])}"]})
    builder.add_edge(START, "a")
    builder.add_edge("a", END)
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        app = builder.compile(checkpointer=saver)
        for _ in range(4):
            await app.ainvoke({"log": ["in"]}, config())
        before = (await app.aget_state(config())).values

        await saver.aprune(["t1"])

        assert (await app.aget_state(config())).values == before
        assert before["log"] == ["in", "a1", "in", "a3", "in", "a5", "in", "a7"]
        await app.ainvoke({"log": ["in"]}, config())
        assert len((await app.aget_state(config())).values["log"]) == 10


async def test_pruning_leaves_one_checkpoint_and_only_its_values(postgres_uri: str) -> None:
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        at = config()
        for number in range(4):
            at = await put(saver, [number], at)
            await saver.aput_writes(at, [("a", number)], "task")

        await saver.aprune(["t1"])

        left = [found async for found in saver.alist(config())]
        assert [found.checkpoint["channel_values"] for found in left] == [{"a": [3]}]
        assert left[0].parent_config is None
        connection = await asyncpg.connect(postgres_uri)
        counts = [
            await connection.fetchval(f"SELECT count(*) FROM {table}")
            for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
        ]
        await connection.close()
        assert counts == [1, 1, 1]


class Steps(TypedDict):
    """The steps that ran."""

    steps: Annotated[list[str], operator.add]


@pytest.mark.parametrize(
    ("durability", "before_second", "at_end"), [("sync", [["first"]], 4), ("exit", [None], 1)]
)
async def test_durability_means_what_it_says(
    durability: Any, before_second: list[Any], at_end: int, database_uri: str
) -> None:
    seen = []

    async def second(_: Steps) -> Steps:
        async with fast_saver(database_uri) as another:
            found = await another.aget_tuple(config())
        seen.append(found and found.checkpoint["channel_values"]["steps"])
        return {"steps": ["second"]}

    builder = StateGraph(Steps)
    builder.add_node("first", lambda _: {"steps": ["first"]})
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    async with fast_saver(database_uri) as saver:
        app = builder.compile(checkpointer=saver)

        await app.ainvoke({"steps": []}, config(), durability=durability)

        assert seen == before_second
        assert len([found async for found in saver.alist(config())]) == at_end
        assert await app.ainvoke(None, config()) == {"steps": ["first", "second"]}


KILLED = """
import asyncio, operator, sys
from typing import Annotated, TypedDict
from langgraph.graph import START, StateGraph
from lgs_runtime.checkpoint import FastPostgresSaver

class State(TypedDict):
    count: Annotated[list[int], operator.add]

async def count(state):
    return {"count": [len(state["count"])]}

async def main():
    builder = StateGraph(State)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count", ["count"])
    async with FastPostgresSaver.from_conn_string(sys.argv[1]) as saver:
        app = builder.compile(checkpointer=saver)

        async def run(number):
            config = {"configurable": {"thread_id": f"t{number}"}, "recursion_limit": 100000}
            async for step in app.astream(
                {"count": []}, config, stream_mode="values", durability=sys.argv[2]
            ):
                if len(step["count"]) == 5:
                    print("five", flush=True)

        await asyncio.gather(*(run(number) for number in range(20)))

asyncio.run(main())
"""


BEGUN = "SELECT count(*) FROM (SELECT FROM checkpoints GROUP BY thread_id HAVING count(*) > 2) AS begun"


@pytest.mark.parametrize(("durability", "at_least"), [("sync", 4), ("async", 1)])
async def test_a_process_that_is_killed_leaves_whole_checkpoints(
    durability: str, at_least: int, postgres_uri: str, tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), postgres_uri, durability, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(20):
        assert await process.stdout.readline()

    connection = await asyncpg.connect(postgres_uri)
    async with asyncio.timeout(PATIENCE_SECONDS):
        # With `async` what is stored may lag behind what was seen.
        while await connection.fetchval(BEGUN) < 20:
            await asyncio.sleep(0.05)

    process.send_signal(signal.SIGKILL)
    await process.wait()

    dangling = await connection.fetchval(
        """
        SELECT count(*) FROM checkpoints c CROSS JOIN jsonb_each_text(c.checkpoint -> 'channel_versions') v
        WHERE v.key = 'count' AND NOT EXISTS (
            SELECT FROM checkpoint_blobs b
            WHERE b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
              AND b.channel = v.key AND b.version = v.value)
        """
    )
    orphans = await connection.fetchval(
        """
        SELECT count(*) FROM checkpoints c WHERE parent_checkpoint_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM checkpoints p
            WHERE p.thread_id = c.thread_id AND p.checkpoint_ns = c.checkpoint_ns
              AND p.checkpoint_id = c.parent_checkpoint_id)
        """
    )
    await connection.close()
    assert (dangling, orphans) == (0, 0)
    async with FastPostgresSaver.from_conn_string(postgres_uri) as saver:
        for number in range(20):
            history = [found async for found in saver.alist(config(f"t{number}"))]
            counts = [found.checkpoint["channel_values"]["count"] for found in history[:-1]]
            assert counts[0] == list(range(len(counts[0]))) and len(counts[0]) >= at_least
            assert [len(each) for each in counts] == list(reversed(range(len(counts))))
