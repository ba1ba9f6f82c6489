"""The benchmark of the cache: a simulation gives the same each time, and what is learned gains on it."""

from __future__ import annotations

import pytest
from bench.cache import AHEAD, LRU, NONE, PRELOAD, Load, Measured, Simulation, Way

SHORT = Load("short", 500, 1.0, ((40.0, 300.0),), ttl=30.0, ttl_max=90.0)
TIGHT = Load("tight", 5000, 0.9, ((100.0, 120.0),), ttl=600.0, ttl_max=600.0, entries=256)
SHARED = Load("shared", 500, 1.0, ((40.0, 300.0),), ttl=30.0, ttl_max=90.0, replicas=3)


def simulated(load: Load, way: Way) -> Measured:
    return Simulation(load, way).run(load.trace())


@pytest.mark.parametrize("load", [SHORT, SHARED], ids=lambda load: load.name)
def test_what_is_computed_ahead_is_a_hit_more_and_costs_little(load: Load) -> None:
    none, alone, ahead, preload = (simulated(load, way) for way in (NONE, LRU, AHEAD, PRELOAD))

    assert none.hits == 0
    assert alone.hits < ahead.hits < preload.hits
    assert preload.computed < 1.2 * alone.computed


def test_where_memory_is_small_the_popular_stay() -> None:
    alone, counted = simulated(TIGHT, LRU), simulated(TIGHT, Way("counted", admits=True))

    assert counted.hits > 1.02 * alone.hits
