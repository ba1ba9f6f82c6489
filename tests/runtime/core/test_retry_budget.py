"""How long the database may fail under a run before the run ends."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.worker.retry_budget import (
    APART_SECONDS,
    BACKOFF,
    PATIENCE_SECONDS,
    RetryBudget,
)
from runtime.core.stories import ran


def test_a_run_waits_through_an_outage_with_ever_longer_pauses() -> None:
    budget = RetryBudget(at_least=3, chance=lambda: 0.5)

    pauses = [budget.failed("run", float(second)) for second in range(0, 500, 5)]

    assert None not in pauses
    assert pauses == sorted(pauses, key=lambda pause: pause or 0.0)
    assert pauses[-1] == BACKOFF.longest_seconds


def test_a_run_under_which_the_database_always_fails_ends_at_last() -> None:
    budget = RetryBudget(at_least=3)

    ends = [second for second in range(0, 1200, 5) if budget.failed("run", float(second)) is None]

    assert ends[0] == PATIENCE_SECONDS


def test_failures_that_lie_far_apart_end_no_run() -> None:
    budget = RetryBudget(at_least=3)

    pauses = [budget.failed("run", each * (APART_SECONDS + 1)) for each in range(100)]

    assert None not in pauses


def test_one_run_pays_nothing_for_the_failures_of_another() -> None:
    budget = RetryBudget(at_least=1)
    for second in range(int(PATIENCE_SECONDS)):
        budget.failed("first", float(second))

    assert budget.failed("first", PATIENCE_SECONDS) is None
    assert budget.failed("second", PATIENCE_SECONDS) is not None


async def test_a_run_outlives_more_failures_of_the_checkpoints_than_it_has_attempts(
    new_replica: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")
    saver = replica.services.checkpointer
    read, failures = saver.aget_tuple, iter(range(5))

    async def unreachable(config: Any) -> Any:
        if next(failures, None) is not None:
            raise StorageUnavailable("the database of the checkpoints can't be reached: no route")
        return await read(config)

    monkeypatch.setattr(saver, "aget_tuple", unreachable)
    run = await replica.start("three_steps", RunKwargs(input={"folder": str(tmp_path), "done": []}))
    ended = await replica.ended(run)

    assert (ended.status, ended.error) == ("success", None)
    assert ran(tmp_path) == ["one", "two", "three"]


async def test_a_step_whose_writes_are_stored_but_not_its_checkpoint_is_not_taken_for_the_end(
    new_replica: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")
    saver = replica.services.checkpointer
    write, failures = saver.aput, iter(range(1))

    async def cut_between_the_two(config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        if metadata["step"] == 1 and next(failures, None) is not None:
            raise StorageUnavailable("the database of the checkpoints can't be reached: no route")
        return await write(config, checkpoint, metadata, versions)

    monkeypatch.setattr(saver, "aput", cut_between_the_two)
    given = RunKwargs(input={"folder": str(tmp_path), "done": []}, durability="sync")
    ended = await replica.ended(await replica.start("three_steps", given))

    assert (ended.status, ended.error) == ("success", None)
    assert ran(tmp_path) == ["one", "two", "three"]
    thread = await replica.services.storage.threads.get(ended.thread_id)
    assert (thread.status, thread.values["done"]) == ("idle", ["one", "two", "three"])
