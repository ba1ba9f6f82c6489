"""Keys: the same for the same call in every process, different for different ones, and refused by name where
there is none."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntFlag
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, PrivateAttr

from lgs_runtime.cache import UncacheableArgument, cache_key, cached
from lgs_runtime.cache.keys import Arguments


class Colour(Enum):
    RED = 1
    BLUE = 2


class Question(BaseModel):
    text: str
    tags: set[str] = set()


@dataclass
class Point:
    x: int
    seen: int = field(default=0, compare=False)


class Pair(NamedTuple):
    x: int
    y: int


DIFFERENT: list[Any] = [
    None, False, 0, 0.0, -0.0, "", b"", [], (), {}, set(), "0", "None", 1, True, 1.0, "1", b"1", 2**70, 1j,
    [1], (1,), {1}, frozenset({1}), {1: 1}, {"1": 1}, [[1]], [1, [2]], [[1], 2], ["ab", "c"], ["a", "bc"],
    {"a": None}, {"a": 1, "b": 2}, Colour.RED, Colour.BLUE, Question(text="a"), Question(text="b"),
    Question(text="a", tags={"x", "y"}), Point(1), Point(2), Pair(1, 2), (1, 2), [1, 2],
    datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.0"), Decimal("1.00"), UUID(int=1),
    Path("a"), "a", "\ud800", AIMessage("a"), HumanMessage("a"), float("inf"),
]  # fmt: skip


class Options(IntFlag):
    FAST = 1
    CHEAP = 2


DIFFERENT += [
    Options(8), Options(16), Options(0), Options.FAST, Options.FAST | Options.CHEAP,
    *(time(9, tzinfo=ZoneInfo(zone)) for zone in ("Europe/Berlin", "Asia/Tokyo")), time(9),
    *(datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)) for zone in ("Europe/Berlin", "Europe/Paris")),
    datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 30, fold=1), time(2, 30), time(2, 30, fold=1),
]  # fmt: skip


def test_values_that_differ_in_type_or_content_have_different_keys() -> None:
    keys = [cache_key(value) for value in DIFFERENT]

    same = [(DIFFERENT[a], DIFFERENT[b]) for a, b in combinations(range(len(keys)), 2) if keys[a] == keys[b]]

    assert same == []


def test_equal_values_have_one_key_whatever_their_order() -> None:
    assert cache_key({"a": 1, "b": 2}) == cache_key({"b": 2, "a": 1})
    assert cache_key({"x", "y", "z"}) == cache_key({"z", "y", "x"})
    assert cache_key(Question(text="a", tags={"x", "y"})) == cache_key(Question(tags={"y", "x"}, text="a"))
    assert cache_key(Point(1, seen=1)) == cache_key(Point(1, seen=2))
    text = "a" * 100
    assert cache_key([text, text]) == cache_key(["a" * 100, "".join("a" for _ in range(100))])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def shown(value: Any) -> str:
    """A value with its types: `1 == 1.0 == True`, and they are three."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{key!r}:{shown(item)}" for key, item in value.items())) + "}"
    return f"[{','.join(map(shown, value))}]" if isinstance(value, list) else repr(value)


@settings(max_examples=150, deadline=None)
@given(JSON, JSON)
def test_two_values_have_one_key_exactly_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (cache_key(one) == cache_key(other)) is (shown(one) == shown(other))


def test_a_key_is_the_same_in_a_process_with_other_hashes() -> None:
    program = (
        "from lgs_runtime.cache import cache_key; from pathlib import Path;"
        "print(cache_key({'b', 'a', 'c'}, 1.5, q={'y': [Path('x')], 'x': (None, True)}))"
    )

    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    # The text itself: a change of it forgets what every service has cached.
    assert keys == {"ea3d5aadacc9f17bd8cba55167b90dba\n"}


def test_a_key_of_megabytes_is_as_short_as_any() -> None:
    assert len(cache_key("a" * 5_000_000)) == len(cache_key("a"))


def call(question: str, limit: int = 5, *more: str, client: object = None, **options: int) -> None:
    """What the tests make keys of."""


def test_a_call_has_one_key_however_its_arguments_are_given() -> None:
    arguments = Arguments(call, "call")

    assert arguments.key(("a",), {}) == arguments.key((), {"limit": 5, "question": "a"})
    assert arguments.key(("a", 5, "x"), {}) != arguments.key(("a", 5), {})
    assert arguments.key(("a",), {"x": 1}) != arguments.key(("a",), {"y": 1})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), "argument 'client' is an object:"),
        (lambda: 1, "argument 'client' is a function:"),
        ([{"a": sys}], "argument 'client' is a list with a module in it:"),
        (type("Client", (), {"__module__": "shop"})(), "argument 'client' is a shop.Client:"),
    ],
)
def test_an_argument_without_a_key_is_told_by_name_and_type(value: object, told: str) -> None:
    with pytest.raises(UncacheableArgument, match=r"^search: ") as raised:
        Arguments(call, "search").key(("a",), {"client": value})

    assert told in str(raised.value)
    assert "ignore=(...)" in str(raised.value)
    assert "key=..." in str(raised.value)


class Summers(tzinfo):
    """A zone whose offset hangs on the date, and that has no name of its own, as those of dateutil."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else timedelta(hours=2 if 3 < moment.month < 11 else 1)

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else self.utcoffset(moment)

    def tzname(self, _moment: datetime | None) -> str:
        return "local"


class Two(Summers):
    """Another one, which has the same offset all year."""

    def utcoffset(self, _moment: datetime | None) -> timedelta:
        return timedelta(hours=2)


@dataclass
class Bag(dict[str, int]):
    """A dataclass, and what it holds beside its fields."""

    name: str = ""


def test_a_zone_without_a_name_has_a_key_if_its_offset_says_all() -> None:
    fixed = cache_key(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))))

    assert cache_key(datetime(2026, 1, 1, tzinfo=Two())) == fixed
    for moment in (datetime(2026, 6, 1, tzinfo=Summers()), time(2, tzinfo=Summers())):
        with pytest.raises(UncacheableArgument, match="Summers"):
            cache_key(moment)


def test_what_holds_more_than_its_fields_has_no_key() -> None:
    with pytest.raises(UncacheableArgument, match="Bag"):
        cache_key(Bag())


def doubled(times: int) -> Any:
    """A value of few lists, dicts and objects that, written out, is a tree of 2 to the power of `times`."""
    found: Any = "lol"
    for each in range(times):
        held = [found, found]
        found = ({"a": found, "b": found}, held, tuple(held), Pair(*held))[each % 4]
    return found


def test_what_is_held_several_times_is_written_once() -> None:
    with pytest.raises(UncacheableArgument, match="of more than 16777216 bytes"):
        cache_key(doubled(60))


def test_a_value_that_holds_one_several_times_has_the_key_of_one_that_holds_several() -> None:
    shared = ["a" * 200_000, {"b": 1.0}]
    once = cache_key([shared] * 6)

    assert once == cache_key([["a" * 200_000, {"b": 1.0}] for _ in range(6)])
    assert once != cache_key([["a" * 200_000, {"b": 1}] for _ in range(6)])
    assert once != cache_key([shared] * 5)


def test_a_value_that_holds_itself_is_refused_as_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(UncacheableArgument, match="64 levels"):
        cache_key(endless)


def test_models_that_differ_in_a_private_attribute_have_different_keys() -> None:
    class Shop(BaseModel):
        _tenant: str = PrivateAttr("")

    def of(tenant: str) -> str:
        shop = Shop()
        shop._tenant = tenant
        return cache_key(shop)

    assert of("a") == of("a") != of("b")


def test_what_a_model_only_remembers_makes_no_other_key() -> None:
    class Shop(BaseModel):
        path: str

        @cached_property
        def opened(self) -> object:
            return object()

    shop = Shop(path="a")
    before = cache_key(shop)
    assert shop.opened is shop.opened

    assert cache_key(shop) == before


def test_the_text_of_a_message_is_a_text() -> None:
    assert cache_key(AIMessage("hello").text) == cache_key("hello")


class Nowhere(tzinfo):
    def utcoffset(self, _at: datetime | None, /) -> timedelta | None:
        raise NotImplementedError("nobody knows")

    def dst(self, _at: datetime | None, /) -> timedelta | None:
        return None

    def tzname(self, _at: datetime | None, /) -> str | None:
        return None


@dataclass
class Unfinished:
    x: int = field(init=False)


@pytest.mark.parametrize(
    "argument", [Unfinished(), [datetime(2026, 1, 1, tzinfo=Nowhere())]], ids=["field", "zone"]
)
def test_an_argument_that_raises_as_it_is_read_is_refused_by_name(argument: Any) -> None:
    def search(question: Any) -> None: ...

    with pytest.raises(
        UncacheableArgument, match=r"argument 'question' is a .* that can't be read"
    ) as refused:
        Arguments(search, "search").key((argument,), {})

    assert isinstance(refused.value.__cause__, AttributeError | NotImplementedError)


def test_functions_of_one_name_within_another_function_have_keys_of_their_own() -> None:
    def made(kind: str) -> Any:
        if kind == "double":

            @cached(ttl=60)
            def counted(number: int) -> Any:
                return 2 * number
        else:

            @cached(ttl=60)
            def counted(number: int) -> Any:
                return [each for each in (number, ...) if each is not Ellipsis]

        return counted

    nameless = [cached(ttl=60)(each) for each in (lambda number: number + 1, lambda number: number + 2)]

    assert [made("double")(3), made("list")(3), made("double")(3)] == [6, [3], 6]
    assert [each(3) for each in nameless] == [4, 5]


class Named(Pair):
    """A named tuple of which each has attributes, too."""


def test_named_tuples_that_differ_in_an_attribute_have_different_keys() -> None:
    plain, one, other = Named(1, 2), Named(1, 2), Named(1, 2)
    one.word, other.word = "a", "b"

    assert len({cache_key(each) for each in (plain, one, other)}) == 3
    assert cache_key(plain) == cache_key(Named(1, 2))


def test_numbers_of_the_same_bytes_and_another_type_have_different_keys() -> None:
    numpy = pytest.importorskip("numpy")

    signed, unsigned = (numpy.frombuffer(b"\xc8", dtype=kind) for kind in ("int8", "uint8"))

    assert cache_key(arr=signed) != cache_key(arr=unsigned)


async def test_a_method_says_that_its_object_makes_no_key() -> None:
    class Shop:
        @cached(ttl=60)
        async def price(self, item: str) -> int:
            return len(item)

        @cached(ttl=60, ignore=("self",))
        async def name(self, item: str) -> str:
            return item.upper()

    assert await Shop().name("a") == "A"
    with pytest.raises(UncacheableArgument, match="argument 'self' is a"):
        await Shop().price("a")
