"""The answer cache: what is asked again is answered without the graph, by a run like any other, and never
where the answer is another's."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_answering import asked, caching
from api_limits import client_of
from api_replicas import Replica, open_replica
from langchain_core.runnables import RunnableLambda
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.settings import Settings
from lgs_runtime.worker import answers
from lgs_runtime.worker.answer_graph import answering_graph
from support.at_rest import postgres_at_rest, redis_at_rest, sqlite_at_rest
from support.ports import PATIENCE_SECONDS
from support.receiver import receiving

ALICE, BOB = ({"Authorization": f"Bearer {who}-token"} for who in ("alice", "bob"))
MODES = [
    "values",
    "updates",
    "messages",
    "messages-tuple",
    "tasks",
    "checkpoints",
    "debug",
    "custom",
    "events",
]


@pytest.fixture
def client(answering: Replica) -> LangGraphClient:
    return answering.client


@pytest.fixture
def question() -> str:
    """One that nobody has asked yet."""
    return uuid4().hex


def said(question: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question, **more}]}


def spoken(values: Any) -> str:
    return str(values["messages"][-1]["content"])


async def thread_of(client: LangGraphClient) -> str:
    return str((await client.threads.create())["thread_id"])


async def run_of(client: LangGraphClient, thread: str) -> Any:
    (run,) = await client.runs.list(thread)
    return run


async def test_what_is_asked_again_is_answered_without_the_graph(
    client: LangGraphClient, answering: Replica, question: str
) -> None:
    before = answering.services.cache.statistics.of("graph/(answer)").hits
    once = [spoken(await client.runs.wait(None, "graph", input=said(question))) for _ in range(3)]
    always = [spoken(await client.runs.wait(None, "asks_always", input=said(question))) for _ in range(2)]

    assert once == [f"To you: {question}, 1"] * 3
    assert always == [f"To you: {question}, {number}" for number in (2, 3)]
    assert answering.services.cache.statistics.of("graph/(answer)").hits - before == 2


async def test_a_thread_of_a_cached_answer_has_the_state_it_would_have_and_goes_on(
    client: LangGraphClient, question: str
) -> None:
    first, second = [await thread_of(client) for _ in range(2)]
    await client.runs.wait(first, "graph", input=said(question, id="asked-first"))
    await client.runs.wait(second, "graph", input=said(question, id="asked-again"))
    states = [await client.threads.get_state(thread) for thread in (first, second)]
    history = await client.threads.get_history(second)
    runs = [await run_of(client, thread) for thread in (first, second)]
    turn = await client.runs.wait(second, "graph", input=said("and now"))

    values = [state["values"] for state in states]
    ids = [[message["id"] for message in each["messages"]] for each in values]
    assert [each[0] for each in ids] == ["asked-first", "asked-again"]
    assert {name: values[1][name] for name in ("steps", "length", "topic")} == {
        "steps": ["classify", "reply"],
        "length": len(question),
        "topic": question[0],
    }
    assert spoken(values[1]) == spoken(values[0])
    assert states[1]["next"] == [] and len(history) == 3
    assert [run["metadata"].get("answer_cache") for run in runs] == [None, "hit"]
    assert [state["metadata"].get("answer_cache") for state in states] == [None, "hit"]
    assert [run["status"] for run in runs] == ["success"] * 2
    assert turn["steps"] == ["classify", "reply"] * 2
    assert spoken(turn).startswith("To you: and now, ")


async def test_every_stream_mode_tells_of_a_short_run(client: LangGraphClient, question: str) -> None:
    await client.runs.wait(None, "graph", input=said(question))

    parts = [
        part async for part in client.runs.stream(None, "graph", input=said(question), stream_mode=MODES)
    ]

    answer = f"To you: {question}, 1"
    by = {
        name: [part.data for part in parts if part.event == name] for name in {part.event for part in parts}
    }
    assert [spoken(values) for values in by["values"]] == [question, answer]
    assert [list(update) for update in by["updates"]] == [["reply"]]
    assert by["updates"][0]["reply"]["messages"][0]["content"] == answer
    assert by["updates"][0]["reply"]["steps"] == ["classify", "reply"]
    assert [message[0]["content"] for message in by["messages"]] == [answer]
    assert by["messages"][0][1]["langgraph_node"] == "reply"
    assert [messages[0]["content"] for messages in by["messages/complete"]] == [answer]
    assert [task["name"] for task in by["tasks"]] == ["reply"] * 2
    assert by["checkpoints"][-1]["next"] == []
    assert {event["type"] for event in by["debug"]} == {"checkpoint", "task", "task_result"}
    assert by["events"][-1]["event"] == "on_chain_end"
    assert not by.keys() & {"error", "custom"}
    assert asked[question] == 1


async def test_protocol_v2_tells_what_was_said(client: LangGraphClient, question: str) -> None:
    heard = []
    for _ in range(2):
        async with client.threads.stream(assistant_id="graph") as thread:
            await thread.run.start(input=said(question))
            streams = [stream async for stream in thread.messages]
            text = ["".join([token async for token in stream.text]) for stream in streams]
            heard.append((text, spoken(await thread.output)))
    plain = await client.runs.wait(None, "graph", input=said(question))

    assert heard[0][0] == [f"To you: {question}, 1"]
    assert heard[1] == heard[0]
    assert spoken(plain) == f"To you: {question}, 2"


async def test_tools_agents_and_followers_hear_the_same(answering: Replica, question: str) -> None:
    answer, client = f"To you: {question}, 1", answering.client
    await client.runs.wait(None, "graph", input=said(question))
    tool = {"name": "graph", "arguments": said(question)}
    message = {"role": "user", "messageId": uuid4().hex, "parts": [{"kind": "text", "text": question}]}
    agents = await client.assistants.search(graph_id="graph")
    headers = {"Accept": "application/json"}

    async with httpx.AsyncClient(base_url=answering.url, timeout=60, headers=headers) as http:
        called = await http.post(
            "/mcp/", json={"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": tool}
        )
        sent = {"jsonrpc": "2.0", "id": 0, "method": "message/send", "params": {"message": message}}
        told = await http.post(f"/a2a/{agents[0]['assistant_id']}", json=sent)
    thread = await thread_of(client)
    run = await client.runs.create(thread, "graph", input=said(question))
    joined = await client.runs.join(thread, run["run_id"])

    assert spoken(called.json()["result"]["structuredContent"]) == answer
    assert told.json()["result"]["artifacts"][0]["parts"][0]["text"] == answer
    assert spoken(joined) == answer


async def test_a_webhook_is_told_of_it(client: LangGraphClient, question: str) -> None:
    await client.runs.wait(None, "graph", input=said(question))
    async with receiving() as receiver:
        await client.runs.create(None, "graph", input=said(question), webhook=receiver.url)
        told = await receiver.first()

    assert (told["status"], told["metadata"]["answer_cache"]) == ("success", "hit")
    assert spoken(told["values"]) == f"To you: {question}, 1"


@pytest.mark.parametrize(
    "more",
    [
        {"config": {"configurable": {"tone": "kind"}}},
        {"context": {"tone": "kind"}},
        {"interrupt_before": ["reply"]},
        {"input": {"topic": "another"}},
    ],
    ids=str,
)
async def test_what_is_asked_otherwise_is_another_question(
    client: LangGraphClient, question: str, more: dict[str, Any]
) -> None:
    await client.runs.wait(None, "graph", input=said(question))

    await client.runs.wait(None, "graph", **{**more, "input": {**said(question), **more.get("input", {})}})

    assert asked[question] == 2


async def test_another_assistant_has_answers_of_its_own(client: LangGraphClient, question: str) -> None:
    other = await client.assistants.create("graph", name="other")
    for assistant in ("graph", other["assistant_id"], "graph", other["assistant_id"]):
        await client.runs.wait(None, assistant, input=said(question))

    assert asked[question] == 2


async def test_a_question_in_the_middle_of_a_thread_is_not_cached(
    client: LangGraphClient, question: str
) -> None:
    thread = await thread_of(client)
    for _ in range(2):
        await client.runs.wait(thread, "graph", input=said(question))
    forked = (await client.threads.get_history(thread))[-1]["checkpoint"]
    await client.runs.wait(thread, "graph", input=None, checkpoint=forked)

    assert asked[question] == 3


async def test_what_fails_or_asks_is_kept_nowhere(client: LangGraphClient, question: str) -> None:
    failing, asking = f"fail {question}", f"which {question}"
    threads = [await thread_of(client) for _ in range(2)]
    for _ in range(2):
        await client.runs.wait(None, "graph", input=said(failing), raise_error=False)
    for thread in threads:
        await client.runs.wait(thread, "graph", input=said(asking))
    questions = [(await client.threads.get_state(thread))["interrupts"][0]["value"] for thread in threads]
    answered = [await client.runs.wait(thread, "graph", command={"resume": "this"}) for thread in threads]

    assert asked[failing] == 2
    assert questions == ["which one?"] * 2
    assert asked[asking] == 4
    assert [values["steps"] for values in answered] == [["classify", "reply"]] * 2


async def test_a_graph_whose_state_can_t_be_written_again_runs_and_is_counted(
    client: LangGraphClient, answering: Replica
) -> None:
    steps = [(await client.runs.wait(None, "summed", input=said("x")))["steps"] for _ in range(2)]

    assert steps[0] != steps[1]
    assert answering.services.cache.statistics.of("summed/(answer)").errors == 2


async def test_a_question_that_makes_no_key_is_counted_and_answered(
    client: LangGraphClient, answering: Replica, question: str
) -> None:
    deep: Any = question
    for _ in range(100):
        deep = [deep]
    before = answering.services.cache.statistics.of("graph/(answer)").errors

    values = await client.runs.wait(None, "graph", input={**said(question), "topic": deep})

    assert spoken(values) == f"To you: {question}, 1"
    assert answering.services.cache.statistics.of("graph/(answer)").errors == before + 1


async def test_answers_are_forgotten_when_their_namespace_is(answering: Replica, question: str) -> None:
    client = answering.client
    await client.runs.wait(None, "graph", input=said(question))
    async with httpx.AsyncClient(base_url=answering.url) as http:
        forgotten = await http.delete("/cache", params={"namespace": "graph/(answer)"})
    await client.runs.wait(None, "graph", input=said(question))

    assert forgotten.json()["deleted"] >= 1
    assert asked[question] == 2


async def test_two_revisions_at_once_answer_each_for_itself(alone: Settings, question: str) -> None:
    settings = caching(alone)
    releases = [replace(settings, replica_id=name, revision_digest=name) for name in ("old", "new")]
    told = []
    for release in (*releases, *releases):
        async with open_replica(release) as replica:
            told.append(spoken(await replica.client.runs.wait(None, "graph", input=said(question))))

    # Without a Redis a replica that is gone leaves nothing behind.
    shared = settings.redis_uri is not None
    assert told == [f"To you: {question}, {number}" for number in (1, 2, *((1, 2) if shared else (3, 4)))]


async def test_no_user_gets_what_another_was_answered(alone: Settings, question: str) -> None:
    settings = replace(caching(alone), auth_path="api_auth:tokens")
    async with open_replica(settings) as replica:
        told = []
        for who in (ALICE, BOB, ALICE, BOB):
            async with client_of(replica.url, headers=who) as client:
                told.append(spoken(await client.runs.wait(None, "graph", input=said(question))))

    assert told[:2] == [f"To alice: {question}, 1", f"To bob: {question}, 2"]
    assert told[2:] == told[:2]


async def test_a_service_that_seals_keeps_answers_sealed_and_by_their_tenants(
    alone: Settings, question: str
) -> None:
    settings = replace(caching(alone), encryption_path="support.ciphers:encryption")
    tenants = [base64.b64encode(b'{"tenant": "%s"}' % name).decode() for name in (b"one", b"other")]
    async with open_replica(settings) as replica:
        client, told, threads = replica.client, [], []
        for tenant in (tenants[0], tenants[1], tenants[0], tenants[1]):
            headers = {"X-Encryption-Context": tenant}
            threads.append((await client.threads.create(headers=headers))["thread_id"])
            values = await client.runs.wait(threads[-1], "graph", input=said(question), headers=headers)
            told.append(spoken(values))
        runs = [await run_of(client, thread) for thread in threads]
        if settings.database_uri.startswith("sqlite:"):
            kept = sqlite_at_rest(settings.data_dir)
        else:
            kept = await postgres_at_rest(settings.database_uri)
    kept |= redis_at_rest(settings.redis_uri) if settings.redis_uri else {}

    assert told == [f"To you: {question}, {number}" for number in (1, 2, 1, 2)]
    assert [run["metadata"].get("answer_cache") for run in runs] == [None, None, "hit", "hit"]
    assert not any(question.encode() in value for value in kept.values())


@asynccontextmanager
async def stuck(
    replica: Replica, question: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, str]]:
    """A thread and its run whose answer is cached, and which does not come to write it."""
    reached = asyncio.Event()

    async def never(_: Any) -> Any:
        reached.set()
        await asyncio.Event().wait()

    def waiting(graph: Any, node: str) -> Any:
        made = answering_graph(graph, node)
        made.nodes[node].bound = RunnableLambda(never)
        return made

    await replica.client.runs.wait(None, "graph", input=said(question))
    thread = await thread_of(replica.client)
    with monkeypatch.context() as patched:
        patched.setattr(answers, "answering_graph", waiting)
        run = await replica.client.runs.create(thread, "graph", input=said(question), durability="sync")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reached.wait()
        yield thread, run["run_id"]


async def test_a_cached_answer_that_is_cut_in_the_middle_is_begun_anew(
    alone: Settings, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_replica(caching(alone)) as one, stuck(one, question, monkeypatch) as (thread, run):
        left = await one.client.threads.get_state(thread)
        await one.services.worker.drain(0)
    async with open_replica(replace(caching(alone), replica_id="b")) as two:
        values = await two.client.runs.join(thread, run)
        history = await two.client.threads.get_history(thread)

    assert left["next"] == ["reply"]
    assert values["steps"] == ["classify", "reply"]
    assert [state["metadata"]["step"] for state in history].count(-1) == 1


async def test_a_cached_answer_that_is_cancelled_leaves_nothing_of_another_graph(
    alone: Settings, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_replica(caching(alone)) as replica:
        async with stuck(replica, question, monkeypatch) as (thread, run):
            await replica.client.runs.cancel(thread, run, wait=True)
        ended = await replica.client.runs.get(thread, run)
        left = await replica.client.threads.get_state(thread)
        values = await replica.client.runs.wait(thread, "graph", input=said("and now"))

    assert (ended["status"], left["next"]) == ("interrupted", [])
    assert values["steps"] == ["classify", "reply"]
