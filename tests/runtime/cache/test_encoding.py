"""What is stored comes back as it was, or not at all; and what others wrote makes no code run."""

from __future__ import annotations

import enum
import random
import re
import subprocess
import sys
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import cached_property
from math import inf
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import ormsgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde import jsonplus
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel, Field, PrivateAttr

from lgs_runtime.cache.value_encoding import MOST_BYTES, PLAIN, ZSTD, Encoding, NotStorable
from lgs_runtime.cache.value_types import Unreadable

ENCODING = Encoding(threshold_bytes=1024)


class Level(enum.StrEnum):
    HIGH = "high"


class Rank(enum.IntEnum):
    LOW = 1


class Answer(BaseModel):
    text: str = Field(alias="Text")
    parts: tuple[int, ...] = ()
    _seen: int = PrivateAttr(default=0)


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    values: tuple[int, ...] = ()
    rank: int = field(init=False, default=3)


@dataclass
class Doubled:
    amount: int

    def __post_init__(self) -> None:
        self.amount *= 2


Point = namedtuple("Point", "x y")


class Moment(datetime):
    pass


class Zone(tzinfo):
    def utcoffset(self, _at: datetime | None, /) -> timedelta:
        return timedelta(hours=1)

    def dst(self, _at: datetime | None, /) -> timedelta:
        return timedelta(0)

    def tzname(self, _at: datetime | None, /) -> str:
        return "CET"


class Id(UUID):
    pass


@pytest.mark.parametrize(
    "value",
    [
        None, False, 0, 0.0, "", [], {}, (), set(), b"", 2**70, -(2**65), 1.5, {1: 2}, {None: 1}, {(1, 2): 3},
        (1, (2, [3])), {"a": (1,)}, {1, 2}, frozenset({1, 2}), deque([(1,)]), Level.HIGH, Point(1, (2,)),
        Answer(Text="a", parts=(1, 2)), Row("a", (1,)), Doubled(4), datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), date(2026, 1, 1), time(3), timedelta(1, 2, 3),
        Decimal("1.50"), UUID(int=7), Path("/x"), re.compile("a+"), Send("a", {"b": (1,)}),
        Command(goto="x", update={"a": (1,)}), Interrupt("x"), Document("x", metadata={"a": 1}),
        AIMessage("x", tool_calls=[{"name": "a", "args": {"b": 1}, "id": "1"}]),
        [HumanMessage("a", id="1"), ToolMessage("b", tool_call_id="1")],
        deque([("messages", [HumanMessage("a")]), ("__end__", None)]), deque([1, 2], maxlen=2),
        deque(maxlen=0), {Level.HIGH: 1}, {Rank.LOW: 1}, {UUID(int=7): 1}, Rank.LOW,
        [{"a": {(Rank.LOW, "x"): {date(2026, 1, 1): (1,)}}}], time(3, tzinfo=ZoneInfo("Asia/Tokyo")),
        datetime(2026, 10, 25, 2, 30, fold=1), time(2, 30, fold=1),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")), 1j, complex(-0.0, inf), {1j: (2j,)},
        PurePosixPath("a/b"), PureWindowsPath("C:/a"), {PurePosixPath("a"): 1},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    found = ENCODING.loads(ENCODING.dumps(value).raw)

    assert found == value
    assert repr(found) == repr(value)
    assert type(found) is type(value)


class Lines(list[str]):
    pass


@dataclass
class Bag(dict[str, int]):
    name: str = ""


@dataclass
class Refusal(Exception):
    code: int = 0


@pytest.mark.parametrize(
    "value",
    [
        object(), ValueError("a"), Counter("aa"), OrderedDict(a=1), Lines(), {open: 1}, range(3),
        (x for x in "ab"), sys, str, {"a": [open]}, SimpleNamespace(a=1), "\ud800", b"a" * (MOST_BYTES + 1),
        Moment(2026, 1, 1), Id(int=1), Bag(), Refusal(), datetime(2026, 1, 1, tzinfo=Zone()),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_would_come_back_as_something_else_is_not_stored(value: Any) -> None:
    with pytest.raises(NotStorable):
        ENCODING.dumps(value)


class Asked(BaseModel):
    """Counts how often it is asked for what it holds."""

    held: Any = None
    times: ClassVar[list[object]] = []

    def __getstate__(self) -> dict[Any, Any]:
        self.times.append(self)
        return super().__getstate__()


@pytest.mark.parametrize("held", [1, object()], ids=["kept", "not kept"])
@pytest.mark.parametrize("around", [lambda inner: (inner,), lambda inner: ({"inner": (inner,)}, {1: 2})])
def test_a_value_of_many_levels_is_read_no_more_often_than_a_flat_one(
    held: object, around: Callable[[Any], Any]
) -> None:
    Asked.times.clear()
    value: Any = Asked(held=held)
    for _level in range(12):
        value = around(value)

    with nullcontext() if held == 1 else pytest.raises(NotStorable):
        ENCODING.dumps(value)

    assert 1 <= len(Asked.times) <= 2, "once for keys that are texts, once for others"


LETTERS = """
import enum, sys
from lgs_runtime.cache.value_packing import pack, unpack

class Letters(enum.Enum):
    SOME = frozenset("abcdefgh")
    NESTED = (1, frozenset("ijklmnop"))

given = sys.argv[1:]
print(unpack(bytes.fromhex(given[0])).name if given else pack(Letters.NESTED).hex())
"""


def test_a_member_of_an_enumeration_is_read_in_a_process_with_other_hashes() -> None:
    def said(seed: str, *given: str) -> str:
        command = [sys.executable, "-c", LETTERS, *given]
        env = {"PYTHONHASHSEED": seed}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()

    kept = said("1")

    assert [said(seed, kept) for seed in ("1", "2", "3")] == ["NESTED"] * 3


def test_a_type_that_nobody_finds_by_its_name_is_not_stored() -> None:
    @dataclass
    class Local:
        a: int

    with pytest.raises(NotStorable, match="Local"):
        ENCODING.dumps(Local(1))


def test_what_is_private_to_a_model_is_kept() -> None:
    answer = Answer(Text="a")
    answer._seen = 3

    found = ENCODING.loads(ENCODING.dumps(answer).raw)

    assert found._seen == 3
    assert found.model_fields_set == {"text"}


class Base:
    __slots__ = ("__hidden", "beside")

    def __init__(self) -> None:
        self.__hidden = 5


@dataclass
class Slotted(Base):
    __slots__ = ("amount", "found")
    amount: int

    def __post_init__(self) -> None:
        super().__init__()
        self.found = self.amount * 2


def test_what_a_dataclass_holds_beside_its_fields_is_kept() -> None:
    found = ENCODING.loads(ENCODING.dumps(Slotted(1)).raw)

    assert (found.amount, found.found, found._Base__hidden) == (1, 2, 5)
    assert not hasattr(found, "beside")


class Named(Point):
    """A named tuple of which each has attributes, too."""


def test_a_named_tuple_that_would_come_back_without_an_attribute_is_not_stored() -> None:
    plain, named = Named(1, 2), Named(1, 2)
    named.word = "a"

    assert type(ENCODING.loads(ENCODING.dumps(plain).raw)) is Named
    with pytest.raises(NotStorable, match="Named with word"):
        ENCODING.dumps([named])


class Remembering(BaseModel):
    path: str

    @cached_property
    def opened(self) -> object:
        return object()


def test_what_a_model_only_remembers_keeps_it_from_nothing() -> None:
    given = Remembering(path="a")
    assert given.opened is given.opened

    found = ENCODING.loads(ENCODING.dumps(given).raw)

    assert found == given
    assert "opened" not in found.__dict__
    assert "opened" in given.__dict__


def test_what_a_caller_does_to_a_value_does_not_change_what_is_kept() -> None:
    stored = ENCODING.dumps({"a": [1]}).raw

    ENCODING.loads(stored)["a"].append(2)

    assert ENCODING.loads(stored) == {"a": [1]}


@pytest.mark.parametrize("change", ["gone", "field", "type", "no data"])
def test_bytes_of_another_version_of_the_application_are_not_read(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = ENCODING.dumps([Row("a")]).raw
    here = sys.modules[__name__]
    if change == "gone":
        monkeypatch.delattr(here, "Row")
    elif change == "field":
        monkeypatch.setattr(here, "Row", dataclass(type("Row", (), {"__annotations__": {"title": "str"}})))
    elif change == "type":
        fields = {"name": "int", "values": "tuple[int, ...]", "rank": "int"}
        changed = type("Row", (), {"__annotations__": fields, "values": (), "rank": 3})
        monkeypatch.setattr(here, "Row", dataclass(changed))
    else:
        monkeypatch.setattr(here, "Row", type("Row", (), {}))

    with pytest.raises(Unreadable):
        ENCODING.loads(stored)


class Intent(enum.Enum):
    COMPLAINT = enum.auto()
    QUESTION = enum.auto()


class Price(NamedTuple):
    net: float
    gross: float


class Basket(BaseModel):
    items: list[str] = []


def another_version(kind: str) -> Any:
    """What a later release of the application has under the name of `kind`."""
    if kind == "Intent":
        return enum.Enum(kind, "GREETING COMPLAINT QUESTION", module=__name__)
    if kind == "Price":
        return NamedTuple(kind, [("gross", float), ("net", float)])
    body = {"__module__": __name__, "__annotations__": {"items": "list[str]"}, "items": []}
    return type(kind, (BaseModel,), {**body, "_total": PrivateAttr(default=0)})


@pytest.mark.parametrize("value", [Intent.QUESTION, Price(1.0, 1.2), Basket(items=["a"])], ids=repr)
def test_a_value_of_another_release_is_not_taken_for_another_one(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = ENCODING.dumps(value).raw
    assert ENCODING.loads(stored) == value
    kind = type(value).__name__

    monkeypatch.setattr(sys.modules[__name__], kind, another_version(kind))

    with pytest.raises(Unreadable):
        ENCODING.loads(stored)


def test_the_text_of_a_message_comes_back_as_a_text() -> None:
    text = AIMessage("hello").text

    found = ENCODING.loads(ENCODING.dumps({"a": (text,)}).raw)

    assert found == {"a": ("hello",)}
    assert type(found["a"][0]) is str


def test_an_array_comes_back_as_one_that_may_be_changed() -> None:
    numpy = pytest.importorskip("numpy")
    of_rows, of_columns = numpy.arange(6).reshape(2, 3), numpy.asfortranarray(numpy.ones((2, 2)))
    for array in (of_rows, of_columns, numpy.zeros((0, 3))):
        found = ENCODING.loads(ENCODING.dumps(array).raw)

        assert (found == array).all()
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.flags.f_contiguous == array.flags.f_contiguous
        found += 1


@pytest.mark.parametrize("kind", ["masked", "matrix", "objects", "fields"])
def test_an_array_that_would_lose_a_part_is_not_stored(kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    given = {
        "masked": lambda: numpy.ma.array([1, 2], mask=[0, 1]),
        "matrix": lambda: numpy.asmatrix([[1]]),
        "objects": lambda: numpy.array([object()]),
        "fields": lambda: numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    }[kind]()

    with pytest.raises(NotStorable):
        ENCODING.dumps(given)


@pytest.mark.parametrize(
    ("kind", "shape", "content"),
    [
        ("<f8", [3], b""),
        ("<f8", [3], b"abc"),
        ("<f8", [10**12], b"a" * 24),
        *((kind, [1], b"a" * 64) for kind in ("O", "O,O", "V8,O", "(2,)O", "M8[ns],O")),
    ],
)
def test_bytes_that_are_no_array_of_plain_values_are_no_value(
    kind: str, shape: list[int], content: bytes
) -> None:
    pytest.importorskip("numpy")

    with pytest.raises(Unreadable):
        ENCODING.loads(array_of(kind, shape, content))


def array_of(kind: str, shape: list[int], content: bytes) -> bytes:
    """Bytes that ask for an array, as LangGraph's serialiser writes them."""
    array = ormsgpack.packb([kind, shape, "C", content])
    return PLAIN + ormsgpack.packb(ormsgpack.Ext(jsonplus.EXT_NUMPY_ARRAY, array))


@pytest.mark.parametrize("loaded", [True, False])
def test_bytes_are_never_taken_for_addresses_of_objects(
    loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    numpy = SimpleNamespace(
        dtype=lambda kind: SimpleNamespace(hasobject=kind == "O"),
        frombuffer=lambda *given: made.append(given),
        ndarray=lambda *given, **_order: made.append(given),
    )
    monkeypatch.setitem(sys.modules, "numpy", numpy if loaded else None)

    with pytest.raises(Unreadable):
        ENCODING.loads(array_of("O", [1], b"a" * 8))
    assert not made


def naming(code: int, *call: Any) -> bytes:
    """Bytes that ask for a call, as LangGraph's serialiser writes them."""
    return PLAIN + ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(list(call))))


@pytest.mark.parametrize(
    "code",
    [
        jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG,
        jsonplus.EXT_CONSTRUCTOR_POS_ARGS,
        jsonplus.EXT_CONSTRUCTOR_KW_ARGS,
        jsonplus.EXT_METHOD_SINGLE_ARG,
        jsonplus.EXT_PYDANTIC_V1,
        jsonplus.EXT_PYDANTIC_V2,
        42,
    ],
)
@pytest.mark.parametrize("name", [("os", "system"), ("subprocess", "Popen"), ("builtins", "eval")])
def test_bytes_of_somebody_else_run_no_code(code: int, name: tuple[str, str], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = f"touch {mark}" if name[0] != "builtins" else f"open({str(mark)!r}, 'w')"
    for content in (command, [command], {"command": command}):
        for rest in ((content,), (content, "model_validate_json"), ("", content)):
            with pytest.raises(Unreadable):
                ENCODING.loads(naming(code, *name, *rest))

    assert not mark.exists()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([PLAIN, ZSTD, b"", b"msgpack\n", b"pickle\n"]))
def test_bytes_of_any_kind_are_a_value_or_unreadable(raw: bytes, head: bytes) -> None:
    try:
        ENCODING.loads(head + raw)
    except Unreadable:
        return


@pytest.mark.parametrize(
    ("value", "compressed"),
    [("a" * 5000, True), ("a" * 500, False), (random.Random(1).randbytes(5000), False)],
    ids=["repetitive", "small", "random"],
)
def test_a_value_is_compressed_where_that_saves_a_fifth(value: str | bytes, compressed: bool) -> None:
    stored = ENCODING.dumps(value)

    assert (stored.saved > 0.2 * len(value)) is compressed
    assert (len(stored.raw) < len(value)) is compressed
    assert ENCODING.loads(stored.raw) == value


def test_a_compressed_value_that_is_cut_short_is_refused() -> None:
    stored = ENCODING.dumps("a" * 5000).raw

    with pytest.raises(Unreadable, match="unpacked"):
        ENCODING.loads(stored[:-8])


@pytest.mark.parametrize("says_how_much", [True, False])
def test_a_small_entry_can_not_fill_the_memory(says_how_much: bool) -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=says_how_much).compress(b"a" * (MOST_BYTES + 1))

    with pytest.raises(Unreadable, match="are the most"):
        ENCODING.loads(ZSTD + bomb)


@pytest.mark.parametrize("levels", [30, 60])
def test_a_few_lists_that_hold_each_other_are_not_packed_as_the_tree_that_they_are(levels: int) -> None:
    value: Any = "lol"
    for each in range(levels):
        value = ([value, value], {"a": value, "b": value}, (value, value))[each % 3]

    with pytest.raises(NotStorable, match="more than 16777216 values"):
        Encoding(1024).dumps(value)


@dataclass
class Pair:
    first: Any
    second: Any


def doubled(*hold: Callable[[Any], Any]) -> Any:
    """A value of sixty lists, mappings or objects that, written out, is a tree of 2 to the power of 60."""
    value: Any = "lol"
    for each in range(60):
        value = hold[each % len(hold)](value)
    return value


def in_list(held: Any) -> Any:
    return [held, held]


def in_tuple(held: Any) -> Any:
    return (held, held)


def in_dict(held: Any) -> Any:
    return {Level.HIGH: held, Rank.LOW: held}


def in_pair(held: Any) -> Any:
    return Pair(held, held)


@pytest.mark.parametrize(
    "made",
    [
        lambda: doubled(in_pair),
        lambda: doubled(in_tuple),
        lambda: doubled(lambda held: Send("next", [held, held])),
        lambda: doubled(in_list, in_pair, in_dict, in_tuple),
        lambda: [Document("a", metadata={"b": doubled(in_list)})],
        lambda: Pair(doubled(in_dict), 1),
        lambda: (Pair(1, doubled(in_list)), Level.HIGH),
        lambda: {1: deque([doubled(in_list)])},
        lambda: [Pair("a" * 1_000_000, 1)] * 20_000,
        lambda: [("a" * 1_000_000,)] * 20_000,
    ],
)
def test_a_few_objects_that_hold_each_other_are_not_packed_as_the_tree_that_they_are(
    made: Callable[[], Any],
) -> None:
    with pytest.raises(NotStorable, match="more than 16777216 values or bytes"):
        Encoding(1024).dumps(made())


def test_objects_that_are_held_several_times_are_kept() -> None:
    shared = Pair([1, Level.HIGH], (2, Level.HIGH))
    value = [Pair(shared, [shared, shared.second]) for _ in range(2000)]
    encoding = Encoding(1024)

    assert encoding.loads(encoding.dumps(value).raw) == value


def test_what_is_not_stored_is_named_however_deep_it_is() -> None:
    with pytest.raises(NotStorable, match=r"a builtins\.object would not come back as what it is"):
        ENCODING.dumps(Pair([Pair((object(),), 1)], 2))


def test_many_lists_that_hold_the_same_are_kept() -> None:
    shared = [1, {"a": (2, 3)}]
    value = [[shared, {"b": shared}] for _ in range(5000)]
    encoding = Encoding(1024)

    assert encoding.loads(encoding.dumps(value).raw) == value
