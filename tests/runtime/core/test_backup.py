"""A service's threads go to a file and come back: all, into another database, in spite of a cut."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lgs_runtime.backup import Count, export_to, import_from
from lgs_runtime.errors import ConfigError, Conflict, InvalidRequest
from lgs_runtime.model import Cron, Page
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.settings import Settings
from lgs_runtime.storage.queries import CronQuery
from support.values import spoil

NewReplica = Callable[..., Any]


async def filled(new_replica: NewReplica, tmp_path: Path, threads: int) -> list[str]:
    """Threads on which a run has ended."""
    replica = await new_replica("a")
    made = []
    for _ in range(threads):
        run = await replica.start("three_steps", RunKwargs(input={"folder": str(tmp_path)}))
        await replica.ended(run)
        made.append(run.thread_id)
    return sorted(made)


async def test_all_threads_go_to_a_file_and_into_another_database(
    new_replica: NewReplica, settings: Settings, tmp_path: Path
) -> None:
    threads = await filled(new_replica, tmp_path, 3)
    other = replace(settings, database_uri=f"sqlite:///{tmp_path}/other.db")
    file = tmp_path / "backup.gz"

    assert await export_to(settings, file, ()) == Count(3)
    assert await import_from(other, file, "raise") == Count(3)
    assert await import_from(other, file, "skip") == Count(0, 3)
    assert await import_from(other, file, "replace") == Count(3)

    with pytest.raises(Conflict, match=threads[0]):
        await import_from(other, file, "raise")
    restored = await new_replica("b", database_uri=other.database_uri)
    for thread_id in threads:
        (version,) = await restored.services.storage.versions.of_thread(thread_id, Page())
        found = await restored.services.checkpointer.aget_tuple({"configurable": {"thread_id": thread_id}})
        assert found.config["configurable"]["checkpoint_id"] == version.checkpoint_id
        assert found.checkpoint["channel_values"]["done"] == ["one", "two", "three"]


async def test_a_thread_that_is_replaced_keeps_its_crons(
    new_replica: NewReplica, settings: Settings, tmp_path: Path
) -> None:
    (thread_id,) = await filled(new_replica, tmp_path, 1)
    replica = await new_replica("b")
    crons = replica.services.storage.crons
    now = await replica.services.storage.now()
    kept = await crons.create(
        Cron("c", "a", thread_id, "0 9 * * *", None, {}, {}, "keep", None, False, None, now, now)
    )
    file = tmp_path / "backup.gz"

    assert await export_to(settings, file, ()) == Count(1)
    assert await import_from(settings, file, "replace") == Count(1)

    assert await crons.search(CronQuery()) == [kept]


async def test_a_database_that_is_not_there_is_named_and_not_made(settings: Settings, tmp_path: Path) -> None:
    file, here = tmp_path / "backup.gz", tmp_path / ".lgs" / "lgs.db"
    nowhere = replace(settings, database_uri=f"sqlite:///{here}")
    with pytest.raises(ConfigError, match=f"{here}: there is no such file$"):
        await export_to(nowhere, file, ())

    ups = here.parent / "desk" / here.name
    ups.parent.mkdir(parents=True)
    ups.touch()

    for work in (export_to(nowhere, file, ()), import_from(nowhere, file, "raise")):
        with pytest.raises(ConfigError, match=f"LGS_DATA_DIR={ups.parent}$"):
            await work
    assert not here.exists() and not file.exists()


async def test_a_file_that_was_cut_brings_the_whole_threads_and_the_rest_later(
    new_replica: NewReplica, settings: Settings, tmp_path: Path
) -> None:
    await filled(new_replica, tmp_path, 2)
    other = replace(settings, database_uri=f"sqlite:///{tmp_path}/other.db")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    await export_to(settings, whole, ())
    cut.write_bytes(b"".join(whole.read_bytes().splitlines(keepends=True)[:-3]))

    with pytest.raises(InvalidRequest, match="the file was cut"):
        await import_from(other, cut, "raise")

    assert await import_from(other, whole, "skip") == Count(1, 1)


def command(settings: Settings, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`lgs-runtime` as an operator types it."""
    env = {
        **os.environ,
        "DATABASE_URI": settings.database_uri,
        "LGS_SOURCE": str(settings.source),
        "LANGSERVE_GRAPHS": '{"three_steps": "./stories.py:three_steps"}',
    }
    return subprocess.run(
        [sys.executable, "-m", "lgs_runtime.cli", *words],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_commands_say_what_they_did(
    new_replica: NewReplica, settings: Settings, tmp_path: Path
) -> None:
    (thread_id,) = await filled(new_replica, tmp_path, 1)

    exported = command(settings, tmp_path, "export", "backup.gz", "--thread", thread_id)
    unknown = command(settings, tmp_path, "export", "none", "--thread", "nobody")
    skipped = command(settings, tmp_path, "import", "backup.gz", "--if-exists", "skip")
    refused = command(settings, tmp_path, "import", "backup.gz")

    assert (exported.returncode, exported.stderr.splitlines()[-1]) == (0, "threads: 1, skipped: 0")
    assert b"three" in gzip.decompress((tmp_path / "backup.gz").read_bytes())
    assert (unknown.returncode, (tmp_path / "none").exists()) == (2, False)
    assert (skipped.returncode, skipped.stderr.splitlines()[-1]) == (0, "threads: 0, skipped: 1")
    rule = f"thread {thread_id} exists: --if-exists is raise; use skip or replace"
    assert (refused.returncode, rule in refused.stderr) == (2, True)


async def test_a_thread_that_can_not_be_exported_is_named_and_the_others_are(
    new_replica: NewReplica, settings: Settings, tmp_path: Path
) -> None:
    threads = await filled(new_replica, tmp_path, 3)
    replica = await new_replica("b")
    await spoil(replica.services.checkpointer, threads[1])

    exported = command(settings, tmp_path, "export", "backup")

    assert exported.returncode == 1
    assert exported.stderr.splitlines()[-1] == f"threads: 2, skipped: 0, failed: 1: {threads[1]}"
    other = replace(settings, database_uri=f"sqlite:///{tmp_path}/other.db")
    assert await import_from(other, tmp_path / "backup", "raise") == Count(2)
