"""The SQLite checkpointer under rows that can't be stored, several processes, and one that is killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from lgs_runtime.checkpoint import FastPostgresSaver, FastSqliteSaver
from lgs_runtime.errors import ConfigError


def config(thread_id: str) -> Any:
    """The address of a thread."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


async def put(saver: FastSqliteSaver, thread_id: str, value: Any) -> Any:
    """Stores a checkpoint with one value."""
    checkpoint = {**empty_checkpoint(), "channel_versions": {"a": "1"}, "channel_values": {"a": value}}
    return await saver.aput(config(thread_id), checkpoint, {"step": 0}, {"a": "1"})  # type: ignore[arg-type,typeddict-item]


async def test_a_row_that_can_not_be_stored_fails_nobody_else(tmp_path: Path) -> None:
    async with FastSqliteSaver.from_conn_string(tmp_path / "c.db") as saver:
        stored = [await put(saver, f"t{number}", number) for number in range(20)]

        answers = await asyncio.gather(
            *(
                # SQLite takes no lone surrogates in text.
                saver.aput_writes(at, [("a", number)], "bad\ud800" if number in (3, 11) else "task")
                for number, at in enumerate(stored)
            ),
            return_exceptions=True,
        )

        assert [number for number, answer in enumerate(answers) if answer is not None] == [3, 11]
        found = [await saver.aget_tuple(config(f"t{number}")) for number in range(20)]
        assert [len(each.pending_writes or []) for each in found if each] == [
            number not in (3, 11) for number in range(20)
        ]


async def test_more_calls_than_a_statement_takes_are_stored_together(tmp_path: Path) -> None:
    async with FastSqliteSaver.from_conn_string(tmp_path / "c.db") as saver:
        await asyncio.gather(*(put(saver, f"t{number}", number) for number in range(203)))

        found = [each async for each in saver.alist(None)]
        assert sorted(each.checkpoint["channel_values"]["a"] for each in found) == list(range(203))


async def test_a_list_is_read_to_its_end_while_what_it_lists_is_deleted(tmp_path: Path) -> None:
    async with FastSqliteSaver.from_conn_string(tmp_path / "c.db") as saver:
        for number in range(100):
            await put(saver, f"t{number}", number)
        listed = saver.alist(None)
        newest = await anext(listed)

        await saver.adelete_thread("t0")
        rest = [each.checkpoint["channel_values"]["a"] async for each in listed]

    assert newest.checkpoint["channel_values"]["a"] == 99
    assert rest == list(reversed(range(1, 99)))


async def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, and no database at all " * 100)

    for wrong, rule in ((tmp_path / "notes.txt", "must be a SQLite file"), (":memory:", "must name a file")):
        with pytest.raises(ConfigError, match=rule):
            async with FastSqliteSaver.from_conn_string(wrong):
                pass


COUNTING = """
import asyncio, operator, sys
from typing import Annotated, TypedDict
from langgraph.graph import END, START, StateGraph
from lgs_runtime.checkpoint import FastSqliteSaver

class State(TypedDict):
    count: Annotated[list[int], operator.add]

async def count(state):
    return {"count": [len(state["count"])]}

async def main(path, name, most, durability):
    builder = StateGraph(State)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda s: END if len(s["count"]) == int(most) else "count")
    async with FastSqliteSaver.from_conn_string(path) as saver:
        app = builder.compile(checkpointer=saver)

        async def run(number):
            thread_id = f"{name}{number}"
            config = {"configurable": {"thread_id": thread_id}, "recursion_limit": 100000}
            async for step in app.astream({"count": []}, config, stream_mode="values", durability=durability):
                print(thread_id, len(step["count"]), flush=True)

        await asyncio.gather(*(run(number) for number in range(10)))

asyncio.run(main(*sys.argv[1:]))
"""


async def counting(file: Path, name: str, most: int, durability: str) -> asyncio.subprocess.Process:
    """A process with ten runs that count, and say how far they are."""
    arguments = ["-c", COUNTING, str(file), name, str(most), durability]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)


async def counts(saver: FastSqliteSaver, thread_id: str) -> list[list[int]]:
    """The values of a thread's checkpoints, newest first, without that of the input."""
    found = [each async for each in saver.alist(config(thread_id))]
    parents = [each.parent_config and each.parent_config["configurable"]["checkpoint_id"] for each in found]
    ids = [each.config["configurable"]["checkpoint_id"] for each in found]
    assert parents == [*ids[1:], None]
    return [each.checkpoint["channel_values"]["count"] for each in found[:-1]]


@pytest.mark.parametrize(("durability", "lag"), [("sync", 1), ("async", 10**6)])
async def test_a_process_that_is_killed_leaves_each_thread_whole_and_what_was_acknowledged(
    durability: str, lag: int, tmp_path: Path
) -> None:
    process = await counting(tmp_path / "c.db", "t", 10**6, durability)
    assert process.stdout is not None
    told = [(await process.stdout.readline()).split() for _ in range(300)]

    process.send_signal(signal.SIGKILL)
    await process.wait()

    async with FastSqliteSaver.from_conn_string(tmp_path / "c.db") as saver:
        for number in range(10):
            stored = await counts(saver, f"t{number}")
            assert stored == [list(range(length)) for length in reversed(range(len(stored)))]
            reached = max(int(length) for name, length in told if name == f"t{number}".encode())
            # With `sync` a step is stored before the next one begins, so all but the last one is.
            assert len(stored) - 1 >= reached - lag


async def test_several_processes_fill_one_file(tmp_path: Path) -> None:
    processes = [await counting(tmp_path / "c.db", name, 20, "async") for name in "abc"]

    await asyncio.gather(*(process.communicate() for process in processes))

    assert [process.returncode for process in processes] == [0, 0, 0]
    async with FastSqliteSaver.from_conn_string(tmp_path / "c.db") as saver:
        for thread_id in (f"{name}{number}" for name in "abc" for number in range(10)):
            assert (await counts(saver, thread_id))[0] == list(range(20))


async def test_a_uri_names_the_file_that_it_would_as_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with FastSqliteSaver.from_conn_string(f"sqlite:///{tmp_path}/c.db") as saver:
        await put(saver, "t", 1)
    assert (tmp_path / "c.db").is_file()

    for uri, rule in {
        "postgres://me:hush@host/x": "must name a file; FastPostgresSaver takes it",
        "mysql://host/x": "must be sqlite:///path",
    }.items():
        with pytest.raises(ConfigError, match=f"^conn_string: .*{rule}") as refused:
            async with FastSqliteSaver.from_conn_string(uri):
                pass
        assert "hush" not in str(refused.value)
    assert not list(tmp_path.glob("*:"))


@pytest.mark.parametrize("saver", [FastSqliteSaver, FastPostgresSaver])
async def test_an_address_in_place_of_a_database_is_refused_with_what_opens_it(saver: Any) -> None:
    with pytest.raises(TypeError, match=rf"async with {saver.__name__}\.from_conn_string") as refused:
        saver("postgres://me:hush@host/x")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("saver", [FastSqliteSaver, FastPostgresSaver])
def test_a_saver_without_an_event_loop_says_where_it_is_to_be_made(saver: Any) -> None:
    with pytest.raises(RuntimeError, match=rf"^{saver.__name__}: no event loop runs here: must be made in"):
        saver(object())
