"""Types of applications that say something else of themselves than they are: each value comes back as it was
or is refused, and different calls have different keys."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import Any

import pytest

from lgs_runtime.cache.keys import cache_key
from lgs_runtime.cache.type_memo import MOST, by_type
from lgs_runtime.cache.value_encoding import Encoding, NotStorable
from lgs_runtime.cache.value_types import Unreadable, head_of, object_of

ENCODING = Encoding(threshold_bytes=1024)


class Swapped(enum.Enum):
    """`value` is what another member is found by."""

    LOW = 1
    HIGH = 2

    @property
    def value(self) -> int:
        return 3 - int(self._value_)


class Labelled(enum.Enum):
    """As forms show them."""

    OPEN = "o"
    SHUT = "s"

    @property
    def value(self) -> str:
        return self._name_.title()


class Same(enum.Enum):
    A = 1
    B = 2

    @property
    def name(self) -> str:
        return "same"


class NotANumber(enum.Enum):
    MISSING = float("nan")
    ALSO_MISSING = float("nan")
    NOTHING = 0.0


class Crossed(enum.Enum):
    """Its members have each other's names for values."""

    A = "B"
    B = "A"


class Switch(enum.Flag):
    LEFT = 1
    RIGHT = 2


class Broken(enum.Flag):
    LEFT = 1
    RIGHT = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise RuntimeError(value)


@pytest.mark.parametrize("kind", [Swapped, Labelled, Same, NotANumber, Switch, Broken])
def test_each_member_of_an_enumeration_comes_back_and_has_a_key_of_its_own(kind: type[enum.Enum]) -> None:
    members = list(kind)

    back = [ENCODING.loads(ENCODING.dumps([each, {each: (each,)}]).raw) for each in members]

    assert all(one is each for (one, _), each in zip(back, members, strict=True))
    assert [[*by.items()] for _, by in back] == [[(each, (each,))] for each in members]
    assert len({cache_key(each) for each in members}) == len(members)


def test_flags_together_come_back_or_are_refused() -> None:
    both = Switch.LEFT | Switch.RIGHT

    assert ENCODING.loads(ENCODING.dumps(both).raw) is both
    assert cache_key(both) != cache_key(Switch.LEFT)


class Look(enum.Flag):
    """Found by its names alone, of which two together have none."""

    LEFT = 1
    RIGHT = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return super()._missing_(value)


def test_flags_that_are_found_by_names_alone_are_refused_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgs_runtime.cache.value_types._found_by_value", lambda kind: False)
    both = Look.LEFT | Look.RIGHT

    with pytest.raises(NotStorable, match="neither by its value nor by its name"):
        ENCODING.dumps(both)
    assert ENCODING.loads(ENCODING.dumps(Look.LEFT).raw) is Look.LEFT


def test_a_member_that_was_written_by_its_value_is_no_other_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two releases at once: the shape of an enumeration says how its members were written."""
    monkeypatch.setattr("lgs_runtime.cache.value_types._found_by_value", lambda kind: False)
    module, name, shape = head_of(Crossed)
    before = hashlib.sha256(repr(sorted({"A": "'B'", "B": "'A'"}.items())).encode()).hexdigest()[:8]

    assert object_of(module, name, shape, "A") is Crossed.A
    with pytest.raises(Unreadable, match="not what it was"):
        object_of(module, name, before, "A")


class AllEqual(type):
    """Types of it are equal, and have one hash."""

    def __eq__(cls, other: object) -> bool:
        return isinstance(other, AllEqual)

    def __hash__(cls) -> int:
        return 1


@dataclass
class Metres(metaclass=AllEqual):
    amount: int


@dataclass
class Feet(metaclass=AllEqual):
    amount: int
    inches: int = 0


class NoHash(type):
    """Types of it can be in no dictionary."""

    def __eq__(cls, other: object) -> bool:
        return cls is other

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Yards(metaclass=NoHash):
    amount: int


def test_types_that_are_equal_are_different() -> None:
    values = [Metres(1), Feet(1), Feet(1, 2), Metres(2)]

    back = [ENCODING.loads(ENCODING.dumps(each).raw) for each in values]

    assert [(id(type(each)), vars(each)) for each in back] == [
        (id(type(each)), vars(each)) for each in values
    ]
    assert len({cache_key(each) for each in values}) == len(values)


def test_a_type_without_a_hash_is_refused_or_kept_and_no_other_error() -> None:
    with pytest.raises((NotStorable, Unreadable)):
        ENCODING.loads(ENCODING.dumps(Yards(1)).raw)


def test_what_is_known_of_types_is_bounded() -> None:
    asked: list[type] = []

    @by_type
    def name_of(kind: type) -> str:
        asked.append(kind)
        return kind.__name__

    kinds = [type(f"T{number}", (), {}) for number in range(MOST + 10)]

    assert [name_of(kind) for kind in (*kinds, *kinds[-5:])] == [k.__name__ for k in (*kinds, *kinds[-5:])]
    assert len(asked) == len(kinds)
