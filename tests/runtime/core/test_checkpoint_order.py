"""Checkpoints sort by the clocks of the replicas that wrote them, and these may be wrong."""

from __future__ import annotations

import time
from typing import Any

import pytest
from langgraph.checkpoint.base import id as ids
from langgraph.checkpoint.base import uuid6

from lgs_runtime.checkpoint.id_order import advance_ids_past
from lgs_runtime.run_kwargs import RunKwargs
from runtime.core.stories import ran


def as_another_process(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """What the clock says is wrong by `hours`, and no id was given before."""
    clock = time.time_ns
    monkeypatch.setattr(ids.time, "time_ns", lambda: clock() + int(hours * 3600e9))
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)


def test_ids_sort_after_one_that_was_read_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as ahead:
        as_another_process(ahead, 1)
        read = str(uuid6())
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)

    before = str(uuid6())
    advance_ids_past(read)
    after = [str(uuid6()) for _ in range(3)]

    assert before < read < after[0] < after[1] < after[2]


def test_an_id_without_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_last_v6_timestamp", 7)

    for other in ("", "latest", "ffffffff-ffff-4fff-8fff-ffffffffffff"):
        advance_ids_past(other)

    assert ids._last_v6_timestamp == 7


async def test_a_session_goes_on_where_a_replica_left_it_whose_clock_was_ahead(
    new_replica: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")
    (first := tmp_path / "first").mkdir()
    (second := tmp_path / "second").mkdir()
    with monkeypatch.context() as ahead:
        as_another_process(ahead, 1)
        ended = await replica.ended(await replica.start("three_steps", given(first)))
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)

    again = await replica.start("three_steps", given(second), thread_id=ended.thread_id)
    assert (await replica.ended(again)).status == "success"

    assert ran(second) == ["one", "two", "three"]
    config: Any = {"configurable": {"thread_id": ended.thread_id, "checkpoint_ns": ""}}
    latest = await replica.services.checkpointer.aget_tuple(config)
    assert latest.metadata["run_id"] == again.run_id


def given(folder: Any) -> RunKwargs:
    return RunKwargs(input={"folder": str(folder), "done": []}, durability="sync")
