"""Sessions stay with the revision that they began with, as real replicas have it: through questions and
answers, and through the end of the replica that executed them; and they are not stranded with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lgs_runtime.background.pins import PinWatch
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Pinned, Run
from lgs_runtime.pin_metrics import PinMetrics
from lgs_runtime.run_kwargs import RunKwargs
from runtime.core.stories import ran
from support.ports import PATIENCE_SECONDS
from support.waiting import until

NewReplica = Callable[..., Any]


def given(folder: Path) -> RunKwargs:
    return RunKwargs(input={"folder": str(folder), "done": []})


def hold(folder: Path, name: str) -> Path:
    """Holds a node until the file is gone."""
    path = folder / f"hold-{name}"
    path.touch()
    return path


async def old_ends(new_replica: NewReplica, old: Any, *, kept: bool = True) -> Any:
    """The old revision is replaced: its replica drains, and one may stay for what is pinned to it."""
    new = await new_replica("new", revision="2", pinning="open")
    if kept:
        await new_replica("kept", revision="1", pinning="closed")
    await old.services.worker.drain(0)
    await old.close()
    return new


async def asked(new_replica: NewReplica, folder: Path) -> tuple[Any, Run]:
    """A replica of the old revision, and a run of it that has asked a question."""
    old = await new_replica("old", revision="1", pinning="open")
    run = await old.ended(await old.start("asking", given(folder)))
    assert (await old.services.storage.threads.get(run.thread_id)).status == "interrupted"
    return old, run


def answer(words: str) -> RunKwargs:
    return RunKwargs(command={"resume": words})


async def test_an_answer_days_later_is_taken_by_the_revision_that_asked(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    old, run = await asked(new_replica, tmp_path)
    new = await old_ends(new_replica, old)

    ended = [
        await new.ended(await new.start("asking", kwargs, run.thread_id))
        for kwargs in (answer("one"), answer("two"), given(tmp_path))
    ]

    assert [each.metadata["lgs_revision"] for each in ended] == ["1", "1", "2"], "what came after is new"


async def test_a_run_that_is_cut_by_a_rollout_goes_on_in_its_own_revision(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    old, held = await new_replica("old", revision="1", pinning="open"), hold(tmp_path, "two")
    run = await old.start("three_steps", given(tmp_path))
    await until(lambda: old.services.worker.running() == 1)
    new = await old_ends(new_replica, old)
    fresh = await new.start("three_steps", given(tmp_path))
    held.unlink()

    ended = [(await new.ended(each)).metadata["lgs_revision"] for each in (run, fresh)]

    assert ended == ["1", "2"]


async def test_nobodys_session_is_stranded_with_a_revision_that_is_gone(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    old, run = await asked(new_replica, tmp_path)
    new = await old_ends(new_replica, old, kept=False)
    resumed = await new.start("asking", answer("one"), run.thread_id)

    # as the duty does it when the revision has been gone for its time
    found = await new.services.storage.pins.watch(0.0, revision="2")
    ended = await new.ended(resumed)

    assert {each.revision: each.moved for each in found} == {"1": 1, "2": 0}
    assert ended.metadata["lgs_revision"] == "2"


async def test_a_replica_watches_what_is_pinned_and_shows_it(new_replica: NewReplica, tmp_path: Path) -> None:
    old, _ = await asked(new_replica, tmp_path)

    async def shown() -> bool:
        page = (await old.services.metrics.render()).decode()
        return 'lgs_pinned_threads{revision="1"} 1.0' in page and 'lgs_pinned_runs{revision="1"} 0.0' in page

    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await shown():
            await asyncio.sleep(0.1)


async def test_a_replica_that_pins_nothing_shows_nothing(new_replica: NewReplica, tmp_path: Path) -> None:
    replica = await new_replica("a", revision="1")
    await replica.ended(await replica.start("three_steps", given(tmp_path)))

    assert b"lgs_pin" not in await replica.services.metrics.render()
    assert ran(tmp_path) == ["one", "two", "three"]


class Moving:
    """A storage that has just freed what was pinned to a revision."""

    async def watch(self, wait_seconds: float, **_: Any) -> Any:
        return [Pinned("1", 2, 1, moved=3), Pinned("2", 0, 4)]


async def test_what_has_moved_is_told_and_counted() -> None:
    metrics, pins = Metrics(concurrency=1), Moving()
    storage: Any = pins
    watch = PinWatch(storage, metrics.pins, wait_seconds=120.0)

    with capture_logs() as said:
        await watch.turn()
        await watch.turn()

    (line, _) = said
    assert (line["event"], line["revision"], line["count"]) == ("pins.moved", "1", 3)
    page = (await metrics.render()).decode()
    assert 'lgs_pins_moved_total{revision="1"} 6.0' in page
    assert 'lgs_pinned_runs{revision="2"} 4.0' in page


class Silent:
    """A storage that does not answer."""

    async def watch(self, *_: Any, **__: Any) -> Any:
        raise StorageUnavailable("away")


async def test_what_is_pinned_is_not_known_while_the_database_is_silent() -> None:
    metrics = PinMetrics()
    metrics.set([Pinned("1", 3, 1)])
    pins: Any = Silent()

    with pytest.raises(StorageUnavailable):
        await PinWatch(pins, metrics, wait_seconds=1.0).turn()

    assert list(metrics.collect()) == []
