"""Protocol v2 with the stock SDK: what a thread's stream sends, in which order, and from where it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.stream.transport import ProtocolSseTransport, ProtocolWebSocketTransport
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from lgs_runtime.runs import stream_v2 as protocol_stream
from lgs_runtime.settings import Settings
from lgs_runtime.streams.stream_v2 import CHANNELS

pytestmark = pytest.mark.usefixtures("unhurried")
EVERYTHING = sorted(CHANNELS)
Event = dict[str, Any]


@asynccontextmanager
async def listening(
    url: str, thread: str, headers: Any = None, **wanted: Any
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a thread, by the SDK's transport."""
    async with httpx.AsyncClient(base_url=url, timeout=60, headers=headers) as http:
        transport = ProtocolSseTransport(client=http, thread_id=thread)
        handle = transport.open_event_stream({"channels": EVERYTHING, **wanted})
        await handle.ready
        yield handle.events
        await transport.close()


async def until_the_end(events: AsyncIterator[Event], runs: int = 1) -> list[Event]:
    """Events up to the end of so many runs."""
    heard: list[Event] = []
    async with asyncio.timeout(60):
        async for event in events:
            heard.append(event)
            runs -= is_end(event)
            if not runs:
                break
    return heard


def is_end(event: Event) -> bool:
    data, namespace = event["params"]["data"], event["params"]["namespace"]
    return event["method"] == "lifecycle" and not namespace and data["event"] not in ("started", "running")


async def hear(url: str, thread: str, runs: int = 1, **wanted: Any) -> list[Event]:
    async with listening(url, thread, **wanted) as events:
        return await until_the_end(events, runs)


async def command(url: str, thread: str, method: str, params: Any) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        body = {"id": 7, "method": method, "params": params}
        answer = await http.post(f"/threads/{thread}/commands", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def start(url: str, thread: str, graph: str, graph_input: Any) -> str:
    answer = await command(url, thread, "run.start", {"assistant_id": graph, "input": graph_input})
    return str(answer["result"]["run_id"])


def methods(events: list[Event]) -> list[str]:
    return [event["method"] for event in events]


def lives(events: list[Event]) -> list[tuple[list[str], str]]:
    return [
        (event["params"]["namespace"], event["params"]["data"]["event"])
        for event in events
        if event["method"] == "lifecycle"
    ]


async def test_a_thread_stream_gives_state_tokens_and_result(client: LangGraphClient) -> None:
    async with client.threads.stream(assistant_id="chat") as thread:
        await thread.run.start(input={"messages": [{"role": "user", "content": "hi"}]})
        streams = [stream async for stream in thread.messages]
        said = ["".join([token async for token in stream.text]) for stream in streams]
        values = await thread.output

    assert said == ["a b c"]
    assert [message["type"] for message in values["messages"]] == ["human", "ai"]


async def test_values_and_updates_are_what_the_graph_gives_out(client: LangGraphClient, url: str) -> None:
    thread = (await client.threads.create())["thread_id"]
    await start(url, thread, "private", {"question": "q"})

    events = await hear(url, thread)

    told = [event["params"]["data"] for event in events if event["method"] in ("values", "updates")]
    assert {"node": "speak", "values": {"answer": "42"}} in told
    assert told[-1] == {"answer": "42"}
    assert "secret" not in json.dumps(told)


async def test_a_question_is_asked_and_answered(client: LangGraphClient, url: str) -> None:
    async with client.threads.stream(assistant_id="asks") as thread:
        await thread.run.start(input={})
        # The SDK ends the iteration by another connection: the last values may come after it.
        async for _ in thread.values:
            pass
        asked = list(thread.interrupts)
        told = await hear(url, thread.thread_id)
        await thread.run.respond("this one")
        values = await thread.output

    question = methods(told).index("input.requested")
    snapshots = [event["params"]["data"] for event in told[:question] if event["method"] == "values"]
    assert snapshots[-1]["steps"] == ["first"]
    assert [one["value"] for one in asked] == [{"question": "which?"}]
    assert values["steps"] == ["first", "told this one", "second"]


async def test_input_answers_the_question_that_a_thread_waits_with(url: str) -> None:
    thread = str(uuid4())
    await start(url, thread, "asks", {})
    paused = await hear(url, thread)

    await start(url, thread, "asks", "that one")
    events = await hear(url, thread, since=paused[-1]["seq"])

    assert lives(paused)[-1] == ([], "interrupted")
    assert lives(events) == [([], "running"), ([], "completed")]
    values = [event["params"]["data"] for event in events if event["method"] == "values"]
    assert values[-1]["steps"] == ["first", "told that one", "second"]


async def test_a_question_can_be_answered_after_its_events_are_gone(replica: Replica) -> None:
    thread = str(uuid4())
    run = await start(replica.url, thread, "asks", {})
    first = await hear(replica.url, thread)
    await replica.services.streams.discard(run)

    left = await hear(replica.url, thread)

    asked = [event for event in first if event["method"] == "input.requested"]
    again = [event for event in left if event["method"] == "input.requested"]
    assert [event["event_id"] for event in again] == [event["event_id"] for event in asked]
    assert lives(left)[-1] == ([], "interrupted")


async def test_what_a_subgraph_does_stands_under_its_namespace(url: str) -> None:
    thread = str(uuid4())
    await start(url, thread, "nested", {})

    events = await hear(url, thread)

    inner = next(event["params"]["namespace"] for event in events if event["params"]["namespace"])
    assert inner[0].startswith("inner:")
    assert lives(events) == [([], "running"), (inner, "started"), (inner, "completed"), ([], "completed")]
    updates = [event["params"] for event in events if event["method"] == "updates"]
    assert [(one["namespace"], one["data"]["node"]) for one in updates] == [(inner, "child"), ([], "inner")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"channels": ["updates"]}, ["child", "inner"]),
        ({"channels": ["updates"], "namespaces": [["inner"]]}, ["child"]),
        ({"channels": ["updates"], "namespaces": [[]], "depth": 0}, ["inner"]),
        ({"channels": ["updates"], "namespaces": [["other"], []], "depth": 1}, ["child", "inner"]),
        ({"channels": ["custom:other"]}, []),
    ],
)
async def test_a_stream_tells_only_what_was_asked_for(
    url: str, wanted: dict[str, Any], expected: list[str]
) -> None:
    thread = str(uuid4())
    await start(url, thread, "nested", {})
    ends = {"channels": [*wanted["channels"], "lifecycle"]}

    events = await hear(url, thread, **{**wanted, **ends}) if "namespaces" not in wanted else []
    if not events:
        await hear(url, thread)
        async with listening(url, thread, **wanted) as heard:
            events = [await anext(heard) for _ in expected]

    told = [event["params"]["data"]["node"] for event in events if event["method"] == "updates"]
    assert told == expected


async def test_numbers_grow_along_the_thread_and_are_the_same_on_every_replica(
    replica: Replica, other: Replica
) -> None:
    thread = str(uuid4())
    for _ in range(2):
        await start(replica.url, thread, "nested", {})
        await hear(replica.url, thread, channels=["lifecycle"], namespaces=[[]], depth=0)
        await settled(replica.client, thread)

    here = await contents(replica.url, thread)
    there = await contents(other.url, thread)

    numbers = [event["seq"] for event in here]
    assert numbers == sorted(set(numbers))
    assert max(numbers) < 2**53
    assert here == there


async def settled(client: LangGraphClient, thread: str) -> None:
    async with asyncio.timeout(60):
        while (await client.threads.get(thread))["status"] == "busy":
            await asyncio.sleep(0.05)


async def contents(url: str, thread: str) -> list[Event]:
    """The values of all runs that are kept, until the last end."""
    return [event for event in await hear(url, thread) if event["method"] in ("values", "lifecycle")]


async def test_a_stream_may_be_opened_before_its_thread_is_made(url: str) -> None:
    thread = str(uuid4())

    async with listening(url, thread) as events:
        await start(url, thread, "steps", {})
        heard = await until_the_end(events)

    assert heard == await hear(url, thread)
    assert lives(heard) == [([], "running"), ([], "completed")]


async def test_a_stream_tells_the_end_of_a_run_that_ends_while_it_is_opened(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, storage = str(uuid4()), replica.services.storage
    read_runs, looking, ended = storage.runs.of_thread, asyncio.Event(), asyncio.Event()

    async def runs_later(thread_id: str, *args: Any, **more: Any) -> Any:
        looking.set()
        await ended.wait()
        return await read_runs(thread_id, *args, **more)

    run = await start(replica.url, thread, "slow", {"text": thread})
    await entrance(thread).wait()
    monkeypatch.setattr(storage.runs, "of_thread", runs_later)
    async with listening(replica.url, thread, channels=["lifecycle"]) as events:
        await looking.wait()
        gate(thread).set()
        await replica.services.notifier.finished(run)
        ended.set()
        heard = await until_the_end(events)

    assert lives(heard) == [([], "running"), ([], "completed")]


async def test_a_question_is_told_to_who_watches_after_those_who_read_have_the_run(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol_stream, "ABSENT_SECONDS", 3600.0)
    thread = str(uuid4())
    async with listening(replica.url, thread, channels=["lifecycle", "input"]) as watched:
        run = await start(replica.url, thread, "asks", {})
        assert (await anext(watched))["params"]["data"]["event"] == "running"
        question = asyncio.ensure_future(anext(watched))
        await replica.services.notifier.finished(run)

        async with listening(replica.url, thread, channels=["updates"]) as read:
            update = await anext(read)
            asked = await asyncio.wait_for(question, 60)

    assert update["params"]["data"]["node"] == "first"
    assert asked["method"] == "input.requested"


async def test_a_question_is_told_to_who_watches_alone(url: str) -> None:
    thread = str(uuid4())
    await start(url, thread, "asks", {})

    heard = await hear(url, thread, channels=["lifecycle", "input"])

    assert methods(heard) == ["lifecycle", "input.requested", "lifecycle"]


async def test_beginnings_questions_and_ends_name_their_run(url: str) -> None:
    thread = str(uuid4())
    run = await start(url, thread, "asks", {})

    heard = await hear(url, thread, channels=["lifecycle", "input"])

    assert [event["event_id"].split(":")[:2] for event in heard] == [["synth", run]] * 3
    assert len({event["event_id"] for event in heard}) == 3


async def test_a_listener_that_comes_back_misses_and_repeats_nothing(url: str) -> None:
    thread = str(uuid4())
    await start(url, thread, "asks", {})
    whole = await hear(url, thread)

    for at in range(len(whole) - 1):
        again = await hear(url, thread, since=whole[at]["seq"])
        assert [event["event_id"] for event in again] == [event["event_id"] for event in whole[at + 1 :]]


async def test_a_listener_that_comes_back_may_give_the_id_of_the_event_that_it_has(url: str) -> None:
    thread = str(uuid4())
    await start(url, thread, "asks", {})
    ids = [event["event_id"] for event in await hear(url, thread)]

    async def after(event_id: str) -> list[str]:
        again = await hear(url, thread, headers={"Last-Event-ID": event_id})
        return [event["event_id"] for event in again]

    published = [place for place, event_id in enumerate(ids) if not event_id.startswith("synth:")]
    assert published
    for place in published:
        assert await after(ids[place]) == ids[place + 1 :]
    assert await after(ids[-1]) == ids, "the end of a run has no place in its stream"


async def test_a_stream_goes_on_when_its_run_moves_to_another_replica(alone: Settings) -> None:
    events: list[Event] = []
    async with open_replica(replace(alone, replica_id="leaving")) as leaving:
        thread = str(uuid4())
        await start(leaving.url, thread, "slow", {"text": thread})
        await entrance(thread).wait()
        entrance(thread).clear()
        async with (
            open_replica(replace(alone, replica_id="staying")),
            listening(leaving.url, thread) as heard,
            asyncio.timeout(60),
        ):
            async for event in heard:
                events.append(event)
                if event["method"] == "updates" and event["params"]["data"]["node"] == "first":
                    await leaving.services.worker.drain(0)
                    await entrance(thread).wait()
                    gate(thread).set()
                if is_end(event):
                    break

    nodes = [event["params"]["data"]["node"] for event in events if event["method"] == "updates"]
    assert lives(events) == [([], "running"), ([], "running"), ([], "completed")]
    assert nodes == ["first", "waits", "second"]
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)


async def test_runs_of_the_plain_api_are_heard_too(client: LangGraphClient, url: str) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.create(thread, "steps", input={}, stream_mode=["values", "updates", "custom"])

    events = await hear(url, thread)

    told = [(event["method"], event["params"]["data"]) for event in events]
    assert ("custom", {"payload": {"progress": "half"}}) in told
    assert ("updates", {"node": "second", "values": {"steps": ["second"]}}) in told
    assert lives(events) == [([], "running"), ([], "completed")]


async def test_a_run_of_the_protocol_is_heard_by_the_plain_api_too(client: LangGraphClient, url: str) -> None:
    thread = str(uuid4())
    run = await start(url, thread, "steps", {})

    parts = [part async for part in client.runs.join_stream(thread, run, last_event_id="-1")]

    told = [(part.event, part.data) for part in parts if part.event in ("updates", "custom")]
    assert told == [
        ("updates", {"first": {"steps": ["first"]}}),
        ("custom", {"progress": "half"}),
        ("updates", {"second": {"steps": ["second"]}}),
    ]


async def test_a_failed_and_a_cancelled_run_say_so(client: LangGraphClient, url: str) -> None:
    failing, stopped = str(uuid4()), str(uuid4())
    await start(url, failing, "broken", {"text": "milk"})
    run = await start(url, stopped, "slow", {"text": stopped})
    await entrance(stopped).wait()
    await client.runs.cancel(stopped, run)

    ends = [(await hear(url, thread))[-1]["params"]["data"] for thread in (failing, stopped)]

    assert [(end["event"], end["error"]) for end in ends] == [
        ("failed", "ValueError: no milk today"),
        ("failed", "the run was cancelled"),
    ]


async def test_a_client_whose_run_is_cancelled_waits_no_longer_and_may_say_the_next_thing(
    client: LangGraphClient, url: str
) -> None:
    thread_id = str(uuid4())
    async with client.threads.stream(thread_id, assistant_id="slow") as thread, asyncio.timeout(60):
        run = await thread.run.start(input={"text": thread_id})
        await entrance(thread_id).wait()
        canceller = asyncio.ensure_future(client.runs.cancel(thread_id, run["run_id"]))
        snapshots = [snapshot async for snapshot in thread.values]
        with pytest.raises(RuntimeError, match="the run was cancelled"):
            await thread.output
        await canceller
    await start(url, thread_id, "steps", {})
    await settled(client, thread_id)
    values = (await client.threads.get_state(thread_id))["values"]

    assert snapshots[-1]["steps"] == ["first"]
    assert values["steps"] == ["first", "first", "second"]


async def test_the_end_of_an_earlier_run_is_not_taken_for_that_of_the_next(
    client: LangGraphClient, url: str
) -> None:
    thread = str(uuid4())
    await start(url, thread, "steps", {})
    await hear(url, thread)
    await start(url, thread, "slow", {"text": thread})
    await entrance(thread).wait()

    async with listening(url, thread, channels=["lifecycle"]) as events:
        begun = await anext(events)
        gate(thread).set()
        rest = await until_the_end(events)

    assert lives([begun, *rest]) == [([], "running"), ([], "completed")]
    assert (await client.threads.get_state(thread))["values"]["steps"][-1] == "second"


@pytest.mark.parametrize(
    ("method", "params", "code", "said"),
    [
        ("run.begin", {}, "unknown_command", "must be one of run.start"),
        ("run.start", {"input": {}}, "invalid_argument", "assistant_id: must be given"),
        ("run.start", {"assistant_id": "nothing"}, "invalid_argument", "the graphs of this service are"),
        ("run.start", {"assistant_id": "asks", "langsmith_tracer": {"x": 1}}, "invalid_argument", "x: 1"),
        ("input.respond", {"response": 1}, "invalid_argument", "interrupt_id"),
        ("input.respond", {"interrupt_id": "x", "response": 1}, "no_such_interrupt", "interrupt x"),
        ("input.inject", {}, "not_supported", "takes no messages"),
        ("subscription.subscribe", {"channels": ["values"]}, "not_supported", "WebSocket"),
        ("state.get", {"namespace": ["nowhere"]}, "no_such_namespace", "nowhere"),
        ("agent.getTree", {"run_id": str(uuid4())}, "no_such_run", "not found"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why(
    client: LangGraphClient, url: str, method: str, params: Any, code: str, said: str
) -> None:
    thread = (await client.threads.create(graph_id="asks"))["thread_id"]

    answer = await command(url, thread, method, params)

    assert (answer["type"], answer["id"], answer["error"]) == ("error", 7, code)
    assert said in answer["message"]


async def test_broken_requests_are_refused(client: LangGraphClient, url: str) -> None:
    thread = (await client.threads.create())["thread_id"]
    async with httpx.AsyncClient(base_url=url) as http:
        unnamed = await http.post(f"/threads/{thread}/commands", json={"method": "run.start"})
        nothing = await http.post(f"/threads/{thread}/stream/events", json={"channels": []})
        unknown = await http.post(f"/threads/{thread}/stream/events", json={"channels": ["valuez"]})
        nowhere = await http.post("/threads/nowhere/stream/events", json={"channels": ["values"]})

    refused = (unnamed, nothing, unknown, nowhere)
    assert [answer.status_code for answer in refused] == [422, 422, 422, 422]
    assert unnamed.json()["detail"] == "id: must be given"
    assert "custom:<name>" in unknown.json()["detail"]


async def test_state_is_read_and_forked_by_commands(url: str) -> None:
    thread = str(uuid4())
    await start(url, thread, "asks", {})
    await hear(url, thread)

    state = (await command(url, thread, "state.get", {"keys": ["steps"]}))["result"]
    listed = (await command(url, thread, "state.listCheckpoints", {"limit": 2}))["result"]["checkpoints"]
    tree = (await command(url, thread, "agent.getTree", {}))["result"]["tree"]
    forked = await command(url, thread, "state.fork", {"checkpoint_id": listed[1]["id"]})

    assert state["values"] == {"steps": ["first"]}
    assert state["checkpoint"]["id"] == listed[0]["id"]
    assert [one["step"] for one in listed] == [1, 0]
    assert (tree["namespace"], tree["status"], tree["graph_name"]) == ([], "interrupted", "asks")
    assert forked["result"]["thread_id"] == thread
    assert lives(await hear(url, thread, since=forked["meta"]["applied_through_seq"]))[-1] == (
        [],
        "interrupted",
    )


async def test_a_websocket_carries_commands_and_events(client: LangGraphClient) -> None:
    async with client.threads.stream(assistant_id="asks", transport="websocket") as thread:
        assert isinstance(thread._transport, ProtocolWebSocketTransport)
        await thread.run.start(input={})
        async for _ in thread.values:
            pass
        await thread.run.respond("over a socket")
        values = await thread.output

    assert values["steps"] == ["first", "told over a socket", "second"]


@asynccontextmanager
async def socket(url: str, thread: str, **headers: str) -> AsyncIterator[Any]:
    address = f"{url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    async with connect(address, additional_headers=headers) as connection:
        yield connection


async def say(connection: Any, message: Any) -> Event:
    """Sends a message and returns the next one that is no event."""
    await connection.send(message if isinstance(message, str) else json.dumps(message))
    while (answer := json.loads(await connection.recv()))["type"] == "event":
        pass
    return dict(answer)


async def test_a_socket_may_subscribe_before_its_thread_is_made(url: str) -> None:
    thread = str(uuid4())
    async with socket(url, thread) as connection, asyncio.timeout(60):
        wanted = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["lifecycle"]}}
        subscribed = await say(connection, wanted)
        begun = {"id": 2, "method": "run.start", "params": {"assistant_id": "steps", "input": {}}}
        started = await say(connection, begun)
        heard = [json.loads(await connection.recv()) for _ in range(2)]

    assert (subscribed["type"], subscribed["id"]) == ("success", 1)
    assert (started["type"], started["id"]) == ("success", 2)
    assert lives(heard) == [([], "running"), ([], "completed")]


async def test_a_socket_hears_a_thread_that_is_made_by_another_connection(
    client: LangGraphClient, url: str
) -> None:
    thread = str(uuid4())
    async with socket(url, thread) as connection, asyncio.timeout(60):
        wanted = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["lifecycle"]}}
        await say(connection, wanted)
        await client.runs.wait(thread, "steps", input={}, if_not_exists="create")
        heard = [json.loads(await connection.recv()) for _ in range(2)]

    assert lives(heard) == [([], "running"), ([], "completed")]


async def test_no_subscription_of_a_socket_tells_an_end_before_the_others_have_the_run(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol_stream, "ABSENT_SECONDS", 3600.0)
    thread, storage = str(uuid4()), replica.services.storage
    read_runs, looking, ended = storage.runs.of_thread, asyncio.Event(), asyncio.Event()

    async def runs_later(thread_id: str, *args: Any, **more: Any) -> Any:
        looking.set()
        await ended.wait()
        return await read_runs(thread_id, *args, **more)

    run = await start(replica.url, thread, "slow", {"text": thread})
    await entrance(thread).wait()
    heard: list[Event] = []
    async with socket(replica.url, thread) as connection, asyncio.timeout(60):
        lifecycle = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["lifecycle"]}}
        await say(connection, lifecycle)
        await connection.recv()
        monkeypatch.setattr(storage.runs, "of_thread", runs_later)
        await say(connection, {**lifecycle, "id": 2, "params": {"channels": ["updates"]}})
        await looking.wait()
        gate(thread).set()
        await replica.services.notifier.finished(run)
        ended.set()
        while not (heard and is_end(heard[-1])):
            heard.append(json.loads(await connection.recv()))

    assert methods(heard) == ["updates"] * 3 + ["lifecycle"]


async def test_a_socket_outlives_what_it_can_not_understand(client: LangGraphClient, url: str) -> None:
    thread = (await client.threads.create())["thread_id"]
    wanted = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}}
    async with socket(url, thread) as connection, asyncio.timeout(60):
        broken = await say(connection, "{")
        bare = await say(connection, {"channels": ["values"]})
        long = await say(connection, {"id": 3, "method": "x" * 70_000})
        name = (await say(connection, wanted))["result"]["subscription_id"]
        leave = {"id": 4, "method": "subscription.unsubscribe", "params": {"subscription_id": name}}
        left, again = await say(connection, leave), await say(connection, leave)
        restored = await say(connection, {"id": 5, "method": "subscription.reconnect"})

    assert [one["error"] for one in (broken, bare, long)] == ["invalid_argument"] * 3
    assert "at most 65536 bytes" in long["message"]
    assert (left["type"], again["error"]) == ("success", "no_such_subscription")
    assert restored["result"] == {"restored": False}


async def test_a_socket_ends_with_its_thread(client: LangGraphClient, url: str) -> None:
    thread = (await client.threads.create())["thread_id"]
    wanted = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}}
    async with socket(url, thread) as connection, asyncio.timeout(60):
        await say(connection, wanted)

        await client.threads.delete(thread)

        with pytest.raises(ConnectionClosedOK):
            await connection.recv()


async def test_a_socket_needs_what_a_request_needs(alone: Settings) -> None:
    async with open_replica(replace(alone, api_keys="ops=a-long-and-secret-key")) as guarded:
        thread = str(uuid4())

        with pytest.raises(InvalidStatus) as refused:
            async with socket(guarded.url, thread):
                pass
        async with socket(guarded.url, thread, **{"X-Api-Key": "a-long-and-secret-key"}) as connection:
            answer = await say(
                connection, {"id": 1, "method": "run.start", "params": {"assistant_id": "steps"}}
            )

    assert refused.value.response.status_code == 401
    assert answer["type"] == "success"
