"""What of an answer is kept, for whom, for how long, and what of it a run writes to its thread."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.types import Overwrite

from lgs_runtime.breaker.state_machine import Result
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.answer_section import parse_answers
from lgs_runtime.graphs.revision import revision_of
from lgs_runtime.model import Outcome
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.worker import answer_graph
from lgs_runtime.worker.answer_graph import answer, answering_graph, last_node, writes_between
from lgs_runtime.worker.answers import asked, has_more_parts, may_be_cached
from lgs_runtime.worker.failures import result_of

QUESTION = RunKwargs(input={"messages": [{"role": "user", "content": "hi", "id": "1"}]})


def largest(before: int, more: int) -> int:
    return max(before, more)


def refusing(before: list[int], more: list[int]) -> list[int]:
    raise ValueError("not again")


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    log: Annotated[list[str], operator.add]
    count: Annotated[int, operator.add]
    best: Annotated[int, largest]
    topic: str


CHANNELS = StateGraph(State).channels
TOLD: list[dict[str, Any]] = []
"""What the nodes of the graph below write."""
TELLING = (
    StateGraph(State)
    .add_node("begin", lambda _: TOLD[0])
    .add_node("end", lambda _: TOLD[1])
    .add_edge(START, "begin")
    .add_edge("begin", "end")
    .compile()
)
TEXTS = st.lists(st.sampled_from("abc"), max_size=4)
STATES = st.fixed_dictionaries(
    {"log": TEXTS, "count": st.integers(-3, 3), "best": st.integers(-3, 3)},
    optional={"topic": st.sampled_from("xy")},
)


def written(before: dict[str, Any], writes: dict[str, Any]) -> dict[str, Any]:
    """The state after a node that writes so, by LangGraph itself."""
    begun = {name: value if name == "topic" else Overwrite(value) for name, value in before.items()}
    TOLD[:] = [begun, writes]
    return TELLING.invoke({})


@settings(max_examples=30)
@given(STATES, STATES)
def test_what_is_written_makes_the_state_that_was_kept(before: Any, after: Any) -> None:
    after = {**({"topic": before["topic"]} if "topic" in before else {}), **after}
    channels = {name: CHANNELS[name] for name in ("log", "count", "best", "topic")}

    writes = writes_between(channels, before, after)

    state = written(before, writes)
    assert {name: state[name] for name in after} == after


def test_what_is_the_same_is_not_written_and_what_was_added_is_written_alone() -> None:
    before = {"log": ["a"], "topic": "x", "count": 1}

    writes = writes_between(CHANNELS, before, {"log": ["a", "b"], "topic": "x", "count": 3})

    assert writes == {"log": ["b"], "count": Overwrite(3)}


@pytest.mark.parametrize(
    ("kept", "writes"),
    [
        ([HumanMessage("hi", id="old"), AIMessage("yes", id="said")], [AIMessage("yes", id="said")]),
        ([AIMessage("yes", id="said")], [RemoveMessage(REMOVE_ALL_MESSAGES), AIMessage("yes", id="said")]),
        (
            [AIMessage("a summary", id="sum"), HumanMessage("hi", id="old")],
            [
                RemoveMessage(REMOVE_ALL_MESSAGES),
                AIMessage("a summary", id="sum"),
                HumanMessage("hi", id="new"),
            ],
        ),
    ],
    ids=["added", "removed", "before it"],
)
def test_messages_of_the_input_keep_the_ids_that_their_client_gave(kept: Any, writes: Any) -> None:
    before = {"messages": [HumanMessage("hi", id="new")]}

    found = writes_between(CHANNELS, before, {"messages": kept})

    assert found == {"messages": writes}


def test_messages_are_compared_once_each_however_many_a_client_sends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = []

    class Counting:
        def dumps(self, value: Any) -> Any:
            looked_at.append(value)
            return encoding.dumps(value)

    encoding = answer_graph._encoding
    monkeypatch.setattr(answer_graph, "_encoding", Counting())
    before = [HumanMessage(f"hi {number}", id=f"new {number}") for number in range(50)]
    after = [HumanMessage(f"*** {number}", id=f"old {number}") for number in range(50)]

    writes_between(CHANNELS, {"messages": before}, {"messages": after})

    assert 100 <= len(looked_at) < 200


class Refusing(TypedDict):
    numbers: Annotated[list[int], refusing]


def test_a_reducer_that_raises_is_written_past() -> None:
    channels = StateGraph(Refusing).channels

    assert writes_between(channels, {"numbers": [1]}, {"numbers": [1, 2]}) == {"numbers": Overwrite([1, 2])}


async def test_the_graph_that_answers_runs_no_node_of_the_other() -> None:
    def fails(_: State) -> State:
        raise AssertionError("it is not asked")

    builder = StateGraph(State).add_node("first", fails).add_node("last", fails)
    graph = builder.add_conditional_edges(START, fails, ["first", "last"]).add_edge("first", "last").compile()
    token = answer.set({"log": ["kept"], "topic": "x"})

    made = answering_graph(graph, "last")
    updates = [update async for update in made.astream({"log": ["asked"]}, stream_mode="updates")]
    answer.reset(token)
    assert updates == [{"last": {"log": Overwrite(["kept"]), "topic": "x"}}]
    assert set(graph.nodes) == {START, "first", "last"}


def test_the_node_that_ran_last_is_told_by_what_it_has_seen() -> None:
    seen: dict[str, dict[str, Any]] = {
        "__input__": {},
        "__start__": {"__start__": "1"},
        "a": {"branch:to:a": "2"},
        "b": {"branch:to:b": "3"},
    }

    assert last_node(seen, {"a": 0, "b": 0}) == "b"
    assert last_node({}, {"a": 0, "b": 0}) == "a"


@pytest.mark.parametrize(
    "other",
    [
        {"input": None},
        {"command": {"resume": 1}},
        {"checkpoint": {"checkpoint_id": "1"}},
        {"interrupt_before": ["a"]},
        {"interrupt_after": "*"},
        {"config": {"configurable": {"cron_id": "1"}}},
    ],
    ids=str,
)
def test_only_plain_questions_are_cached(other: dict[str, Any]) -> None:
    assert may_be_cached(QUESTION)
    assert not may_be_cached(replace(QUESTION, **other))


@pytest.mark.parametrize(
    "other",
    [
        {"input": {"messages": [{"role": "user", "content": "ho", "id": "1"}]}},
        {"context": {"a": 1}},
        {"config": {"configurable": {"a": 1}}},
        {"user": {"identity": "alice"}},
        {"encryption_context": {"tenant": "a"}},
        {"protocol": True},
    ],
    ids=str,
)
def test_whatever_a_graph_may_see_makes_another_question(other: dict[str, Any]) -> None:
    assert asked(replace(QUESTION, **other)) != asked(QUESTION)


@pytest.mark.parametrize(
    "other",
    [
        {"input": {"messages": [{"role": "user", "content": "hi", "id": "2"}]}},
        {"input": {"messages": [{"role": "user", "content": "hi"}]}},
        {"config": {"metadata": {"a": 1}, "tags": ["a"]}},
        {"stream_mode": ("updates",)},
        {"request_id": "1"},
        {"webhook": "http://a"},
    ],
    ids=str,
)
def test_ids_of_messages_and_what_a_graph_does_not_see_make_no_other_question(other: dict[str, Any]) -> None:
    assert asked(replace(QUESTION, **other)) == asked(QUESTION)


@pytest.mark.parametrize(
    ("ids", "others"),
    [
        (["1", "2", None], ["1", "1", None]),
        (["1", "2", "1"], ["2", "1", "1"]),
        (["1", "2", "2"], ["1", "2", "3"]),
    ],
    ids=str,
)
def test_a_message_that_another_one_replaces_or_removes_makes_another_question(
    ids: list[str | None], others: list[str | None]
) -> None:
    def of(ids: list[str | None]) -> Any:
        roles = zip(["user", "user", "remove"], ["hi", "ho", ""], ids, strict=True)
        said = [{"type": role, "content": content, "id": each} for role, content, each in roles if each]
        return asked(replace(QUESTION, input={"messages": said}))

    assert of(ids) != of(others)


@pytest.mark.parametrize(
    "named",
    [
        {"type": "invoice", "content": "", "id": "A-17"},
        {"type": "remove", "content": "", "id": "A-17"},
        {"type": ["human"], "content": "", "id": "A-17"},
        {"type": "human", "id": "A-17"},
    ],
    ids=str,
)
def test_what_is_no_message_is_asked_for_by_its_id(named: dict[str, Any]) -> None:
    def of(document: dict[str, Any]) -> Any:
        return asked(replace(QUESTION, input={"documents": [document]}))

    assert of(named) != of({**named, "id": "B-18"})


@pytest.mark.parametrize(
    "large",
    [
        {"input": [0] * 11},
        {"input": {"a": [[0] * 5, {"b": [0] * 5}]}},
        {"context": {"a": [0] * 11}},
        {"context": SimpleNamespace(a=[0] * 11)},
        {"config": {"configurable": {"a": [0] * 11}}},
    ],
    ids=str,
)
def test_a_question_of_too_many_parts_is_known_before_all_are_looked_at(large: dict[str, Any]) -> None:
    assert has_more_parts(replace(QUESTION, **large), 10)
    assert not has_more_parts(replace(QUESTION, **large), 30)


def test_a_user_of_whom_the_authentication_says_something_else_asks_another_question_but_not_by_a_login() -> (
    None
):
    def of(*permissions: str, **more: Any) -> Any:
        return asked(replace(QUESTION, user={"identity": "a", "permissions": list(permissions), **more}))

    assert of("read") != of("read", "write")
    assert of(org="acme") != of(org="other") != of()
    assert of(claims={"tenant": 1}) != of(claims={"tenant": 2})
    assert of(display_name="A") != of(display_name="B")
    assert of("read", "write") == of("write", "read", token="new", github_token="x", exp=3, jti="y")
    assert of(claims={"tenant": 1, "iat": 1}) == of(claims={"tenant": 1, "iat": 2, "exp": 3})


def test_an_answer_that_was_cached_says_nothing_of_the_graph() -> None:
    class Cached:
        cached = True

    assert result_of(Outcome("success"), Cached(), ()) is Result.NEITHER  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "graph.py").write_text("b = 2"),
        lambda root: (root / "prompts" / "system.md").write_text("be short"),
        lambda root: (root / "graph.py").rename(root / "other.py"),
        lambda root: (root / "new.yaml").write_text(""),
    ],
    ids=["code", "prompt", "name", "new"],
)
def test_a_revision_changes_with_the_code(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    before = revision_of([application(tmp_path)], {}, "")

    change(tmp_path)

    assert revision_of([tmp_path], {}, "") != before


def test_a_revision_is_the_same_wherever_the_same_code_lies(tmp_path: Path) -> None:
    one, other = application(tmp_path / "one"), application(tmp_path / "other")
    for name in (
        ".git/config.json",
        "__pycache__/graph.py",
        "venv/lib/a.py",
        "node_modules/a.json",
        "lgs.db",
    ):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text("something")
    (other / "venv" / "pyvenv.cfg").write_text("")

    revisions = {revision_of([root], {}, "") for root in (one, other)}

    assert len(revisions) == 1
    assert revision_of([one], {"MODEL": "a"}, "") not in revisions
    assert revision_of([one], {}, "2") not in revisions


def application(root: Path) -> Path:
    (root / "prompts").mkdir(parents=True)
    (root / "graph.py").write_text("a = 1")
    (root / "prompts" / "system.md").write_text("be kind")
    return root


def test_answers_are_kept_as_long_as_their_graph_says_or_the_cache() -> None:
    said = '{"agent": {"ttlSeconds": 600}, "search": {}}'

    assert parse_answers(said, ["agent", "search", "mail"], 3600.0) == {"agent": 600.0, "search": 3600.0}
    assert parse_answers("", ["agent"], 3600.0) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "LGS_ANSWER_CACHE: {: must be JSON"),
        ("[]", "LGS_ANSWER_CACHE: []: must be an object"),
        ('{"agnet": {}}', "LGS_ANSWER_CACHE.agnet: unknown: must be one of agent"),
        ('{"agent": 600}', "LGS_ANSWER_CACHE.agent: 600: must be an object"),
        ('{"agent": {"ttl": 600}}', "LGS_ANSWER_CACHE.agent.ttl: unknown: must be one of ttlSeconds"),
        ('{"agent": {"ttlSeconds": 0}}', "LGS_ANSWER_CACHE.agent.ttlSeconds: 0: must be more than 0"),
        ('{"agent": {"ttlSeconds": true}}', "LGS_ANSWER_CACHE.agent.ttlSeconds: True: must be more than 0"),
    ],
)
def test_what_can_t_be_is_told_by_its_name(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_answers(text, ["agent"], 3600.0)

    assert str(refused.value).startswith(told)
