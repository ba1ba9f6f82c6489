"""The pods that the operator makes of `backup` and `restoreFrom`, run to their end on a real PostgreSQL with
the runtime's own command: what one writes the other reads."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from lgs_operator.desired.backup import backup_cron_job
from lgs_operator.desired.restore import restore_job
from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.storage import open_storage
from lgs_runtime.storage.options import StorageOptions
from support.desired import inputs_of
from support.pods import Ended, Node
from support.postgres import fresh_database
from support.s3 import BUCKET, S3Server
from support.service import at_work

Backups = dict[str, Any]
ON_A_VOLUME: Backups = {"volume": {}}
IN_A_BUCKET: Backups = {
    "s3": {"bucket": BUCKET, "endpoint": "http://set-below", "credentialsSecret": {"name": "keys"}}
}


class Cluster:
    """Databases, the place of backups, and a node for the pods."""

    def __init__(self, folder: Path, destination: Backups, variables: dict[str, str]) -> None:
        self.folder = folder
        self.destination = destination
        self.variables = variables
        self.volume = folder / "volume"
        self.volume.mkdir()

    def backs_up(self, uri: str, keep: int = 7, pod: str = "backup-1") -> Ended:
        """Runs the CronJob's pod for the database of service `support`."""
        backup = {"schedule": "@daily", "keep": keep} | self.destination
        cron_job = backup_cron_job(inputs_of(backup=backup))
        assert cron_job
        return self._node(uri).run(cron_job["spec"]["jobTemplate"]["spec"]["template"], pod)

    def restores(self, uri: str, name: str = "latest", pod: str = "restore-1") -> Ended:
        """Runs the pod of the Job that fills the database of a new service."""
        source = {"service": "support", "name": name} | (
            {"s3": self.destination["s3"]} if self.in_a_bucket else {}
        )
        job = restore_job(inputs_of("again", restores=True, restoreFrom=source))
        assert job
        return self._node(uri).run(job["spec"]["template"], pod)

    @property
    def in_a_bucket(self) -> bool:
        return "s3" in self.destination

    def kept(self) -> list[str]:
        """Files or objects that are there, without their folder."""
        if self.in_a_bucket:
            return [name.rsplit("/", 1)[1] for name in self.server_names()]
        return sorted(path.name for path in (self.volume / "support").glob("*"))

    def server_names(self) -> list[str]:
        raise NotImplementedError

    def _node(self, uri: str) -> Node:
        parts = urlsplit(uri)
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        variables = {
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port),
            "PGUSER": parts.username or "",
            "PGDATABASE": parts.path.strip("/"),
            "PGPASSWORD": parts.password or "unused",
            "DATABASE_URI": uri,
        }
        volumes = {"/backups": self.volume, "/scratch": scratch}
        return Node(self.folder, volumes, variables | self.variables)


@pytest.fixture
def on_a_volume(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, ON_A_VOLUME, {})


@pytest.fixture(params=["volume", "s3"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    if request.param == "volume":
        return Cluster(tmp_path, ON_A_VOLUME, {})
    server: S3Server = request.getfixturevalue("s3_server")
    destination = {"s3": IN_A_BUCKET["s3"] | {"prefix": tmp_path.name}}
    cluster = Cluster(tmp_path, destination, server.variables)
    prefix = f"{tmp_path.name}/"
    cluster.server_names = lambda: [name for name in server.names() if name.startswith(prefix)]  # type: ignore[method-assign]
    return cluster


@pytest.fixture
def other_uri(postgres_service: str) -> Iterator[str]:
    """The empty database of a new service."""
    with fresh_database(postgres_service) as uri:
        yield uri


async def fill(uri: str, threads: int = 3) -> list[str]:
    """A service's tables, and threads with a run each."""
    storage = await open_storage(uri, StorageOptions(lease_seconds=60.0))
    try:
        async with at_work(storage) as service:
            await service.replica()
            return sorted([(await service.running()).thread_id for _ in range(threads)])
    finally:
        await storage.close()


def threads_in(uri: str) -> list[str]:
    with psycopg.connect(uri) as connection:
        return sorted(row[0] for row in connection.execute("SELECT thread_id FROM lgs_thread"))


async def test_what_is_backed_up_comes_back_into_an_empty_database(
    cluster: Cluster, postgres_uri: str, other_uri: str
) -> None:
    threads = await fill(postgres_uri)

    backup = cluster.backs_up(postgres_uri)
    restore = cluster.restores(other_uri)

    assert (backup.failed, restore.failed) == (None, None), (backup.said, restore.said)
    made, got = json.loads(backup.told), json.loads(restore.told)
    assert made["threads"] == 3
    assert got == {"result": "Restored", **{key: made[key] for key in ("name", "began", "bytes", "threads")}}
    assert threads_in(other_uri) == threads
    assert cluster.kept() == [f"{made['name']}.dump", f"{made['name']}.json"]


async def test_the_oldest_go_once_a_new_one_is_there(cluster: Cluster, postgres_uri: str) -> None:
    await fill(postgres_uri)

    told = [json.loads(cluster.backs_up(postgres_uri, keep=2).told) for _ in range(3)]

    by_age = sorted(each["name"] for each in told)
    assert [name for name in cluster.kept() if name.endswith(".dump")] == [
        f"{name}.dump" for name in by_age[1:]
    ]
    assert told[2]["removed"] == by_age[:1]


async def test_a_backup_that_fails_removes_nothing_and_leaves_nothing(
    on_a_volume: Cluster, postgres_uri: str, other_uri: str
) -> None:
    await fill(postgres_uri)
    on_a_volume.backs_up(postgres_uri, keep=1)
    before = on_a_volume.kept()

    empty = on_a_volume.backs_up(other_uri, keep=1)
    away = on_a_volume.backs_up(other_uri.rsplit("/", 1)[0] + "/nowhere", keep=1)

    assert (empty.failed, away.failed) == ("keep", "dump")
    assert "no tables of a runtime" in empty.said
    assert "nowhere" in away.said
    assert on_a_volume.kept() == before
    assert list((on_a_volume.volume / ".parts").iterdir()) == []


@pytest.mark.parametrize("lost", ["lgs_thread", "lgs_cron", "checkpoints"])
async def test_a_database_that_has_lost_tables_pushes_out_no_backup_that_has_them(
    on_a_volume: Cluster, postgres_uri: str, lost: str
) -> None:
    await fill(postgres_uri)
    storage = await open_storage(postgres_uri, StorageOptions(lease_seconds=60.0))
    async with open_checkpointer(postgres_uri):
        await storage.note_families()
    await storage.close()
    on_a_volume.backs_up(postgres_uri)
    before = on_a_volume.kept()
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {lost} CASCADE".encode())

    backup = on_a_volume.backs_up(postgres_uri)

    assert f"the database is incomplete: it has lost {lost}: not kept as a backup" in backup.said
    assert on_a_volume.kept() == before


async def test_what_a_killed_pod_left_goes_with_a_later_backup(
    on_a_volume: Cluster, postgres_uri: str
) -> None:
    await fill(postgres_uri)
    old, young = on_a_volume.volume / ".parts" / "killed", on_a_volume.volume / ".parts" / "at-work"
    for part in (old, young):
        part.mkdir(parents=True)
        (part / "dump").write_bytes(b"PGDMP")
    long_ago = time.time() - 24 * 3600
    os.utime(old, (long_ago, long_ago))

    backup = on_a_volume.backs_up(postgres_uri)

    assert backup.failed is None, backup.said
    assert not old.exists()
    assert (young / "dump").exists()


async def test_a_service_with_sessions_restores_nothing(
    on_a_volume: Cluster, postgres_uri: str, other_uri: str
) -> None:
    await fill(postgres_uri)
    on_a_volume.backs_up(postgres_uri)
    own = await fill(other_uri, 1)

    restore = on_a_volume.restores(other_uri)

    assert restore.failed is None
    assert json.loads(restore.told) == {"result": "Skipped", "name": None}
    assert threads_in(other_uri) == own


async def test_a_restore_that_was_done_is_known_by_a_try_that_is_made_again(
    on_a_volume: Cluster, postgres_uri: str, other_uri: str
) -> None:
    await fill(postgres_uri)
    made = json.loads(on_a_volume.backs_up(postgres_uri).told)
    on_a_volume.restores(other_uri)

    again = on_a_volume.restores(other_uri, pod="restore-2")

    assert json.loads(again.told) == {"result": "Restored", "name": made["name"]}


async def test_a_restore_that_was_cut_leaves_the_database_empty_for_the_next(
    on_a_volume: Cluster, postgres_uri: str, other_uri: str
) -> None:
    await fill(postgres_uri)
    on_a_volume.backs_up(postgres_uri)
    with psycopg.connect(other_uri, autocommit=True) as connection:
        # The last table of the dump can't be made: all before it must go again.
        connection.execute(
            "CREATE FUNCTION public.lgs_note_run() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"
        )

    cut = on_a_volume.restores(other_uri)
    with psycopg.connect(other_uri, autocommit=True) as connection:
        left = connection.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'lgs%'").fetchone()
        connection.execute("DROP FUNCTION public.lgs_note_run")
    again = on_a_volume.restores(other_uri, pod="restore-2")

    assert cut.failed == "restore"
    assert "lgs_note_run" in cut.said
    assert left == (0,)
    assert again.failed is None, again.said
    assert threads_in(other_uri) == threads_in(postgres_uri)


async def test_a_backup_that_is_not_there_is_told_with_those_that_are(
    cluster: Cluster, postgres_uri: str, other_uri: str
) -> None:
    nothing = cluster.restores(other_uri)
    await fill(postgres_uri)
    made = json.loads(cluster.backs_up(postgres_uri).told)

    wrong = cluster.restores(other_uri, name="20200101T000000Z-000000")

    assert nothing.failed == wrong.failed == "fetch"
    assert nothing.said.endswith("has none")
    assert "20200101T000000Z-000000" in wrong.said
    assert made["name"] in wrong.said


async def test_a_backup_of_a_newer_runtime_is_refused_by_an_older_one(
    on_a_volume: Cluster, postgres_uri: str, other_uri: str
) -> None:
    await fill(postgres_uri)
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("INSERT INTO lgs_migration (version) VALUES (9999)")
    on_a_volume.backs_up(postgres_uri)

    restore = on_a_volume.restores(other_uri)

    assert restore.failed == "fetch"
    assert "was written by a newer runtime (lgs_migration 9999)" in restore.said
    assert "set spec.image" in restore.said


async def test_a_dump_that_is_not_what_was_kept_is_not_restored(
    on_a_volume: Cluster, postgres_uri: str, other_uri: str
) -> None:
    await fill(postgres_uri)
    made = json.loads(on_a_volume.backs_up(postgres_uri).told)
    dump = on_a_volume.volume / "support" / f"{made['name']}.dump"
    dump.write_bytes(dump.read_bytes()[:-1] + b"x")

    restore = on_a_volume.restores(other_uri)

    assert restore.failed == "fetch"
    assert "its checksum is another" in restore.said


async def test_a_database_with_something_else_in_it_is_left_alone(
    on_a_volume: Cluster, postgres_uri: str, other_uri: str
) -> None:
    await fill(postgres_uri)
    on_a_volume.backs_up(postgres_uri)
    with psycopg.connect(other_uri, autocommit=True) as connection:
        connection.execute("CREATE TABLE invoices (id int)")

    restore = on_a_volume.restores(other_uri)

    assert restore.failed == "fetch"
    assert "the database is not empty: it has public.invoices" in restore.said
