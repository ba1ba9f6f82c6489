"""Who waits for the end of a run learns of it whenever it came, and asks the database no more than it
must."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta

import pytest

from lgs_runtime.model import Outcome, Run, Signal
from lgs_runtime.notifier import Notifier
from support.ports import PATIENCE_SECONDS
from support.service import Service, new_id


@pytest.fixture
def looks(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were read from the storage."""
    seen: list[str] = []
    read = service.storage.runs.get

    async def run(run_id: str, thread_id: str | None = None) -> Run:
        seen.append(run_id)
        return await read(run_id, thread_id)

    monkeypatch.setattr(service.storage.runs, "get", run)
    return seen


async def test_a_run_that_was_just_stored_is_read_once_when_it_has_ended(
    service: Service, looks: list[str]
) -> None:
    await service.replica()
    run = await service.running()
    notifier = Notifier(service.storage)
    waiting = asyncio.create_task(notifier.finished(run.run_id, run.thread_id, seen_unfinished=True))
    await asyncio.sleep(0)

    await service.storage.queue.finish(run, "r1", Outcome("success"))
    notifier.announce(Signal("finished", run.run_id))
    ended = await waiting

    assert ended is not None and ended.status == "success"
    assert looks == [run.run_id]


async def test_an_end_that_came_before_the_wait_began_is_not_missed(
    service: Service, looks: list[str]
) -> None:
    await service.replica()
    run = await service.running()
    notifier = Notifier(service.storage)

    await service.storage.queue.finish(run, "r1", Outcome("success"))
    notifier.announce(Signal("finished", run.run_id))
    ended = await notifier.finished(run.run_id, run.thread_id, seen_unfinished=True)

    assert ended is not None and ended.status == "success"
    assert looks == [run.run_id]


async def test_a_lost_signal_only_makes_the_wait_longer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.notifier.RECHECK_SECONDS", 0.01)
    await service.replica()
    run = await service.running()
    notifier = Notifier(service.storage)
    waiting = asyncio.create_task(notifier.finished(run.run_id, run.thread_id, seen_unfinished=True))

    await service.storage.queue.finish(run, "r1", Outcome("success"))

    assert await waiting is not None


async def test_all_who_wait_ask_the_storage_together(
    service: Service, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.notifier.RECHECK_SECONDS", 0.01)
    await service.replica()
    runs = [await service.running() for _ in range(5)]
    notifier = Notifier(service.storage)
    waiting = [asyncio.create_task(notifier.finished(run.run_id, seen_unfinished=True)) for run in runs]
    asked = await _rounds(service, monkeypatch, 3)

    await service.storage.queue.finish(runs[0], "r1", Outcome("success"))
    ended = await waiting[0]
    await notifier.close()
    for task in waiting[1:]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert ended is not None and ended.status == "success"
    assert looks == [runs[0].run_id]
    assert all(round_ == {run.run_id for run in runs} for round_ in asked[:3])


async def _rounds(service: Service, monkeypatch: pytest.MonkeyPatch, count: int) -> list[set[str]]:
    """Waits until the storage was asked so often which runs have ended; gives what was asked."""
    asked: list[set[str]] = []
    enough = asyncio.Event()
    ask = service.storage.runs.finished

    async def finished_runs(run_ids: Collection[str]) -> Collection[str]:
        asked.append(set(run_ids))
        if len(asked) >= count:
            enough.set()
        return await ask(run_ids)

    monkeypatch.setattr(service.storage.runs, "finished", finished_runs)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await enough.wait()
    return asked


async def test_who_follows_a_thread_is_woken_when_it_is_not_as_it_was_seen_though_no_signal_came(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.notifier.RECHECK_SECONDS", 0.01)
    quiet = await service.storage.threads.create(new_id(), {})
    changed = await service.storage.threads.create(new_id(), {})
    notifier = Notifier(service.storage)

    with notifier.following(quiet.thread_id) as idle, notifier.following(changed.thread_id) as follower:
        idle.seen, follower.seen = quiet.updated_at, changed.updated_at
        await service.storage.threads.update(changed.thread_id, {"is": "changed"})
        async with asyncio.timeout(PATIENCE_SECONDS):
            woken = await follower.woken()
    await notifier.close()

    assert woken
    assert not idle.wakes


GONE = "00000000-0000-4000-8000-000000000000"


async def test_which_runs_have_ended_and_which_threads_have_changed_is_told_for_many_at_once(
    service: Service,
) -> None:
    await service.replica()
    running, ended = await service.running(), await service.running()
    await service.storage.queue.finish(ended, "r1", Outcome("success"))
    at_rest = await service.storage.threads.get(ended.thread_id)
    at_work = await service.storage.threads.get(running.thread_id)
    other = at_rest.updated_at - timedelta(milliseconds=1)

    runs = await service.storage.runs.finished([running.run_id, ended.run_id, GONE])
    seen_so = {at_work.thread_id: at_work.updated_at, GONE: at_work.updated_at}
    busy = await service.storage.threads.changed(seen_so)
    same = await service.storage.threads.changed({at_rest.thread_id: at_rest.updated_at})
    changed = [await service.storage.threads.changed({at_rest.thread_id: seen}) for seen in (other, None)]

    assert set(runs) == {ended.run_id, GONE}
    assert set(busy) == {running.thread_id, GONE}
    assert not same
    assert [list(found) for found in changed] == [[at_rest.thread_id]] * 2
    assert not await service.storage.runs.finished([])
    assert not await service.storage.threads.changed({})
