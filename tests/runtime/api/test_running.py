"""Runs through the stock SDK: wait, stream, background and join, cancel, resume, stateless."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from api_graphs import entrance, gate
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from lgs_runtime.api.http import long_poll
from support.receiver import receiving


async def collect(stream: Any) -> list[Any]:
    return [part async for part in stream]


async def test_wait_answers_with_the_values_the_run_left(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    values = await client.runs.wait(thread["thread_id"], "steps", input={"steps": ["given"]})

    assert values["steps"] == ["given", "first", "second"]
    kept = await client.threads.get(thread["thread_id"])
    assert kept["status"] == "idle"
    assert kept["values"] == values


async def test_a_graph_that_raises_makes_wait_raise_with_its_words(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    with pytest.raises(Exception, match="ValueError: no tea today"):
        await client.runs.wait(thread["thread_id"], "broken", input={"text": "tea"})

    told = await client.runs.wait(thread["thread_id"], "broken", input={"text": "tea"}, raise_error=False)
    assert told == {"__error__": {"error": "ValueError", "message": "no tea today"}}
    assert (await client.threads.get(thread["thread_id"]))["status"] == "error"
    runs = await client.runs.list(thread["thread_id"])
    assert [run["status"] for run in runs] == ["error", "error"]


async def test_a_run_that_is_soon_over_is_answered_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "WHOLE_WITHIN_SECONDS", 60)
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/runs/wait", json={"assistant_id": "steps", "input": {}})

    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json()["steps"] == ["first", "second"]


async def test_a_run_that_takes_long_is_named_before_it_is_over(url: str, client: LangGraphClient) -> None:
    key = (await client.threads.create())["thread_id"]
    body = {"assistant_id": "slow", "input": {"text": key}}

    async with (
        httpx.AsyncClient(base_url=url) as http,
        http.stream("POST", f"/threads/{key}/runs/wait", json=body) as answer,
    ):
        run_id = answer.headers["content-location"].rsplit("/", 1)[1]
        await entrance(key).wait()
        run = await client.runs.get(key, run_id)
        gate(key).set()
        values = orjson.loads(await answer.aread())

    assert run["status"] == "running"
    assert values["steps"] == ["first", "waited", "second"]


async def test_wait_and_background_name_their_run_in_the_headers(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    named: list[Any] = []

    run = await client.runs.create(thread["thread_id"], "steps", input={}, on_run_created=named.append)
    await client.runs.join(thread["thread_id"], run["run_id"])
    await client.runs.wait(thread["thread_id"], "steps", input={}, on_run_created=named.append)

    assert named[0] == {"run_id": run["run_id"], "thread_id": thread["thread_id"]}
    assert named[1]["thread_id"] == thread["thread_id"]


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("values", {"values"}),
        ("updates", {"updates"}),
        ("custom", {"custom"}),
        ("tasks", {"tasks"}),
        ("checkpoints", {"checkpoints"}),
        ("debug", {"debug"}),
        ("events", {"events"}),
        (["updates", "values"], {"updates", "values"}),
    ],
)
async def test_each_stream_mode_brings_its_events_and_no_others(
    client: LangGraphClient, mode: Any, names: set[str]
) -> None:
    thread = await client.threads.create()

    parts = await collect(client.runs.stream(thread["thread_id"], "steps", input={}, stream_mode=mode))

    assert parts[0].event == "metadata"
    assert parts[0].data["attempt"] == 1
    assert {part.event for part in parts[1:]} == names


async def test_messages_come_token_by_token(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    question = {"messages": [{"role": "user", "content": "say"}]}

    parts = await collect(
        client.runs.stream(
            thread["thread_id"], "chat", input=question, stream_mode=["messages-tuple", "messages"]
        )
    )

    tokens = [part.data[0]["content"] for part in parts if part.event == "messages"]
    assert "".join(tokens) == "a b c"
    assert len(tokens) > 1
    whole = [part.data[0]["content"] for part in parts if part.event == "messages/partial"]
    assert whole[-1] == "a b c"


async def test_events_of_a_subgraph_carry_its_namespace(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    parts = await collect(
        client.runs.stream(
            thread["thread_id"], "nested", input={}, stream_mode="updates", stream_subgraphs=True
        )
    )

    names = [part.event.split(":")[0] for part in parts[1:]]
    assert names == ["updates|inner", "updates"]


async def test_an_error_ends_the_stream_as_an_event(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    parts = await collect(client.runs.stream(thread["thread_id"], "broken", input={"text": "tea"}))

    assert parts[-1].event == "error"
    assert parts[-1].data == {"error": "ValueError", "message": "no tea today"}


async def test_a_dropped_stream_goes_on_after_its_last_event(client: LangGraphClient, url: str) -> None:
    thread = await client.threads.create()
    key = thread["thread_id"]
    run = await client.runs.create(
        key, "slow", input={"text": key}, stream_mode=["updates", "custom"], stream_resumable=True
    )
    seen = []

    async for part in client.runs.join_stream(key, run["run_id"], last_event_id="-1"):
        seen.append(part)
        if part.event == "updates":
            break
    await entrance(key).wait()
    gate(key).set()
    rest = await collect(client.runs.join_stream(key, run["run_id"], last_event_id=seen[-1].id))

    whole = await collect(client.runs.join_stream(key, run["run_id"], last_event_id="-1"))
    assert [(part.event, part.data) for part in seen + rest] == [(part.event, part.data) for part in whole]
    assert len({part.id for part in seen + rest}) == len(seen + rest)
    assert [part.event for part in whole] == ["metadata", "updates", "updates", "custom", "updates"]


async def test_joining_a_stream_may_ask_for_fewer_modes(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    run = await client.runs.create(thread["thread_id"], "steps", input={}, stream_mode=["updates", "values"])

    parts = await collect(
        client.runs.join_stream(thread["thread_id"], run["run_id"], stream_mode="updates", last_event_id="-1")
    )

    assert {part.event for part in parts} == {"metadata", "updates"}


async def test_a_background_run_is_joined_and_listed(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    run = await client.runs.create(thread["thread_id"], "steps", input={}, metadata={"by": "night"})
    values = await client.runs.join(thread["thread_id"], run["run_id"])

    assert values["steps"] == ["first", "second"]
    ended = await client.runs.get(thread["thread_id"], run["run_id"])
    assert (ended["status"], ended["metadata"]["by"]) == ("success", "night")
    assert await client.runs.list(thread["thread_id"], status="success", select=["run_id"]) == [
        {"run_id": run["run_id"]}
    ]


async def test_joining_a_run_gives_its_own_result_although_the_thread_went_on(
    client: LangGraphClient,
) -> None:
    thread = await client.threads.create()
    first = await client.runs.create(thread["thread_id"], "steps", input={"steps": ["one"]})
    await client.runs.join(thread["thread_id"], first["run_id"])
    await client.runs.wait(thread["thread_id"], "steps", input={"steps": ["two"]})

    values = await client.runs.join(thread["thread_id"], first["run_id"])

    assert values["steps"] == ["one", "first", "second"]


async def test_a_cancelled_run_is_interrupted_and_its_thread_goes_on(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    key = thread["thread_id"]
    run = await client.runs.create(key, "slow", input={"text": key})
    await entrance(key).wait()

    await client.runs.cancel(key, run["run_id"], wait=True)

    assert (await client.runs.get(key, run["run_id"]))["status"] == "interrupted"
    values = await client.runs.wait(key, "steps", input={})
    assert values["steps"][-2:] == ["first", "second"]


async def test_a_run_that_is_rolled_back_leaves_nothing(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    key = thread["thread_id"]
    await client.runs.wait(key, "steps", input={"steps": ["before"]})
    run = await client.runs.create(key, "slow", input={"text": key})
    await entrance(key).wait()

    await client.runs.cancel(key, run["run_id"], wait=True, action="rollback")

    with pytest.raises(NotFoundError):
        await client.runs.get(key, run["run_id"])
    state = await client.threads.get_state(key)
    assert state["values"]["steps"] == ["before", "first", "second"]


async def test_many_runs_of_a_thread_are_cancelled_at_once(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    key = thread["thread_id"]
    runs = [await client.runs.create(key, "slow", input={"text": key}) for _ in range(3)]
    await entrance(key).wait()

    await client.runs.cancel_many(thread_id=key, run_ids=[run["run_id"] for run in runs])

    for run in runs:
        await client.runs.join(key, run["run_id"])
        assert (await client.runs.get(key, run["run_id"]))["status"] == "interrupted"


async def test_a_client_that_leaves_cancels_its_run_when_it_said_so(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    key = thread["thread_id"]
    named: list[Any] = []
    stream = client.runs.stream(
        key, "slow", input={"text": key}, on_disconnect="cancel", on_run_created=named.append
    )

    async for part in stream:
        if part.event == "values":
            break
    await entrance(key).wait()
    await stream.aclose()

    await client.runs.join(key, named[0]["run_id"])
    assert (await client.runs.get(key, named[0]["run_id"]))["status"] == "interrupted"


async def test_a_client_that_leaves_does_not_stop_its_run_otherwise(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    key = thread["thread_id"]
    named: list[Any] = []
    stream = client.runs.stream(key, "slow", input={"text": key}, on_run_created=named.append)

    await anext(stream)
    await stream.aclose()
    gate(key).set()

    values = await client.runs.join(key, named[0]["run_id"])
    assert values["steps"] == ["first", "waited", "second"]


async def test_a_delayed_run_waits_for_its_time(client: LangGraphClient) -> None:
    thread = await client.threads.create()

    run = await client.runs.create(thread["thread_id"], "steps", input={}, after_seconds=3600)

    assert (await client.runs.get(thread["thread_id"], run["run_id"]))["status"] == "pending"
    await client.runs.cancel(thread["thread_id"], run["run_id"], wait=True)


async def test_a_stateless_run_leaves_no_thread(client: LangGraphClient) -> None:
    run = await client.runs.create(None, "steps", input={"steps": ["alone"]})

    values = await client.runs.join(run["thread_id"], run["run_id"])

    assert values["steps"] == ["alone", "first", "second"]
    with pytest.raises(NotFoundError):
        await client.threads.get(run["thread_id"])
    assert await client.runs.wait(None, "steps", input={}) == {"steps": ["first", "second"]}
    parts = await collect(client.runs.stream(None, "steps", input={}, stream_mode="updates"))
    assert [part.event for part in parts] == ["metadata", "updates", "updates"]


async def test_a_stateless_run_may_keep_its_thread(client: LangGraphClient) -> None:
    run = await client.runs.create(None, "steps", input={}, on_completion="keep")

    await client.runs.join(run["thread_id"], run["run_id"])

    assert (await client.threads.get(run["thread_id"]))["values"]["steps"] == ["first", "second"]


async def test_a_batch_makes_all_its_runs(client: LangGraphClient) -> None:
    payloads: Any = [{"assistant_id": "steps", "input": {"steps": [str(i)]}} for i in range(3)]

    runs = await client.runs.create_batch(payloads)

    results = [await client.runs.join(run["thread_id"], run["run_id"]) for run in runs]
    assert [values["steps"][0] for values in results] == ["0", "1", "2"]


async def test_the_priority_comes_from_header_configuration_or_metadata(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]

    runs: list[Any] = [
        await client.runs.create(thread, "steps", input={}, headers={"X-LGS-Priority": "high"}),
        await client.runs.create(thread, "steps", input={}, config={"configurable": {"priority": "low"}}),
        await client.runs.create(thread, "steps", input={}, metadata={"priority": "high"}),
        await client.runs.create(thread, "steps", input={}, metadata={"priority": "mine"}),
    ]

    assert [run["priority"] for run in runs] == ["high", "low", "high", "normal"]
    await client.runs.join(thread, runs[-1]["run_id"])


async def test_a_long_answer_is_plain_json_over_http(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/runs/wait", content=b'{"assistant_id": "steps", "input": {}}')

    assert answer.json() == {"steps": ["first", "second"]}
    assert answer.headers["location"].endswith("/join")


async def test_a_run_that_ended_is_told_to_its_webhook(client: LangGraphClient) -> None:
    async with receiving() as receiver:
        await client.runs.wait(None, "steps", input={}, webhook=receiver.url)
        called = await receiver.first()

    assert (called["status"], called["values"]) == ("success", {"steps": ["first", "second"]})


async def test_a_run_without_a_thread_tells_its_question(client: LangGraphClient) -> None:
    values = await client.runs.wait(None, "asks", input={})

    assert [one["value"] for one in values["__interrupt__"]] == [{"question": "which?"}]


@pytest.mark.parametrize("answer", [{"0" * 32: "late"}, "late"])
async def test_a_strict_answer_to_what_does_not_wait_fails_and_changes_nothing(
    client: LangGraphClient, answer: Any
) -> None:
    thread = (await client.threads.create())["thread_id"]
    graph = "asks" if isinstance(answer, dict) else "steps"
    await client.runs.wait(thread, graph, input={})
    before = await client.threads.get(thread)

    run = await client.runs.create(thread, graph, command={"resume": answer}, strict_resume=True)
    failed = await client.runs.join(thread, run["run_id"])

    after = await client.threads.get(thread)
    assert failed["__error__"]["error"] == "UnknownInterruptError"  # type: ignore[call-overload,index]
    assert (after["status"], after["interrupts"]) == (before["status"], before["interrupts"])
    assert after["values"] == before["values"]


async def test_a_strict_answer_to_what_waits_is_taken(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "asks", input={})
    [[question]] = (await client.threads.get(thread))["interrupts"].values()

    resume = {question["id"]: "in time"}
    run = await client.runs.create(thread, "asks", command={"resume": resume}, strict_resume=True)

    values = await client.runs.join(thread, run["run_id"])
    assert values["steps"] == ["first", "told in time", "second"]  # type: ignore[call-overload]
