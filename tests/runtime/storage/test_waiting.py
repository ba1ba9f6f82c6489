"""Who waits for the end of a run learns of it whenever it came, and asks the database no more than it
must."""

from __future__ import annotations

import asyncio

import pytest

from lgs_runtime.model import Outcome, Run, Signal
from lgs_runtime.worker.hub import SignalHub
from support.service import Service


@pytest.fixture
def looks(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were read from the storage."""
    seen: list[str] = []
    read = service.storage.run

    async def run(run_id: str, thread_id: str | None = None) -> Run:
        seen.append(run_id)
        return await read(run_id, thread_id)

    monkeypatch.setattr(service.storage, "run", run)
    return seen


async def test_a_run_that_was_just_stored_is_read_once_when_it_has_ended(
    service: Service, looks: list[str]
) -> None:
    await service.replica()
    run = await service.running()
    hub = SignalHub(service.storage)
    waiting = asyncio.create_task(hub.finished(run.run_id, run.thread_id, seen_unfinished=True))
    await asyncio.sleep(0)

    await service.storage.finish(run, "r1", Outcome("success"))
    hub.announce(Signal("finished", run.run_id))
    ended = await waiting

    assert ended is not None and ended.status == "success"
    assert looks == [run.run_id]


async def test_an_end_that_came_before_the_wait_began_is_not_missed(
    service: Service, looks: list[str]
) -> None:
    await service.replica()
    run = await service.running()
    hub = SignalHub(service.storage)

    await service.storage.finish(run, "r1", Outcome("success"))
    hub.announce(Signal("finished", run.run_id))
    ended = await hub.finished(run.run_id, run.thread_id, seen_unfinished=True)

    assert ended is not None and ended.status == "success"
    assert looks == [run.run_id]


async def test_a_lost_signal_only_makes_the_wait_longer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.worker.hub.RECHECK_SECONDS", 0.01)
    await service.replica()
    run = await service.running()
    hub = SignalHub(service.storage)
    waiting = asyncio.create_task(hub.finished(run.run_id, run.thread_id, seen_unfinished=True))

    await service.storage.finish(run, "r1", Outcome("success"))

    assert await waiting is not None
