"""The model that is no model: it drives an agent to its end, in every vendor's words, always alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.model_stub.decide import Asked, Tool, decide
from support.model_stub.server import model_stub
from support.model_stub.values import satisfy

SEARCH = Tool("search", {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]})
DONE = Tool("Done", {"type": "object", "properties": {}})


@pytest.fixture(scope="module")
def stub() -> Iterator[httpx.Client]:
    with model_stub() as address, httpx.Client(base_url=address) as client:
        yield client


def test_an_offered_tool_is_called_once_and_then_it_answers() -> None:
    first = decide(Asked("hello", tools=(SEARCH,)))
    second = decide(Asked("hello", tools=(SEARCH,), called=("search",)))

    assert (first.call, first.arguments) == ("search", {"q": "the q"})
    assert (second.call, second.text) == (None, "You said: hello")


def test_the_users_words_may_name_the_tools() -> None:
    asked = "use:Done please"

    assert decide(Asked(asked, tools=(SEARCH, DONE))).call == "Done"


def test_where_a_call_is_demanded_each_time_the_second_ends_the_work() -> None:
    assert decide(Asked("hello", tools=(DONE, SEARCH), demanded="any")).call == "search"
    assert decide(Asked("hello", tools=(DONE, SEARCH), demanded="any", called=("search",))).call == "Done"


def test_a_structure_is_satisfied_through_references_choices_and_bounds() -> None:
    fields = {"kind": {"enum": ["b", "a"]}, "n": {"type": "integer", "minimum": 5}}
    schema = {
        "$defs": {"Part": {"type": "object", "properties": fields}},
        "type": "object",
        "properties": {
            "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "minItems": 2},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]},
            "need_more": {"type": "boolean"},
        },
        "required": ["parts", "maybe", "need_more"],
    }

    part = {"kind": "b", "n": 5}
    assert satisfy(schema) == {"parts": [part, part], "maybe": 3, "need_more": False}


CHAT = {"messages": [{"role": "user", "content": "hello"}]}
OFFERED = {"type": "function", "function": {"name": "search", "parameters": SEARCH.schema}}
CALLED: dict[str, Any] = {
    "/v1/chat/completions": {**CHAT, "tools": [OFFERED]},
    "/v1/responses": {
        "input": "hello",
        "tools": [{"type": "function", "name": "search", "parameters": SEARCH.schema}],
    },
    "/v1/messages": {**CHAT, "tools": [{"name": "search", "input_schema": SEARCH.schema}]},
}


@pytest.mark.parametrize("path", CALLED)
def test_every_interface_calls_and_answers_whole_and_streamed(stub: httpx.Client, path: str) -> None:
    plain = {key: value for key, value in CALLED[path].items() if key != "tools"}

    called = stub.post(path, json=CALLED[path]).text
    streamed = stub.post(path, json={**CALLED[path], "stream": True}).text
    said = stub.post(path, json=plain).text
    told = stub.post(path, json={**plain, "stream": True}).text

    assert '"search"' in called and '"search"' in streamed
    assert "You said: hello" in said
    assert [word in told for word in ("You ", "said: ", "hello")] == [True, True, True]
    assert stub.post(path, json=plain).text == said


def test_texts_that_share_words_are_near(stub: httpx.Client) -> None:
    body = {"input": ["red apples", "green apples", "something else"], "dimensions": 64}
    one, near, far = (each["embedding"] for each in stub.post("/v1/embeddings", json=body).json()["data"])

    def product(other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert product(one) == pytest.approx(1.0)
    assert product(near) > product(far)


def test_what_it_does_not_know_is_refused_by_its_path(stub: httpx.Client) -> None:
    refused = stub.post("/v1/images", json={})

    assert refused.status_code == 404
    assert "/v1/images" in json.loads(refused.text)["error"]["message"]
