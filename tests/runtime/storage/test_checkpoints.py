"""Checkpoints keep LangGraph's own contract, survive a restart of the server, and can be taken back or
copied."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel

from lgs_runtime.checkpoint.savers import delete_run_checkpoints, open_checkpointer
from lgs_runtime.checkpoint.wrappers.foreign import ForeignSaver, copy_checkpoints
from lgs_runtime.database import postgres as database
from lgs_runtime.errors import ConfigError, StorageUnavailable
from lgs_runtime.store import postgres_connections as store_module
from lgs_runtime.store.backends import open_store
from support.ports import PATIENCE_SECONDS, free_port
from support.postgres import PostgresServer
from support.service import new_id


class Profile(BaseModel):
    """A value of the user's own."""

    name: str


class State(TypedDict):
    """Messages, and values of the user's own."""

    messages: Annotated[list[AnyMessage], add_messages]
    profile: Profile


def graph(saver: Any) -> Any:
    """A graph of one step that answers."""
    builder = StateGraph(State)
    builder.add_node("answer", lambda state: {"messages": [AIMessage(f"hello {state['profile'].name}")]})
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile(checkpointer=saver)


def config(thread_id: str, run_id: str | None = None) -> dict[str, Any]:
    """What a run is started with."""
    return {"configurable": {"thread_id": thread_id}, "metadata": {"run_id": run_id} if run_id else {}}


async def say(app: Any, text: str, thread_id: str, run_id: str) -> None:
    """One run."""
    value = {"messages": [HumanMessage(text)], "profile": Profile(name="Ada")}
    await app.ainvoke(value, config(thread_id, run_id))


async def test_the_saver_keeps_langgraphs_contract(database_uri: str) -> None:
    @checkpointer_test(name=f"conformance {database_uri}")
    async def saver() -> Any:
        async with open_checkpointer(database_uri) as opened:
            yield opened

    report = await validate(saver)

    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    passed = {name for name, result in report.results.items() if result.passed}
    assert passed >= {
        "put",
        "put_writes",
        "get_tuple",
        "list",
        "delete_thread",
        "delete_for_runs",
        "copy_thread",
        "prune",
    }


async def test_a_saver_of_the_applications_own_keeps_what_it_had_of_the_contract(tmp_path: Path) -> None:
    @checkpointer_test(name="an official one in front of which the runtime stands")
    async def saver() -> Any:
        async with AsyncSqliteSaver.from_conn_string(f"{tmp_path}/{new_id()}") as official:
            yield ForeignSaver(official)

    report = await validate(saver)

    passed = {name for name, result in report.results.items() if result.passed}
    assert passed >= {"put", "put_writes", "get_tuple", "list", "delete_thread", "copy_thread"}


async def test_messages_and_the_users_own_types_come_back(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        await say(graph(saver), "hi", "t1", "run1")

    async with open_checkpointer(database_uri) as saver:
        state = await graph(saver).aget_state(config("t1"))

    assert [type(message) for message in state.values["messages"]] == [HumanMessage, AIMessage]
    assert state.values["profile"] == Profile(name="Ada")


async def test_a_run_is_taken_back_and_the_one_before_it_stays(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        app = graph(saver)
        await say(app, "first", "t1", "run1")
        await say(app, "second", "t1", "run2")
        await say(app, "elsewhere", "t2", "run2")

        await delete_run_checkpoints(saver, "t1", "run2")

        kept = (await app.aget_state(config("t1"))).values["messages"]
        assert [message.content for message in kept] == ["first", "hello Ada"]
        assert (await app.aget_state(config("t2"))).values["messages"][0].content == "elsewhere"
        await say(app, "third", "t1", "run3")
        assert len((await app.aget_state(config("t1"))).values["messages"]) == 4


async def test_a_copy_goes_its_own_way(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        app = graph(saver)
        await say(app, "first", "t1", "run1")

        await copy_checkpoints(saver, "t1", "t2")
        await say(app, "second", "t2", "run2")

        assert len((await app.aget_state(config("t1"))).values["messages"]) == 2
        assert len((await app.aget_state(config("t2"))).values["messages"]) == 4
        history = [checkpoint async for checkpoint in app.aget_state_history(config("t2"))]
        assert len(history) == 6


async def test_a_deleted_thread_leaves_no_checkpoint(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        await say(graph(saver), "first", "t1", "run1")

        await saver.adelete_thread("t1")

        assert await saver.aget_tuple(config("t1")) is None  # type: ignore[arg-type]


async def test_many_runs_write_at_once(database_uri: str) -> None:
    async with open_checkpointer(database_uri) as saver:
        app = graph(saver)

        await asyncio.gather(*(say(app, "hi", f"t{number}", f"run{number}") for number in range(20)))

        states = [await app.aget_state(config(f"t{number}")) for number in range(20)]
    assert all(len(state.values["messages"]) == 2 for state in states)


async def test_replicas_that_set_up_together_do_not_collide(database_uri: str) -> None:
    async def replica(number: int) -> None:
        async with open_checkpointer(database_uri) as saver, open_store(database_uri) as store:
            await say(graph(saver), "hi", f"t{number}", f"run{number}")
            await store.aput(("memories",), str(number), {"n": number})

    await asyncio.gather(*(replica(number) for number in range(4)))

    async with open_store(database_uri) as store:
        assert len(await store.asearch(("memories",))) == 4


async def test_a_checkpointer_outlives_a_restart_of_the_server(postgres_server: PostgresServer) -> None:
    async with open_checkpointer(postgres_server.uri) as saver:
        app = graph(saver)
        await asyncio.gather(*(say(app, "first", f"t{number}", f"run{number}") for number in range(4)))

        postgres_server.stop()
        postgres_server.start()

        for number in range(4):
            await say(app, "second", f"t{number}", f"again{number}")
        assert len((await app.aget_state(config("t3"))).values["messages"]) == 4


async def test_a_wrong_uri_or_a_silent_server_is_told() -> None:
    with pytest.raises(ConfigError, match="DATABASE_URI: mysql://u:\\*\\*\\*@h/db"):
        open_checkpointer("mysql://u:secret@h/db")
    with pytest.raises(StorageUnavailable):
        async with open_checkpointer(f"postgresql://u:p@127.0.0.1:{free_port()}/db"):
            pass


async def test_a_server_that_is_gone_is_not_waited_for_like_a_busy_one(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CONNECT_SECONDS", 3600.0)
    monkeypatch.setattr(database, "CONNECT_SECONDS", 3600.0)
    async with open_checkpointer(postgres_server.uri) as saver, open_store(postgres_server.uri) as store:
        await asyncio.to_thread(postgres_server.stop)

        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(StorageUnavailable):
                await asyncio.gather(*(saver.aget_tuple(config("t")) for _ in range(4)))
            with pytest.raises(StorageUnavailable):
                await store.aget(("a",), "b")

        await asyncio.to_thread(postgres_server.start)
        assert await saver.aget_tuple(config("t")) is None
