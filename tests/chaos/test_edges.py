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

from chaos.field import LEASE_SECONDS, Field, Fleet, Replica, open_field, through
from chaos.ordeal import ordeal
from chaos.proxy import Proxy
from e2e.harness.records import account
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.storage import StorageOptions, open_storage
from load.player import Player, Work, summary
from support.ports import wait_until
from support.postgres import PostgresServer

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def skewed(seconds: int) -> dict[str, str]:
    """The environment of a process whose wall clock is wrong by so much; its monotonic clock is right."""
    return {"LD_PRELOAD": str(FAKETIME[-1]), "FAKETIME": f"{seconds:+d}s", "DONT_FAKE_MONOTONIC": "1"}


async def executing(fleet: Fleet, run_id: str, step: int) -> Replica:
    """The replica that has begun this step of a run."""
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
        while step not in [step_of(part) for part in heard if part.event == "updates"]:
            await asyncio.sleep(0.02)


async def test_a_stream_goes_on_with_the_next_attempt_after_one_that_says_so(field: Field) -> None:
    async with get_client(url=field.fleet.url, api_key=None) as client:
        thread = await client.threads.create()
        work = {"messages": [], "steps": 4, "step_seconds": 1.5}
        run = await client.runs.create(
            thread["thread_id"], "agent", input=work, stream_mode=["updates"], durability="sync"
        )
    dying = await executing(field.fleet, run["run_id"], 0)
    staying = next(replica for replica in field.fleet.replicas if replica is not dying)

    async def listen(url: str, after: str, heard: list[Any]) -> None:
        async with get_client(url=url, api_key=None) as client:
            stream = client.runs.join_stream(thread["thread_id"], run["run_id"], last_event_id=after)
            async for part in stream:
                heard.append(part)

    watched: list[Any] = []
    begun: list[Any] = []
    watching = asyncio.create_task(listen(staying.url, "-1", watched))
    clinging = asyncio.create_task(listen(dying.url, "-1", begun))
    await executing(field.fleet, run["run_id"], 2)
    await until_told(1, watched)
    await until_told(1, begun)
    await asyncio.to_thread(field.fleet.end, dying)
    await asyncio.wait({clinging}, timeout=1.0)
    clinging.cancel()
    await asyncio.gather(clinging, return_exceptions=True)
    reconnected = list(begun)
    await listen(staying.url, str(begun[-1].id), reconnected)
    await watching

    for heard in (watched, reconnected):
        metadata = [part.data["attempt"] for part in heard if part.event == "metadata"]
        assert metadata == [1, 2]
        second = [part.event for part in heard].index("metadata", 1)
        before, after = heard[:second], heard[second + 1 :]
        assert [step_of(part) for part in before[1:]] == ["begin", 0, 1]
        assert [step_of(part) for part in after if part.event == "updates"] == [2, 3, "answer"]
    assert [part.id for part in reconnected] == [part.id for part in watched]


async def test_a_replica_whose_clock_is_wrong_harms_nobody(field: Field) -> None:
    if not FAKETIME:
        pytest.skip("libfaketime is not installed; tools/setup/system.sh services installs it")
    fleet = field.fleet
    for lease_seconds in (LEASE_SECONDS, 4 * LEASE_SECONDS):  # Longer, where the machine stood still.
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
            if not server.alive():
                server.start()

        verdict = await ordeal(field, full)

    assert verdict.clean(), verdict


async def test_after_a_fail_over_that_says_no_good_bye_one_unanswered_statement_is_enough(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.database.postgres_connections.STATEMENT_SECONDS", 8.0)
    proxy = Proxy(postgres_server.port)
    storage = await open_storage(through(postgres_server.uri, proxy), StorageOptions(lease_seconds=60))
    lease = await storage.leases.take("a")
    await asyncio.gather(*(storage.ping() for _ in range(8)))

    proxy.strand()
    with pytest.raises(StorageUnavailable):
        await storage.ping()

    await asyncio.gather(*(storage.ping() for _ in range(8)))
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
    fleet = Fleet(tmp_path, {"DATABASE_URI": postgres_uri, "REDIS_URI": redis_uri})
    try:
        fleet.start(4)
        fleet.wait_ready()

        async with httpx.AsyncClient(base_url=fleet.url, timeout=30) as client:
            player = Player(client, Work("agent", 2, 0.05, "sync"), time.monotonic() + 60)
            played = await asyncio.gather(*(player.play("normal") for _ in range(12)))

        said = summary(list(played), 0.0)
        assert (said["acknowledged"], said["finished"], said["wrong"]) == (12, 12, 0)
        assert account(fleet.records(), 2).repeated == ()
    finally:
        fleet.close()


async def test_processes_that_share_a_sqlite_file_carry_on_for_one_that_is_killed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, {"LGS_MAX_ATTEMPTS": "10"})
    try:
        fleet.start(3)
        fleet.wait_ready()

        async with httpx.AsyncClient(base_url=fleet.url, timeout=30) as client:
            player = Player(client, Work("agent", 4, 0.3, "sync"), time.monotonic() + 120)
            playing = [asyncio.create_task(player.play("normal")) for _ in range(15)]
            await asyncio.to_thread(wait_until, lambda: len(fleet.records()) >= 15, "steps have begun")
            await asyncio.to_thread(lambda: fleet.end(fleet.at_work()))
            played = await asyncio.gather(*playing)

        said, told = summary(list(played), 0.0), account(fleet.records(), 4)
        assert (said["acknowledged"], said["finished"], said["wrong"]) == (15, 15, 0), said
        assert (told.wrongly_repeated, told.incomplete) == ((), ())
        assert told.moved > 0
    finally:
        fleet.close()
