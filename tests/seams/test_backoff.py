"""Two distributions that may not know each other pause alike between their tries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lgs_operator.backoff import Backoff as OperatorBackoff
from lgs_runtime.backoff import Backoff as RuntimeBackoff

ROOT = Path(__file__).parents[2]
BY_HAND = re.compile(r"(?:[\d_] ?(?:\*\*|<<)|\bpow(?:er)?\()[^\n]*(?:attempt|failure|tries|crash)")
"""A power of how often something failed."""


@pytest.mark.parametrize("failures", [0, 1, 2, 7, 8, 500])
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_both_wait_as_long_after_as_many_failures(failures: int, chance: float) -> None:
    theirs, ours = (kind(0.5, 60.0, jitter=0.1) for kind in (OperatorBackoff, RuntimeBackoff))

    assert theirs.pause(failures, lambda: chance) == ours.pause(failures, lambda: chance)


@pytest.mark.parametrize("sources", ["runtime/src", "operator/src", "bench"])
def test_nothing_works_out_its_pauses_by_hand(sources: str) -> None:
    files = [each for each in (ROOT / sources).rglob("*.py") if each.name != "backoff.py"]

    assert files
    assert [each.name for each in files if BY_HAND.search(each.read_text())] == []
