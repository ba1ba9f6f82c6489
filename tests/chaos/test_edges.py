"""The rarer accidents: replicas that start together, clocks that are wrong, a full disk, a stream whose
replica dies, and processes that share a SQLite file.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk import get_client

from chaos.field import FLEET, LEASE_SECONDS, LEASES_SECONDS, Field, Fleet, Replica, open_field, through
from chaos.held import HELD_STEP
from chaos.ordeal import ordeal
from chaos.proxy import Proxy
from e2e.harness.records import Account, account
from lgs_runtime.database import postgres_connections
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.storage import StorageOptions, open_storage
from load.player import Player, Work, summary
from support.leases import LONG_SECONDS
from support.ports import PATIENCE_SECONDS, wait_until
from support.postgres import PostgresServer
from support.waiting import until

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def skewed(seconds: int) -> dict[str, str]:
    """The environment of a process whose wall clock is wrong by so much; its monotonic clock is right."""
    return {"LD_PRELOAD": str(FAKETIME[-1]), "FAKETIME": f"{seconds:+d}s", "DONT_FAKE_MONOTONIC": "1"}


async def executing(fleet: Fleet, run_id: str, step: int) -> Replica:
    """The replica that has begun this step of a run."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for record in fleet.records():
                if (record["run_id"], record["step"], record["phase"]) == (run_id, step, "start"):
                    return next(each for each in fleet.replicas if each.name == record["replica"])
            await asyncio.sleep(0.05)


def step_of(part: Any) -> Any:
    """What an `updates` event says was done: the number of a step, or the name of another node."""
    ((node, update),) = part.data.items()
    return update["done"][0] if node == "think" else node


async def until_told(step: int, heard: list[Any]) -> None:
    """Returns when the listener has received that this step is done."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while step not in [step_of(part) for part in heard if part.event == "updates"]:
            await asyncio.sleep(0.02)


def told(heard: list[Any]) -> list[Any]:
    """What a listener has received: the attempts, each with its steps, and whatever else."""
    return [
        {"attempt": part.data["attempt"]}
        if part.event == "metadata"
        else step_of(part)
        if part.event == "updates"
        else part.event
        for part in heard
    ]


async def streams_of_a_run_whose_replica_is_killed(fleet: Fleet) -> tuple[list[Any], list[Any]]:
    """Of a listener at another replica, and of one who went there when the replica was killed."""
    async with get_client(url=fleet.url, api_key=None) as client:
        thread = await client.threads.create()
        run = await client.runs.create(
            thread["thread_id"], "held", input={}, stream_mode=["updates"], durability="sync"
        )
    dying = await executing(fleet, run["run_id"], 0)
    staying = next(replica for replica in fleet.replicas if replica is not dying)

    async def listen(url: str, after: str, heard: list[Any]) -> None:
        async with get_client(url=url, api_key=None) as client:
            stream = client.runs.join_stream(thread["thread_id"], run["run_id"], last_event_id=after)
            async for part in stream:
                heard.append(part)

    watched: list[Any] = []
    begun: list[Any] = []
    watching = asyncio.create_task(listen(staying.url, "-1", watched))
    clinging = asyncio.create_task(listen(dying.url, "-1", begun))
    await executing(fleet, run["run_id"], HELD_STEP)
    await until_told(HELD_STEP - 1, watched)
    await until_told(HELD_STEP - 1, begun)
    await asyncio.to_thread(fleet.end, dying)
    await asyncio.wait({clinging}, timeout=1.0)
    clinging.cancel()
    await asyncio.gather(clinging, return_exceptions=True)
    reconnected = list(begun)
    await listen(staying.url, str(begun[-1].id), reconnected)
    await watching
    return watched, reconnected


async def test_a_stream_goes_on_with_the_next_attempt_after_one_that_says_so(field: Field) -> None:
    wanted = [{"attempt": 1}, "begin", 0, 1, {"attempt": 2}, 2, 3, "answer"]

    for lease_seconds in LEASES_SECONDS:
        field.fleet.start(FLEET - len(field.fleet.replicas))
        if lease_seconds != LEASE_SECONDS:
            field.fleet.replace(LGS_LEASE_SECONDS=str(lease_seconds))
        field.fleet.wait_ready()
        watched, reconnected = await streams_of_a_run_whose_replica_is_killed(field.fleet)
        if told(watched) == wanted:
            break
    if lease_seconds != LEASE_SECONDS:
        field.fleet.replace()

    for heard in (watched, reconnected):
        assert told(heard) == wanted
    assert [part.id for part in reconnected] == [part.id for part in watched]


async def test_a_replica_whose_clock_is_wrong_harms_nobody(field: Field) -> None:
    if not FAKETIME:
        pytest.skip("libfaketime is not installed; tools/setup/system.sh services installs it")
    fleet = field.fleet
    for lease_seconds in LEASES_SECONDS:
        for replica in list(fleet.replicas):
            fleet.end(replica)
        lease = {"LGS_LEASE_SECONDS": str(lease_seconds)}
        normal = fleet.start(1, **lease)[0]
        fleet.start(1, **skewed(3600), **lease)
        fleet.start(1, **skewed(-3600), **lease)
        fleet.wait_ready()
        undisturbed = await ordeal(field, partial(time.sleep, lease_seconds * 1.5), step_seconds=1.0)
        if not (undisturbed.repeated or undisturbed.resumed):
            break
    killed = await ordeal(field, lambda: fleet.end(normal))
    for replica in list(fleet.replicas):
        fleet.end(replica)

    assert undisturbed.clean(), undisturbed
    assert (undisturbed.repeated, undisturbed.resumed) == ((), 0)
    assert killed.clean(), killed


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 192 MB, which other users may enter."""
    folder = Path(tempfile.mkdtemp(prefix="lgs-disk-"))
    folder.chmod(0o755)
    command = ["mount", "-t", "tmpfs", "-o", "size=192m,mode=755", "small", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("a file system of a limited size can't be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def is_back(server: PostgresServer) -> bool:
    """Whether it answers. It may end only now, of a recovery that began while the disk was full."""
    if not server.alive():
        server.start()
    try:
        psycopg.connect(server.uri, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


async def test_the_disk_of_the_database_is_full_for_a_while(small_disk: Path, tmp_path: Path) -> None:
    server = PostgresServer(small_disk)
    with open_field(tmp_path, 2, server, LGS_MAX_ATTEMPTS="10") as field:
        ballast = small_disk / "ballast"

        def full() -> None:
            left = os.statvfs(small_disk)
            with suppress(OSError), ballast.open("wb") as file:
                file.write(b"\0" * (left.f_bavail * left.f_frsize + 4096))
            with suppress(psycopg.Error), psycopg.connect(server.uri, autocommit=True) as connection:
                connection.execute(
                    "CREATE TABLE filler AS SELECT repeat('x', 999) FROM generate_series(1, 9999)"
                )
                pytest.fail("the disk is not full")
            time.sleep(3.0)
            ballast.unlink()
            wait_until(lambda: is_back(server), "the server has come back")

        verdict = await ordeal(field, full)

    assert verdict.clean(), verdict


async def test_after_a_fail_over_that_says_no_good_bye_one_unanswered_statement_is_enough(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "CONNECT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(postgres_connections, "STATEMENT_SECONDS", 8.0)
    proxy = Proxy(postgres_server.port)
    storage = await open_storage(through(postgres_server.uri, proxy), StorageOptions(lease_seconds=60))
    lease = await storage.leases.take("a")

    async def pinged() -> bool:
        with suppress(StorageUnavailable):
            await asyncio.gather(*(storage.ping() for _ in range(8)))
            return True
        return False

    await until(pinged)

    proxy.strand()
    monkeypatch.setattr(postgres_connections, "STATEMENT_SECONDS", PATIENCE_SECONDS)
    with pytest.raises(StorageUnavailable):
        await storage.ping()

    assert await pinged()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await lease.renew()
    assert await lease.renew()
    await lease.close()
    await storage.close()
    proxy.close()


async def test_replicas_that_start_together_on_an_empty_database_all_serve(
    postgres_uri: str, redis_uri: str, tmp_path: Path
) -> None:
    lease = {"LGS_LEASE_SECONDS": str(LONG_SECONDS)}
    fleet = Fleet(tmp_path, {"DATABASE_URI": postgres_uri, "REDIS_URI": redis_uri, **lease})
    try:
        fleet.start(4)
        fleet.wait_ready()

        async with httpx.AsyncClient(base_url=fleet.url, timeout=PATIENCE_SECONDS) as client:
            player = Player(client, Work("agent", 2, 0.05, "sync"), time.monotonic() + PATIENCE_SECONDS)
            played = await asyncio.gather(*(player.play("normal") for _ in range(12)))

        said = summary(list(played), 0.0)
        assert (said["acknowledged"], said["finished"], said["wrong"]) == (12, 12, 0)
        assert account(fleet.records(), 2).repeated == ()
    finally:
        fleet.close()


async def test_processes_that_share_a_sqlite_file_carry_on_for_one_that_is_killed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, {"LGS_MAX_ATTEMPTS": "10"})
    try:
        for step_seconds in (0.3, 1.5, 6.0):  # Longer, where all runs were over when one was killed.
            fleet.start(FLEET - len(fleet.replicas))
            fleet.wait_ready()
            said, told = await played_while_one_is_killed(fleet, step_seconds)
            if told.moved:
                break

        assert (said["acknowledged"], said["finished"], said["wrong"]) == (15, 15, 0), said
        assert (told.wrongly_repeated, told.incomplete) == ((), ())
        assert told.moved > 0
    finally:
        fleet.close()


async def played_while_one_is_killed(fleet: Fleet, step_seconds: float) -> tuple[dict[str, Any], Account]:
    """Fifteen runs, by their clients' account and by that of their steps."""
    before = len(fleet.records())
    async with httpx.AsyncClient(base_url=fleet.url, timeout=PATIENCE_SECONDS) as client:
        player = Player(
            client, Work("agent", 4, step_seconds, "sync"), time.monotonic() + 2 * PATIENCE_SECONDS
        )
        playing = [asyncio.create_task(player.play("normal")) for _ in range(15)]
        await asyncio.to_thread(wait_until, lambda: len(fleet.records()) - before >= 15, "steps have begun")
        with suppress(TimeoutError):
            await asyncio.to_thread(lambda: fleet.end(fleet.at_work(seconds=5.0)))
        played = await asyncio.gather(*playing)
    ours = {run.run_id for run in played}
    records = [record for record in fleet.records() if record["run_id"] in ours]
    return summary(list(played), 0.0), account(records, 4)
