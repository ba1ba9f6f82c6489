"""What a turn costs, worked out from what was measured, and what a larger service needs by that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.centre.costs import Costs, Measured, check_table, cost_table, costs, need, need_table

TRUE = Costs(
    idle=0.02,
    cached={"replicas": 0.010, "PostgreSQL": 0.004, "Redis": 0.0005},
    fresh={"replicas": 0.020, "PostgreSQL": 0.005, "Redis": 0.0010},
)


def stretch(rate: float, hit_rate: float, replicas: int = 1) -> Measured:
    """A minute of a service that costs what `TRUE` says."""
    cpu = {part: 60 * TRUE.cores(part, rate, hit_rate, replicas) for part in TRUE.cached}
    turns = round(60 * rate)
    return Measured(60.0, turns, replicas, hit_rate, cpu, answer=2.0, memory=140.0, wal=turns * 2**14)


def test_the_costs_of_hit_and_miss_are_told_from_two_stretches() -> None:
    found = costs(0.02, stretch(4.0, 0.9), stretch(2.0, 0.1))

    assert found.cached == pytest.approx(TRUE.cached)
    assert found.fresh == pytest.approx(TRUE.fresh)


def test_two_stretches_that_found_as_much_in_the_cache_tell_nothing() -> None:
    with pytest.raises(ValueError, match=r"hit rates 0\.90 and 0\.80: must differ"):
        costs(0.02, stretch(4.0, 0.9), stretch(2.0, 0.8))


def test_what_was_worked_out_stands_beside_what_was_measured() -> None:
    exact, dearer = stretch(5.0, 0.9, 2), stretch(5.0, 0.9, 2)
    dearer = replace(dearer, cpu={part: 2 * seconds for part, seconds in dearer.cpu.items()})

    *_, first, second = check_table(TRUE, [exact, dearer]).splitlines()

    assert first.startswith("| 5.0 | 2 | 90 % | 0.095 | 0.095 |")
    assert first.endswith("| +0 % |")
    assert second.endswith("| -50 % |")


def test_a_size_needs_the_replicas_that_keep_each_within_its_load() -> None:
    found = need(1200.0, 12_000, TRUE, stretch(5.0, 0.9), connections=10)

    busy = found.cores["replicas"] / found.replicas
    assert busy <= 0.6
    assert TRUE.cores("replicas", 1200.0, 0.9, found.replicas - 1) / (found.replicas - 1) > 0.6
    assert found.slots * found.replicas >= 1200 * 2.0
    assert found.connections == 10 * found.replicas
    assert found.have("PostgreSQL") == 9
    assert found.wal_mib == pytest.approx(1200 * 2**14 / 2**20)


def test_the_tables_have_a_column_for_each_size() -> None:
    needs = [need(rate, 100, TRUE, stretch(5.0, 0.9), connections=10) for rate in (10, 1247)]

    head, _, *rows = need_table(needs).splitlines()

    assert head == "|  | 10 a second | 1,247 a second |"
    assert all(row.count("|") == 4 for row in rows)
    assert "| nothing found | 20.0 | 5.0 | 1.0 | 26.0 |" in cost_table(TRUE)
