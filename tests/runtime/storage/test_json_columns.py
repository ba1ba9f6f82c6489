"""JSON as both databases take it comes back as it went."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_runtime.database.json_columns import MARK, contains, dump, escape, load, unescape

AWKWARD = st.sampled_from(
    ["\x00", "k\x00", "\ud83d", "\udc00\ud83d", MARK, f"{MARK}0000", f"{MARK}i1", "\\u0000"]
)
TEXT = st.text(st.characters(exclude_categories=())) | AWKWARD
LARGE = st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400])
NUMBER = st.integers() | LARGE | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
"""With text that has NUL, halves of characters and text in the form of our marks, and integers of any
size."""


@given(JSON)
def test_a_document_comes_back_as_it_went(value: Any) -> None:
    assert load(dump(value)) == value


@given(JSON)
def test_a_document_has_nothing_that_a_database_refuses(value: Any) -> None:
    document = dump(value)

    assert "\\u0000" not in document.replace("\\\\", "")
    assert not re.search(r"\\ud[89a-f]", document.replace("\\\\", ""))
    assert document.encode("utf-8")


@given(TEXT, TEXT)
def test_text_that_no_database_takes_is_kept_and_told_apart(one: str, other: str) -> None:
    kept = escape(one)

    assert "\x00" not in kept
    assert kept.encode("utf-8").decode() == kept
    assert unescape(kept) == one
    assert (escape(other) == kept) == (other == one)


@given(JSON)
def test_everything_contains_itself(value: Any) -> None:
    assert contains(value, value)


@pytest.mark.parametrize("number", [1e16, -1.8e19, 5.892599430321159e16])
def test_a_float_that_postgres_would_make_an_integer_of_is_marked(number: float) -> None:
    assert load(dump({"n": number})) == {"n": number}
    assert isinstance(orjson.loads(dump({"n": number}))["n"], str)
