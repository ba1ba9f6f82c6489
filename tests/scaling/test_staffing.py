"""Head-room is the least with which hardly a run waits longer than it may."""

from __future__ import annotations

import random
from math import erf, exp, pi, sqrt

import pytest

from lgs_operator.scaling.staffing import LATE_SHARE, MOST_BETA, STEPS, head_room


def late_share(beta: float, load: float, patience: float) -> float:
    """Halfin and Whitt's share of the runs that wait longer than `patience` mean run times."""
    density, below = exp(-beta * beta / 2) / sqrt(2 * pi), (1 + erf(beta / sqrt(2))) / 2
    return exp(-beta * sqrt(load) * patience) / (1 + beta * below / density)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_least_with_which_hardly_a_run_waits_too_long(seed: int) -> None:
    dice = random.Random(seed)
    found = set()
    for _ in range(200):
        load, patience = 10 ** dice.uniform(-2, 4), 10 ** dice.uniform(-4, 2)

        beta = head_room(load, patience)

        found.add(beta)
        assert late_share(beta, load, patience) <= LATE_SHARE
        assert beta == MOST_BETA / STEPS or late_share(beta - MOST_BETA / STEPS, load, patience) > LATE_SHARE
    assert len(found) > 50


def test_without_patience_all_that_wait_at_all_are_late() -> None:
    assert head_room(1.0, 0.0) == head_room(1000.0, 0.0)
    assert late_share(head_room(1.0, 0.0), 1.0, 0.0) == pytest.approx(LATE_SHARE, rel=0.05)


def test_with_all_patience_none_is_needed() -> None:
    assert head_room(1e6, 1e6) == MOST_BETA / STEPS
