"""A graph that keeps, says, asks or raises one of many values, and what each is in JSON."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import re
from collections import deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt
from pydantic import BaseModel, SecretStr
from pydantic.v1 import BaseModel as OldModel


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    took: timedelta


class Pair(NamedTuple):
    """A named tuple."""

    left: Any
    right: Any


class Model(BaseModel):
    """A model of pydantic's second version."""

    raw: bytes = b"\xff"
    took: timedelta = timedelta(seconds=1.5)


class Old(OldModel):
    """And of its first."""

    name: str = "one"


class Fielded:
    """An object that says its fields itself."""

    def dict(self) -> dict[str, Any]:
        """Its fields."""
        return {"from": b"dict"}


class Raises:
    """An object that can't say them."""

    def model_dump(self) -> Any:
        """Always raises."""
        raise RuntimeError("no")


AS_THEIRS: dict[str, tuple[Any, Any]] = {
    "bytes": (b"\x00\xffabc", "AP9hYmM="),
    "bytearray": (bytearray(b"\xfe"), "/g=="),
    "timedelta": (timedelta(days=1, milliseconds=5), 86400.005),
    "whole decimal": (Decimal("1"), 1),
    "decimal": (Decimal("1.50"), 1.5),
    "no decimal": (Decimal("nan"), None),
    "pattern": (re.compile("a+", re.IGNORECASE), "a+"),
    "enum": (Colour.RED, "red"),
    "dataclass": (Point(1, timedelta(seconds=2)), {"x": 1, "took": 2.0}),
    "named tuple": (Pair(1, b"z"), {"left": 1, "right": "eg=="}),
    "model": (Model(), {"raw": "/w==", "took": 1.5}),
    "old model": (Old(), {"name": "one"}),
    "set": ({1}, [1]),
    "frozenset": (frozenset({"a"}), ["a"]),
    "deque": (deque([1, 2]), [1, 2]),
    "tuple": ((1, 2), [1, 2]),
    "naive time": (datetime(2024, 1, 2, 3, 4, 5, 6), "2024-01-02T03:04:05.000006"),
    "time in UTC": (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
    "time in a zone": (
        datetime(2024, 1, 2, tzinfo=ZoneInfo("Europe/Berlin")),
        "2024-01-02T00:00:00+01:00",
    ),
    "date": (date(2024, 1, 2), "2024-01-02"),
    "zone": (UTC, "UTC"),
    "id": (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "path": (Path("/a/b"), "/a/b"),
    "address": (ipaddress.ip_address("1.2.3.4"), "1.2.3.4"),
    "network": (ipaddress.ip_network("::/64"), "::/64"),
    "send": (Send("n", {"a": 1}), {"node": "n", "args": {"a": 1}}),
    "half a character": ("x\ud83dy", "x?y"),
    "half of one in a key": ({"k": ["\ud83d", timedelta(seconds=1)]}, {"k": ["?", 1.0]}),
    "infinity": (float("inf"), None),
    "large float": (1e22, 1e22),
    "minus zero": (-0.0, -0.0),
    "of 64 bits": (2**64 - 1, 2**64 - 1),
    "keys of other kinds": (
        {1: "a", None: "b", date(2024, 1, 1): "c"},
        {"1": "a", "null": "b", "2024-01-01": "c"},
    ),
}
"""Values that a checkpoint takes, and their JSON, as LangGraph's own server writes them."""

WHOLE: dict[str, tuple[Any, Any]] = {
    "memoryview": (memoryview(b"abc"), "YWJj"),
    "NUL": ("a\x00b", "a\x00b"),
    "NUL in a key": ({"k\x00": 1, "k": 2}, {"k\x00": 1, "k": 2}),
    "beyond 64 bits": (2**80, 2**80),
    "beyond 64 bits inside": ({"a": [-(2**70), b"z"]}, {"a": [-(2**70), "eg=="]}),
    "tuples as keys": ({(1, 2): b"z"}, {"(1, 2)": "eg=="}),
    "named zone": (ZoneInfo("Asia/Tokyo"), "Asia/Tokyo"),
}
"""Those that it loses or fails at."""

ONLY_SAID: dict[str, tuple[Any, Any]] = {
    "object": (object(), None),
    "object with fields": (Fielded(), {"from": "ZGljdA=="}),
    "object that raises": ({"a": Raises(), "b": b"z"}, {"a": None, "b": "eg=="}),
    "function": (print, None),
    "mapping": (MappingProxyType({"a": b"z"}), {"a": "eg=="}),
    "complex": (1 + 2j, None),
    "secret": (SecretStr("s3"), None),
    "exception": (ValueError("bad"), {"error": "ValueError", "message": "bad"}),
}
"""Those that no checkpoint takes, or not as they are."""

KEPT = {**AS_THEIRS, **WHOLE}
SAID = {**KEPT, **ONLY_SAID}


class State(TypedDict, total=False):
    """Which value, and what is to be done with it."""

    which: str
    how: str
    value: Any
    messages: list[Any]
    kinds: Colour | Point | Model | Old
    """Never there: an import takes the types that a schema names."""


async def act(state: State, runtime: Runtime[None]) -> State:
    """Does it."""
    value = SAID[state["which"]][0]
    match state["how"]:
        case "say":
            runtime.stream_writer(value)
        case "ask":
            return {"value": interrupt(value)}
        case "raise":
            raise ValueError(value)
        case "store":
            assert runtime.store is not None
            await runtime.store.aput(("values",), state["which"], {"value": SAID[state["which"]][1]})
        case _:
            return {"value": value, "messages": [HumanMessage("hi", id="1", additional_kwargs={"v": value})]}
    return {}


values = StateGraph(State).add_node(act).add_edge(START, "act").compile()


async def spoil(saver: Any, thread_id: str) -> None:
    """Stores a value that nothing can read any more."""
    checkpoint = {**empty_checkpoint(), "channel_versions": {"a": "1"}, "channel_values": {"a": ["x"]}}
    whole = saver.serde
    saver.serde = Unreadable()
    try:
        at: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        stored = await saver.aput(at, checkpoint, {"source": "update", "step": 9}, {"a": "1"})
        await saver.aput_writes(stored, [("a", 1)], "task")
    finally:
        saver.serde = whole


class Unreadable:
    """A serialiser that others don't know."""

    def dumps_typed(self, value: Any) -> tuple[str, bytes]:
        """Bytes of a form of its own."""
        return "odd", b"x"

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """What it made."""
        return None
