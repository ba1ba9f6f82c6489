"""What `checkpointer.serde` says of the user's own types holds on both databases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from ormsgpack import MsgpackEncodeError
from pydantic import BaseModel

from lgs_runtime.checkpoint.options import parse_checkpointer
from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.errors import ConfigError

THREAD = {"configurable": {"thread_id": "t1"}}


class Profile(BaseModel):
    """A value of the user's own."""

    name: str


class Odd:
    """What msgpack can't write."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd)

    __hash__ = None  # type: ignore[assignment]


class State(TypedDict):
    """Any value."""

    value: Any


async def comes_back(uri: str, value: Any, serde: Mapping[str, Any]) -> Any:
    """What a value is after it was stored and read under these rules."""
    options = parse_checkpointer({"serde": serde}, "checkpointer")
    builder = StateGraph(State).add_node("keep", lambda state: {})
    builder.add_edge(START, "keep").add_edge("keep", END)
    async with open_checkpointer(uri, serde=options.serde.serializer()) as saver:
        app = builder.compile(checkpointer=saver)
        await app.ainvoke({"value": value}, THREAD)
        return (await app.aget_state(THREAD)).values["value"]


@pytest.mark.parametrize("allowed", [True, [[__name__, "Profile"]]])
async def test_a_type_that_is_allowed_comes_back_as_itself(database_uri: str, allowed: Any) -> None:
    found = await comes_back(database_uri, Profile(name="Ada"), {"allowed_msgpack_modules": allowed})

    assert found == Profile(name="Ada")


@pytest.mark.parametrize("allowed", [None, [], [["elsewhere", "Profile"]]])
async def test_a_type_that_is_not_allowed_comes_back_as_data(database_uri: str, allowed: Any) -> None:
    found = await comes_back(database_uri, Profile(name="Ada"), {"allowed_msgpack_modules": allowed})

    assert found == {"name": "Ada"}


async def test_nothing_is_pickled_unless_it_is_asked_for(database_uri: str) -> None:
    with pytest.raises((MsgpackEncodeError, TypeError)):
        await comes_back(database_uri, Odd(), {})

    assert await comes_back(database_uri, Odd(), {"pickle_fallback": True}) == Odd()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "checkpointer: []: must be an object"),
        ({"tll": {}}, "checkpointer.tll: unknown: must be one of"),
        ({"serde": {"pickle_fallback": 1}}, "checkpointer.serde.pickle_fallback: 1: must be true or false"),
        (
            {"serde": {"allowed_msgpack_modules": ["models.Profile"]}},
            "checkpointer.serde.allowed_msgpack_modules: ['models.Profile']: must be true, null, or a list",
        ),
        (
            {"ttl": {"strategy": "forget"}},
            "checkpointer.ttl.strategy: 'forget': must be delete or keep_latest",
        ),
        ({"ttl": {"default_ttl": "1"}}, "checkpointer.ttl.default_ttl: '1': must be more than 0"),
        ({"ttl": {"sweep_limit": 0}}, "checkpointer.ttl.sweep_limit: 0: must be a whole number of"),
        ({"serde": {"allowed": []}}, "checkpointer.serde.allowed: unknown: must be one of"),
    ],
)
def test_a_rule_that_can_not_work_is_named(content: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_checkpointer(content, "checkpointer")

    assert str(raised.value).startswith(said)
