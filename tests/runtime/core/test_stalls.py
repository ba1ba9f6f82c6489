"""A replica that stands still for longer than its lease and is not dead: its runs are its own as long as
nobody else has taken them."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lgs_runtime.background.keeper import LeaseTimer, is_running
from lgs_runtime.graphs.registry import default_assistant_id
from lgs_runtime.model import FINAL, NewRun, QueueLimits, Run
from lgs_runtime.settings import Settings
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from runtime.core.stories import ran
from runtime.core.test_worker import given, hold, until
from support.leases import played
from support.ports import PATIENCE_SECONDS

NewReplica = Callable[..., Any]
NewProcess = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
async def storage(settings: Settings) -> AsyncIterator[Storage]:
    """The database by itself, in which nobody reaps."""
    opened = await open_storage(settings.database_uri, StorageOptions(lease_seconds=settings.lease_seconds))
    yield opened
    await opened.close()


async def serving(folder: Path, name: str = "a") -> None:
    log = folder / f"{name}.log"
    await until(lambda: log.exists() and "replica.serves" in log.read_text())


async def freeze(process: subprocess.Popen[bytes], database_uri: str) -> None:
    """Lets it stand still at a moment at which it writes nothing: nobody could write to the file of SQLite,
    else."""
    process.send_signal(signal.SIGSTOP)
    if database_uri.startswith("sqlite:///"):
        while not _can_be_written(database_uri.removeprefix("sqlite:///")):
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.01)
            process.send_signal(signal.SIGSTOP)


def _can_be_written(file: str) -> bool:
    """Whether nobody keeps it locked: who only writes at this moment is done in a second."""
    with closing(sqlite3.connect(file, timeout=1, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True


async def asked(storage: Storage, graph: str, folder: Path, **more: Any) -> Run:
    kwargs = given(folder, **more).to_json()
    new = NewRun(str(uuid4()), str(uuid4()), default_assistant_id(graph), kwargs, create_thread=True)
    return (await storage.queue.enqueue(new, QueueLimits())).run


async def ended(storage: Storage, run: Run) -> Run:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (found := await storage.runs.get(run.run_id)).status not in FINAL:
            await asyncio.sleep(0.05)
    return found


async def keeper_of(process: subprocess.Popen[bytes], *, other_than: int = 0) -> int:
    """The process that keeps the lease of a replica, as soon as it is there."""
    found: list[int] = []

    def look() -> bool:
        with suppress(OSError):
            children = Path(f"/proc/{process.pid}/task").glob("*/children")
            for child in (int(pid) for path in children for pid in path.read_text().split()):
                if b"lgs_runtime.background.keeper" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found[:] = [child]
        return bool(found) and found[0] != other_than

    await until(look)
    return found[0]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and is_running(pid)


def plays_in(folder: Path, lease_seconds: float) -> Path:
    """The folder of a play of a story, which others may follow with longer leases."""
    own = folder / f"{lease_seconds:.0f}"
    own.mkdir()
    return own


@pytest.mark.parametrize(("graph", "steps"), [("stalling", ["backtracks", "last"]), ("blocking", ["blocks"])])
async def test_a_call_that_holds_interpreter_or_loop_for_longer_than_the_lease_runs_once_beside_others(
    new_replica: NewReplica, new_process: NewProcess, tmp_path: Path, graph: str, steps: list[str]
) -> None:
    other = await new_replica("b")
    other.services.worker.slots.open = False

    async def play(lease_seconds: float) -> tuple[object, ...]:
        folder = plays_in(tmp_path, lease_seconds)
        process = new_process("a", LGS_LEASE_SECONDS=str(lease_seconds))
        run = await other.start(graph, given(folder, lease_seconds * 1.5))
        end = await other.ended(run)
        process.kill()
        return end.status, end.attempt, end.error, ran(folder)

    right = ("success", 1, None, steps)
    assert await played(play, right) == right


async def test_a_call_that_holds_the_interpreter_for_longer_than_the_lease_runs_once_on_a_replica_alone(
    storage: Storage, new_process: NewProcess, tmp_path: Path
) -> None:
    async def play(lease_seconds: float) -> tuple[object, ...]:
        folder = plays_in(tmp_path, lease_seconds)
        process = new_process(f"a-{lease_seconds}", LGS_LEASE_SECONDS=str(lease_seconds))
        await serving(tmp_path, f"a-{lease_seconds}")
        end = await ended(storage, await asked(storage, "stalling", folder, seconds=lease_seconds * 1.5))
        process.kill()
        return end.status, end.attempt, end.error, ran(folder)

    right = ("success", 1, None, ["backtracks", "last"])
    assert await played(play, right) == right


async def test_a_call_that_holds_the_interpreter_for_too_long_loses_its_run_to_others(
    new_replica: NewReplica, new_process: NewProcess, tmp_path: Path
) -> None:
    other = await new_replica("b")
    other.services.worker.slots.open = False

    async def play(lease_seconds: float) -> bool:
        folder = plays_in(tmp_path, lease_seconds)
        process = new_process("a", LGS_LEASE_SECONDS=str(lease_seconds), LGS_STALL_SECONDS="0.5")
        run = await other.start("stalling", given(folder, lease_seconds * 2))
        await until(lambda: "backtracks" in ran(folder))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await other.services.storage.runs.get(run.run_id)
                if found.status != "running" or found.attempt > 1:
                    break
                await asyncio.sleep(0.05)
        process.kill()
        return found.status == "pending" or found.attempt > 1

    assert await played(play, right=True)


@pytest.mark.parametrize("durability", ["async", "sync"])
async def test_a_replica_alone_that_stood_still_goes_on_with_its_runs(
    settings: Settings, storage: Storage, new_process: NewProcess, tmp_path: Path, durability: str
) -> None:
    async def play(lease_seconds: float) -> tuple[object, ...]:
        folder = plays_in(tmp_path, lease_seconds)
        process = new_process(f"a-{lease_seconds}", LGS_LEASE_SECONDS=str(lease_seconds))
        await serving(tmp_path, f"a-{lease_seconds}")
        gate = hold(folder, "two")
        run = await asked(storage, "three_steps", folder, durability=durability)
        await until(lambda: "two" in ran(folder))
        await freeze(process, settings.database_uri)
        await asyncio.sleep(lease_seconds * 2)  # To stand still is what is tested.
        gate.unlink()
        process.send_signal(signal.SIGCONT)
        end = await ended(storage, run)
        process.kill()
        lost = "lease.lost" in (tmp_path / f"a-{lease_seconds}.log").read_text()
        return end.status, end.attempt, ran(folder), lost

    right = ("success", 1, ["one", "two", "three"], False)
    assert await played(play, right) == right


async def stands_still_in_its_second_step(
    settings: Settings, storage: Storage, new_process: NewProcess, folder: Path
) -> tuple[subprocess.Popen[bytes], Run, Path]:
    """A replica whose lease runs out from now on, its run, and the gate of the step. Nobody else is there
    that could have taken the run before."""
    process = new_process("a", LGS_LEASE_SECONDS="6")
    await serving(folder)
    gate = hold(folder, "two")
    run = await asked(storage, "three_steps", folder, durability="sync")
    await until(lambda: ran(folder) == ["one", "two"])
    await freeze(process, settings.database_uri)
    return process, run, gate


async def test_the_runs_of_a_replica_that_stands_still_go_on_elsewhere_after_its_lease(
    settings: Settings,
    storage: Storage,
    new_replica: NewReplica,
    new_process: NewProcess,
    tmp_path: Path,
) -> None:
    sleeper, run, gate = await stands_still_in_its_second_step(settings, storage, new_process, tmp_path)
    other = await new_replica("b")

    await until(lambda: ran(tmp_path) == ["one", "two", "two"])
    sleeper.send_signal(signal.SIGCONT)
    await until(lambda: "lease.lost" in (tmp_path / "a.log").read_text())
    gate.unlink()
    end = await other.ended(run)

    assert (end.status, end.attempt) == ("success", 2)
    assert ran(tmp_path) == ["one", "two", "two", "three"]


async def test_a_replica_that_wakes_after_its_lease_writes_no_checkpoint(
    settings: Settings,
    storage: Storage,
    new_replica: NewReplica,
    new_process: NewProcess,
    tmp_path: Path,
) -> None:
    sleeper, run, gate = await stands_still_in_its_second_step(settings, storage, new_process, tmp_path)
    gate.unlink()
    other = await new_replica("b")
    end = await other.ended(run)

    sleeper.send_signal(signal.SIGCONT)
    await until(lambda: "lease.lost" in (tmp_path / "a.log").read_text())
    sleeper.terminate()
    await asyncio.to_thread(sleeper.wait)

    assert end.status == "success"
    latest = await other.services.checkpointer.aget_tuple({"configurable": {"thread_id": run.thread_id}})
    assert latest.checkpoint["channel_values"]["done"] == ["one", "two", "three"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_keeper_of_a_lease_ends_with_its_replica(
    storage: Storage, new_process: NewProcess, tmp_path: Path, number: signal.Signals
) -> None:
    process = new_process("a")
    await serving(tmp_path)
    keeper = await keeper_of(process)

    process.send_signal(number)
    process.wait()

    await until(lambda: not exists(keeper))


async def test_a_keeper_that_dies_is_replaced(
    storage: Storage, new_process: NewProcess, tmp_path: Path
) -> None:
    async def play(lease_seconds: float) -> tuple[object, ...]:
        folder = plays_in(tmp_path, lease_seconds)
        process = new_process(f"a-{lease_seconds}", LGS_LEASE_SECONDS=str(lease_seconds))
        await serving(tmp_path, f"a-{lease_seconds}")
        keeper = await keeper_of(process)
        os.kill(keeper, signal.SIGKILL)
        await keeper_of(process, other_than=keeper)
        end = await ended(storage, await asked(storage, "stalling", folder, seconds=lease_seconds * 1.5))
        process.kill()
        return end.status, end.attempt

    assert await played(play, ("success", 1)) == ("success", 1)


def test_a_lease_is_extended_when_half_of_it_has_gone_by_without_news() -> None:
    timer = LeaseTimer(lease_seconds=10, stall_seconds=60, now=0)

    before = timer.pause(0)
    timer.renewed(until=10, now=0)

    assert before is None
    assert [timer.pause(now) for now in (0, 4, 5, 7)] == [5, 1, 0, 0]


def test_a_lease_is_extended_again_and_again_until_the_replica_was_silent_for_too_long() -> None:
    timer = LeaseTimer(lease_seconds=10, stall_seconds=60, now=0)
    timer.renewed(until=10, now=0)
    extended = []
    now: float = 0

    while (pause := timer.pause(now)) is not None:
        now += pause
        timer.extended(now)
        extended.append(now)

    assert extended == list(range(5, 65, 5))
    timer.renewed(until=80, now=70)
    assert timer.pause(70) == 5


def test_a_lease_that_is_lost_is_extended_no_more() -> None:
    timer = LeaseTimer(lease_seconds=10, stall_seconds=60, now=0)
    timer.renewed(until=10, now=0)

    timer.lost()

    assert timer.pause(6) is None


def test_a_process_that_is_stopped_or_dead_does_not_run() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        running = is_running(process.pid)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        stopped = is_running(process.pid)
    finally:
        process.kill()
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while is_running(process.pid) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    dead = is_running(process.pid)
    process.wait()

    assert (running, stopped, dead, is_running(process.pid)) == (True, False, False, False)
