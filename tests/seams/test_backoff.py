"""Two distributions that may not know each other pause alike between their tries."""

from __future__ import annotations

import pytest

from lgs_operator.backoff import Backoff as OperatorBackoff
from lgs_runtime.backoff import Backoff as RuntimeBackoff


@pytest.mark.parametrize("failures", [0, 1, 2, 7, 8, 500])
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_both_wait_as_long_after_as_many_failures(failures: int, chance: float) -> None:
    theirs, ours = (kind(0.5, 60.0, jitter=0.1) for kind in (OperatorBackoff, RuntimeBackoff))

    assert theirs.pause(failures, lambda: chance) == ours.pause(failures, lambda: chance)
