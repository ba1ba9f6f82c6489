"""The clock of the machine is set, forward or back: on SQLite it is the database's too. Nobody who lives
loses its runs by that, those of the dead come back, and what waits goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lgs_runtime.model import Outcome
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from lgs_runtime.worker.publisher import epoch_of
from support.ports import PATIENCE_SECONDS
from support.service import Service, at_work

HOUR = 3600.0


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the machine's wall clock forward by so many seconds; its monotonic clock goes on."""
    right = time.time

    def move(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: right() + seconds)

    return move


@pytest.fixture
async def service(database_uri: str) -> AsyncIterator[Service]:
    storage = await open_storage(database_uri, StorageOptions(lease_seconds=60))
    async with at_work(storage) as service:
        yield service
    await storage.close()


async def lost(storage: Storage) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await storage.queue.reap(3, "other")):
            await asyncio.sleep(0.05)
    return found[0]


async def test_a_clock_that_is_set_forward_takes_no_run_from_a_replica_that_lives(
    service: Service, set_clock: Callable[[float], None]
) -> None:
    await service.replica()
    run = await service.running()

    set_clock(HOUR)

    assert await service.storage.queue.reap(3, "other") == []
    assert await service.leases["r1"].renew()
    (mine,) = await service.storage.queue.held("r1")
    assert mine.run_id == run.run_id
    new = (await service.enqueue()).run
    (claimed,) = await service.storage.queue.claim("r1", 1)
    assert claimed.run_id == new.run_id
    await service.storage.queue.finish(run, "r1", Outcome("success"))


async def test_runs_of_a_replica_that_died_come_back_after_its_lease_though_the_clock_was_set_back(
    service: Service, lease_runs_out: Callable[[str], None], set_clock: Callable[[float], None]
) -> None:
    await service.replica("dying")
    run = await service.running(replica="dying")
    lease_runs_out("dying")

    set_clock(-HOUR)

    assert (await lost(service.storage)).run_id == run.run_id


async def test_what_waits_is_claimed_though_the_clock_was_set_back(
    service: Service, set_clock: Callable[[float], None]
) -> None:
    waiting = (await service.enqueue()).run
    later = (await service.enqueue(thread_id=waiting.thread_id)).run

    set_clock(-HOUR)
    await service.replica()

    (first,) = await service.storage.queue.claim("r1", 2)
    assert first.run_id == waiting.run_id
    await service.storage.queue.finish(first, "r1", Outcome("success"))
    (second,) = await service.storage.queue.claim("r1", 2)
    assert second.run_id == later.run_id


async def test_an_attempt_is_later_than_the_one_before_it_though_the_clock_was_set_back(
    service: Service, set_clock: Callable[[float], None]
) -> None:
    await service.replica()
    run = await service.running()
    await service.storage.queue.release("r1", [run])

    set_clock(-HOUR)
    (again,) = await service.storage.queue.claim("r1", 1)

    assert run.claimed_at is not None and again.claimed_at is not None
    assert again.claimed_at >= run.claimed_at + timedelta(milliseconds=1)


@pytest.mark.parametrize("claimed_at", [4000000197.2629995, 4000000068.3019996])
async def test_the_events_of_an_attempt_are_later_though_its_time_is_rounded(
    tmp_path: Path, claimed_at: float
) -> None:
    file = tmp_path / "lgs.db"
    storage = await open_storage(f"sqlite:///{file}", StorageOptions(lease_seconds=60))
    async with at_work(storage) as service:
        await service.replica()
        run = await service.running()
        await storage.queue.release("r1", [run])
        with sqlite3.connect(file) as beside:
            beside.execute("UPDATE lgs_run SET claimed_at = ?", (claimed_at,))
        before = await storage.runs.get(run.run_id)

        (again,) = await storage.queue.claim("r1", 1)

        assert epoch_of(again.claimed_at) > epoch_of(before.claimed_at)
    await storage.close()


async def test_a_lease_of_a_machine_that_was_started_anew_since_is_over(tmp_path: Path) -> None:
    file = tmp_path / "lgs.db"
    storage = await open_storage(f"sqlite:///{file}", StorageOptions(lease_seconds=60))
    async with at_work(storage) as service:
        await service.replica()
        run = await service.running()

        with sqlite3.connect(file) as beside:
            beside.execute(
                "UPDATE lgs_replica SET held_from = held_from + 1e6, held_until = held_until + 1e6"
            )

        (found,) = await storage.queue.reap(3, "other")
        assert found.run_id == run.run_id
    await storage.close()


async def test_a_lease_of_an_earlier_release_is_by_the_wall_clock(tmp_path: Path) -> None:
    file = tmp_path / "lgs.db"
    storage = await open_storage(f"sqlite:///{file}", StorageOptions(lease_seconds=60))
    async with at_work(storage) as service:
        await service.replica()
        await service.running()
        with sqlite3.connect(file) as beside:
            beside.execute("UPDATE lgs_replica SET held_from = NULL, held_until = NULL")

        alive = await storage.queue.reap(3, "other")
        with sqlite3.connect(file) as beside:
            beside.execute("UPDATE lgs_replica SET expires_at = expires_at - 120")
        (found,) = await storage.queue.reap(3, "other")

        assert (alive, found.status) == ([], "pending")
    await storage.close()
