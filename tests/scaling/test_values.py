"""The values of the scaling law are equal, hashed and changed as frozen dataclasses are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lgs_operator.scaling.flow import Flow
from lgs_operator.scaling.histogram import Histogram
from lgs_operator.scaling.memory import Memory
from lgs_operator.scaling.samples import Observation, ReplicaSample
from lgs_operator.scaling.values import changed

SAMPLE = ReplicaSample("a", 1.0, 8, in_use=3, wait=Histogram((1.0,), (2.0,), 1.5, 2.0))


def test_a_value_with_other_fields_is_what_replace_makes_of_it() -> None:
    memory = Memory(at=5.0, flow=Flow(5.0, (1.5, 1.5), (2.0, 3.0)), baselines={"a": SAMPLE})

    assert changed(memory, replicas=3) == replace(memory, replicas=3)
    assert changed(memory, replicas=3).baselines is memory.baselines
    assert changed(memory.flow, end=6.0) == replace(memory.flow, end=6.0)
    assert changed(memory.flow, lengths=(3.0,), arrivals=(4.0,)).last(1.5) == 2.0
    assert memory.replicas is None


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="replica"):
        changed(Memory(), replica=3)  # type: ignore[call-arg]


def test_equal_values_are_one_in_a_set() -> None:
    seen = Observation(1.0, (SAMPLE,), ready=1)

    assert {seen, Observation(1.0, (replace(SAMPLE),), ready=1)} == {seen}
    assert seen != Observation(1.0, (replace(SAMPLE, in_use=4),), ready=1)
