"""An application with the traits of the public ones is served as it is: by its own langgraph.json, from
another folder, with authentication, pages, a store and agents of its own.
"""

from __future__ import annotations

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
GRAPHS = {
    "assistant",
    "summary",
    "first",
    "second",
    "factory",
    "private",
    "typed",
    "asking",
    "team",
    "caller",
}


async def test_it_starts_though_the_file_of_its_environment_is_not_in_the_repository(
    client: LangGraphClient,
) -> None:
    found = await client.assistants.search(limit=100)

    assert {each["graph_id"] for each in found} == GRAPHS


async def test_a_package_that_imports_its_agent_runs_with_the_defaults_of_its_context(
    client: LangGraphClient,
) -> None:
    answer = await client.runs.wait(None, "assistant", input=HELLO)

    assert [each["type"] for each in answer["messages"]] == ["human", "ai", "tool", "ai"]
    assert answer["messages"][2]["content"] == "known: the question"
    assert answer["messages"][3]["content"] == "You said: hello"


async def test_the_words_of_the_model_are_streamed_one_by_one(client: LangGraphClient) -> None:
    parts = [
        part.data[0]["content"]
        async for part in client.runs.stream(None, "assistant", input=HELLO, stream_mode="messages-tuple")
        if part.event == "messages" and part.data[0]["type"] == "AIMessageChunk"
    ]

    assert [part for part in parts if part] == ["You ", "said: ", "hello"]


async def test_a_graph_named_by_a_dotted_path_imports_within_its_package(client: LangGraphClient) -> None:
    answer = await client.runs.wait(None, "summary", input={"text": "one two three four"})

    assert answer["summary"] == "one two three"


@pytest.mark.parametrize(("graph", "n"), [("first", 2), ("second", 3)])
async def test_each_of_several_graphs_in_one_file_is_its_own(
    client: LangGraphClient, graph: str, n: int
) -> None:
    assert await client.runs.wait(None, graph, input={"n": 1}) == {"n": n}


async def test_a_factory_builds_its_agent_for_the_run_and_knows_the_caller(client: LangGraphClient) -> None:
    answer = await client.runs.wait(None, "factory", input={"done": []})

    assert answer == {"done": ["work"], "user": "ann"}


async def test_what_is_not_in_the_output_schema_is_told_to_nobody_and_kept_in_the_state(
    client: LangGraphClient,
) -> None:
    thread = await client.threads.create()
    ident = thread["thread_id"]

    answer = await client.runs.wait(ident, "private", input={"question": "why"})

    state = await client.threads.get_state(ident)
    assert answer == {"answer": "why"}
    assert state["values"] == {"question": "why", "answer": "why", "notes": "notes on why"}


async def test_a_state_of_pydantic_models_keeps_its_dates(client: LangGraphClient) -> None:
    answer = await client.runs.wait(None, "typed", input={"person": {"name": "Ann", "born": "2001-02-03"}})

    assert answer["met"] == [{"name": "Ann", "born": "2001-02-03"}]


async def test_a_tool_asks_and_goes_on_with_the_answer(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    ident = thread["thread_id"]

    await client.runs.wait(ident, "asking", input=HELLO)
    asked = await client.threads.get(ident)
    answer = await client.runs.wait(ident, "asking", command={"resume": "yes"})

    (questions,) = asked["interrupts"].values()
    assert questions[0]["value"] == {"action": "order", "item": "the item"}
    assert [each["content"] for each in answer["messages"] if each["type"] == "tool"] == ["ordered"]


async def test_a_subagent_tells_its_steps_and_its_files_reach_the_state(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    ident = thread["thread_id"]

    told = [
        (part.event.split("|")[0], part.data)
        async for part in client.runs.stream(
            ident, "team", input=HELLO, stream_mode=["custom", "updates"], stream_subgraphs=True
        )
    ]

    state = await client.threads.get_state(ident)
    assert ("custom", {"wrote": "notes.md"}) in told
    assert any("research" in data for event, data in told if event == "updates")
    assert state["values"]["files"] == {"notes.md": "You said: research hello"}


async def test_a_node_talks_to_its_own_server_without_an_address(client: LangGraphClient) -> None:
    answer = await client.runs.wait(None, "caller", input={"n": 1})

    assert answer == {"n": 3, "found": ["sum"]}


async def test_the_store_finds_by_meaning(client: LangGraphClient) -> None:
    await client.store.put_item(["fruit"], "a", {"text": "red apples"})
    await client.store.put_item(["fruit"], "b", {"text": "green pears"})

    found = await client.store.search_items(["fruit"], query="green pears", limit=1)

    if found["items"][0].get("score") is None:
        pytest.skip("this PostgreSQL has no pgvector")
    assert [item["key"] for item in found["items"]] == ["b"]
    assert found["items"][0]["score"] == pytest.approx(1.0)


async def test_its_pages_are_served_and_talk_to_the_api(address: str) -> None:
    headers = {"authorization": "Bearer ann"}
    async with httpx.AsyncClient(base_url=address, headers=headers) as pages:
        hello = await pages.get("/hello")
        hooked = await pages.post("/hook", params={"n": 4})

    assert hello.json() == {"opened": True}
    assert hooked.json() == {"events": ["metadata", "values", "values"], "n": 5}


async def test_who_brings_no_token_is_refused_in_its_own_words(address: str) -> None:
    async with get_client(url=address, api_key=None) as stranger:
        with pytest.raises(Exception, match="a token is needed") as refused:
            await stranger.assistants.search()

    assert getattr(refused.value, "response", None) is not None
    assert refused.value.response.status_code == 401  # type: ignore[attr-defined]
