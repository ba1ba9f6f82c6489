"""The ways to serve many at once: each answers what it is asked, and what is not answered is reported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from bench.modes import MODES, Seen, table

from support.ports import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]


def test_what_was_not_answered_in_time_is_no_time() -> None:
    answered = Seen(20, 10.0, [0.1 * number for number in range(1, 20)], Counter(), 90.0)
    late = Seen(20, 10.0, [0.5] * 18, Counter({"PoolTimeout": 1}), 90.0)

    assert answered.row(15.0) == ["**2**", "1.90", "90", "1 not answered"]
    assert late.row(15.0) == ["**2**", "over 15", "90", "1 PoolTimeout; 1 not answered"]


def test_a_table_compares_the_ways_at_each_number() -> None:
    found = {way: [Seen(number, 1.0, [0.5] * number) for number in (1, 1000)] for way in ("a", "b")}

    lines = table(found, 15.0).splitlines()

    assert lines[2:] == [
        "| 1 | a | **1** | 0.50 | 0 | 0 |",
        "| 1 | b | **1** | 0.50 | 0 | 0 |",
        "| 1,000 | a | **1000** | 0.50 | 0 | 0 |",
        "| 1,000 | b | **1000** | 0.50 | 0 | 0 |",
    ]


@pytest.mark.parametrize("way", MODES)
def test_each_way_of_calling_many_at_once_gets_all_answers(way: str, postgres_uri: str) -> None:
    command = [sys.executable, "-m", "bench.modes", "--case", way, postgres_uri, "--at-once", "3"]

    told = subprocess.run(
        [*command, "--seconds", str(PATIENCE_SECONDS)], cwd=ROOT, capture_output=True, check=True
    )

    seen = json.loads(told.stdout)
    assert (len(seen["answers"]), seen["errors"]) == (3, {})
    assert seen["peak_mib"] > 0
