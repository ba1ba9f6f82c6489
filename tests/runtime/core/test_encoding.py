"""What graphs keep and emit is written in JSON as by LangGraph's own server, and nothing is lost that JSON
can hold. The values and their JSON were read off that server."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_runtime.streams.json_encoding import encode, to_json
from support.values import AS_THEIRS, SAID


@pytest.mark.parametrize("name", SAID)
def test_a_value_is_told_as_clients_expect_it(name: str) -> None:
    value, told = SAID[name]

    assert json.loads(encode(value)) == told
    assert to_json(value) == told


@pytest.mark.parametrize("name", SAID)
def test_beside_what_is_hard_to_tell_all_else_is_told_as_ever(name: str) -> None:
    value, told = SAID[name]

    assert json.loads(encode({"\ud83d": 1, "value": value})) == {"?": 1, "value": told}


def test_an_array_of_numpy_is_a_list_of_its_numbers_also_where_orjson_leaves_it_to_us() -> None:
    array = type("ndarray", (), {"__module__": "numpy", "tolist": lambda self: [1, 2.5]})
    other = type("ndarray", (), {"__module__": "numpyish", "tolist": lambda self: [1, 2.5]})

    assert json.loads(encode({"of numpy": array(), "of another": other()})) == {
        "of numpy": [1, 2.5],
        "of another": None,
    }


def nested(levels: int) -> Any:
    """Lists and objects in each other."""
    value: Any = b"z"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("levels", [200, 254, 255, 500, 900])
def test_what_is_nested_deep_is_told_whole(levels: int) -> None:
    told = encode(nested(levels))

    assert told.count(b"[") + told.count(b"{") == levels
    assert b'"eg=="' in told
    orjson.loads(told)


def test_what_refers_to_itself_ends_where_it_would_begin_again() -> None:
    circle: dict[str, Any] = {"n": 1}
    circle["self"] = [circle, circle]

    assert json.loads(encode(circle)) == {"n": 1, "self": [None, None]}


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from([value for value, _ in AS_THEIRS.values()]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(ANY)
def test_whatever_comes_is_json_that_clients_can_read(value: Any) -> None:
    told = encode(value)

    orjson.loads(told)
    assert to_json(value) == json.loads(told)
