"""Every value that LangGraph's in-memory saver takes comes back from both databases as it does from there."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import math
import re
import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel
from pydantic.v1 import BaseModel as OldModel

from lgs_runtime.database.json_columns import MARK
from lgs_runtime.errors import InvalidRequest
from support.savers import fast_saver

THREAD: Any = {"configurable": {"thread_id": "t1", "checkpoint_ns": ""}}


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


class Tone(enum.StrEnum):
    """One whose members are text."""

    HIGH = "high"


class Size(enum.IntEnum):
    """One whose members are numbers."""

    LARGE = 3


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    when: Any = None


class Pair(NamedTuple):
    """A named tuple."""

    left: Any
    right: Any


class Model(BaseModel):
    """A model of pydantic's second version."""

    name: str = "n"
    raw: bytes = b"\xff"


class Old(OldModel):
    """And of its first."""

    name: str = "one"


class Odd(TypedDict, total=False):
    """A dictionary."""

    key: str


VALUES: dict[str, Any] = {
    "half a character": "a\ud83db",
    "halves in the wrong order": "\udc00\ud83d",
    "NUL": "a\x00b",
    "our mark": MARK,
    "what looks like our mark": f"{MARK}0000",
    "inside of others": {"k\x00": ["\ud83d", {"k": "\x00"}], "k": MARK},
    "not a number": math.nan,
    "infinity": -math.inf,
    "minus zero": -0.0,
    "large float": 1e16,
    "larger float": -1.5e300,
    "smallest float": 5e-324,
    "largest of 64 bits": 2**64 - 1,
    "smallest of 64 bits": -(2**63),
    "true": True,
    "nothing": None,
    "empty": "",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"\xfe"),
    "memoryview": memoryview(b"abc"),
    "enum": Colour.RED,
    "text enum": Tone.HIGH,
    "number enum": Size.LARGE,
    "dataclass": Point(1, timedelta(seconds=1.5)),
    "named tuple": Pair(b"z", 1),
    "model": Model(),
    "old model": Old(),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "deque": deque([1, 2]),
    "tuple": (1, (2, 3)),
    "ordered": OrderedDict(a=1),
    "counter": Counter("aab"),
    "time with a zone": datetime(2024, 1, 2, 3, tzinfo=ZoneInfo("Europe/Berlin")),
    "time in UTC": datetime(2024, 1, 2, tzinfo=UTC),
    "naive time": datetime(2024, 1, 2, 3, 4, 5, 6),
    "date": date(2024, 1, 2),
    "time of day": time(1, 2, 3, tzinfo=UTC),
    "delta": timedelta(days=-1, microseconds=5),
    "zone": timezone(timedelta(hours=2)),
    "named zone": ZoneInfo("Asia/Tokyo"),
    "id": UUID(int=5),
    "decimal": Decimal("1.50"),
    "path": Path("/a/b"),
    "address": ipaddress.ip_address("::1"),
    "network": ipaddress.ip_network("10.0.0.0/8"),
    "pattern": re.compile("a+", re.IGNORECASE),
    "exception": ValueError("bad"),
    "send": Send("node", {"a": b"1"}),
    "command": Command(resume={"a": 1}),
    "interrupt": Interrupt("really?", "id"),
    "messages": [HumanMessage("hi\x00", id="1"), AIMessage("yo\ud83d", id="2")],
    "keys of other kinds": {7: "a", 2.5: "b", None: "c", True: "d", (1, 2): "e", b"f": "g"},
    "deep": [[[[[[[[{"a": [{}]}]]]]]]]],
}


async def come_back(saver: BaseCheckpointSaver[Any], values: dict[str, Any]) -> Any:
    """What is read of a checkpoint with these values, and of what was written beside it."""
    versions: Any = {name: saver.get_next_version(None, None) for name in values}
    checkpoint = {**empty_checkpoint(), "channel_values": values, "channel_versions": versions}
    stored = await saver.aput(THREAD, checkpoint, {"source": "loop", "step": 1}, versions)  # type: ignore[arg-type]
    await saver.aput_writes(stored, list(values.items()), "task")
    found = await saver.aget_tuple(THREAD)
    assert found is not None
    (listed,) = [entry async for entry in saver.alist(THREAD)]
    assert shape(listed.checkpoint) == shape(found.checkpoint)
    return shape([found.checkpoint["channel_values"], found.pending_writes])


def shape(value: Any) -> Any:
    """A value that can be compared: with its types, NaN equal to itself, minus zero not to zero."""
    if isinstance(value, float):
        return (type(value).__name__, struct.pack("d", value))
    if isinstance(value, dict):
        # Databases need not keep the order of channels.
        return ("dict", sorted((repr(shape(key)), shape(item)) for key, item in value.items()))
    if isinstance(value, list | tuple | deque):
        return (type(value).__name__, [shape(item) for item in value])
    # Inside of others LangGraph's serialiser makes bytes of it.
    kind = bytes if isinstance(value, bytearray) else type(value)
    return (kind.__name__, repr(kind(value) if kind is bytes else value))


@pytest.mark.parametrize("name", VALUES)
async def test_a_value_comes_back_as_from_memory(name: str, database_uri: str) -> None:
    async with fast_saver(database_uri, allow=True) as saver:
        assert await come_back(saver, {"c": VALUES[name]}) == await come_back(
            InMemorySaver(), {"c": VALUES[name]}
        )


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
SOUND = st.text(max_size=8)
"""msgpack takes half a character in values, and none in keys."""
PYTHON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | TEXT
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.sampled_from([None, UTC, ZoneInfo("Europe/Berlin")]))
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.sampled_from([*Colour, *Tone, *Size]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(SOUND, inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Point, st.integers(-5, 5), inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=8,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(values=st.dictionaries(st.sampled_from("abcdef"), PYTHON, max_size=6))
async def test_any_values_come_back_as_from_memory(values: dict[str, Any], database_uri: str) -> None:
    async with fast_saver(database_uri, allow=True) as saver:
        await saver.adelete_thread("t1")

        assert await come_back(saver, values) == await come_back(InMemorySaver(), values)


def told(metadata: Any) -> Iterator[tuple[str, Any]]:
    """What was said by the caller."""
    return ((name, value) for name, value in metadata.items() if name not in ("source", "step", "parents"))


async def test_metadata_come_back_and_are_found_by_what_they_hold(database_uri: str) -> None:
    said = {
        "one": ["a\x00"],
        "two": {"k\x00": 1, "k": 2},
        "half": "\ud83d!",
        "mark": f"{MARK}0000",
        "n": 2**80,
    }
    async with fast_saver(database_uri) as saver:
        await saver.aput(THREAD, empty_checkpoint(), {"source": "loop", "step": 1, **said}, {})  # type: ignore[typeddict-item]

        asked = [{"half": "\ud83d!"}, {"two": {"k\x00": 1}}, {"mark": f"{MARK}0000", "step": 1}, {"n": 2**80}]
        found = [entry for each in asked async for entry in saver.alist(THREAD, filter=each)]
        others = [{"half": "!"}, {"two": {"k": 1}}, {"mark": "\x00"}, {"no such key": 1}]
        none = [entry for each in others async for entry in saver.alist(THREAD, filter=each)]

    assert [dict(told(entry.metadata)) for entry in found] == [said] * 4
    assert none == []


@pytest.mark.parametrize("value", [2**64, [-(2**63) - 1, {"n": [10**100, 1]}]])
async def test_an_integer_of_any_size_comes_back(value: Any, database_uri: str) -> None:
    async with fast_saver(database_uri) as saver:
        channels, writes = (await come_back(saver, {"c": value, "inside": {"a": value}}))[1]

    assert channels == shape({"c": value, "inside": {"a": value}})
    assert writes == shape([("task", "c", value), ("task", "inside", {"a": value})])


UNFIT = ["k\x00", "k\ud800"]


@pytest.mark.parametrize("name", UNFIT)
async def test_a_name_that_a_database_can_not_keep_is_refused_alike_with_its_rule(
    database_uri: str, name: str
) -> None:
    channel: Any = {**empty_checkpoint(), "channel_values": {name: [1]}, "channel_versions": {name: "1"}}
    thread: Any = {"configurable": {"thread_id": name, "checkpoint_ns": ""}}
    nested: Any = {"configurable": {"thread_id": "t1", "checkpoint_ns": name}}
    async with fast_saver(database_uri) as saver:
        at = await saver.aput(THREAD, empty_checkpoint(), {}, {})
        refused = [
            ("channel", lambda: saver.aput(THREAD, channel, {}, {name: "1"})),
            ("thread_id", lambda: saver.aput(thread, empty_checkpoint(), {}, {})),
            ("thread_id", lambda: saver.aget_tuple(thread)),
            ("checkpoint_ns", lambda: saver.aput(nested, empty_checkpoint(), {}, {})),
            ("channel", lambda: saver.aput_writes(at, [(name, 1)], "task")),
            ("task", lambda: saver.aput_writes(at, [("a", 1)], name)),
            ("task", lambda: saver.aput_writes(at, [("a", 1)], "task", name)),
        ]
        for what, ask in refused:
            with pytest.raises(InvalidRequest) as said:
                await ask()
            assert str(said.value).startswith(
                f"{what}: {name!r}: must have neither the character NUL nor half"
            )

        kept = await saver.aget_tuple(at)
        assert kept is not None and not kept.pending_writes
