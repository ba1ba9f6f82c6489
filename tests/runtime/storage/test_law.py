"""What both storages decide alike, without a database."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_runtime.model import Priority, Signal
from lgs_runtime.storage import fairness, law
from lgs_runtime.storage.encoding import clean, contains, dump, dump_searchable, load
from lgs_runtime.storage.news import packed, unpacked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_rank_ages_by_the_time_that_runs_have_waited() -> None:
    low_for_two_minutes = -120.0 + fairness.rank_offset(fairness.LEVEL[Priority.LOW])
    normal_for_half_a_minute = -30.0 + fairness.rank_offset(fairness.LEVEL[Priority.NORMAL])

    assert low_for_two_minutes == normal_for_half_a_minute == 0.0
    assert fairness.rank_offset(fairness.LEVEL[Priority.HIGH]) == 0.0


@pytest.mark.parametrize(
    ("attempt", "cancelled", "fate"),
    [
        (1, None, "wait"),
        (2, None, "wait"),
        (3, None, "fail"),
        (1, "interrupt", "stop"),
        (3, "rollback", "delete"),
    ],
)
def test_a_lost_run_has_three_attempts_unless_it_was_to_stop_anyway(
    attempt: int, cancelled: Any, fate: str
) -> None:
    assert law.lost(attempt, cancelled, max_attempts=3) == fate


@given(JSON)
def test_a_document_comes_back_as_it_went(value: Any) -> None:
    assert load(dump(value)) == value


@given(st.text())
def test_a_searchable_document_has_no_nul_and_loses_nothing_else(text: str) -> None:
    document = dump_searchable({"text": text, "escaped": "\\u0000"})

    assert load(document) == {"text": text.replace("\u0000", ""), "escaped": "\\u0000"}


@given(JSON)
def test_everything_contains_itself(value: Any) -> None:
    assert contains(value, value)


def test_text_that_no_database_takes_is_cleaned() -> None:
    assert clean("a\u0000b\ud800c") == "ab?c"
    assert clean(None) is None


def test_signals_travel_without_doubles_and_in_payloads_that_fit() -> None:
    signals = [Signal("finished", f"{'x' * 36}{number % 120}") for number in range(200)]

    payloads = packed(signals)

    assert [signal for payload in payloads for signal in unpacked(payload)] == signals[:120]
    assert max(len(payload) for payload in payloads) < 8000
    assert unpacked("hello world") == []
