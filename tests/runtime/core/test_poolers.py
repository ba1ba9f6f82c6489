"""A replica behind PgBouncer that is killed: what it had there is nothing that others wait for."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lgs_runtime.worker.kwargs import RunKwargs
from runtime.core.stories import ran
from support.pgbouncer import PgBouncer
from support.servers import running


@pytest.fixture(params=["transaction", "session"])
def database_uri(request: pytest.FixtureRequest, postgres_uri: str) -> Iterator[str]:
    """A database behind a pooler."""
    with running(PgBouncer(postgres_uri, request.param)) as pooler:
        yield pooler.uri(postgres_uri)


def folder_of(within: Path, name: str) -> Path:
    folder = within / name
    folder.mkdir()
    return folder


async def test_runs_whose_replica_was_killed_go_on_behind_a_pooler(
    new_replica: Callable[..., Any], new_process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    second = await new_replica("b", concurrency=1)
    folders = [folder_of(tmp_path, str(number)) for number in range(4)]
    for folder in folders:
        (folder / "hold-two").touch()
    killed = new_process("a")
    given = [RunKwargs(input={"folder": str(f), "done": []}, durability="sync") for f in folders]
    runs = [await second.start("three_steps", each) for each in given]
    async with asyncio.timeout(60):
        while not all(ran(folder) == ["one", "two"] for folder in folders):
            await asyncio.sleep(0.02)

    killed.kill()
    for folder in folders:
        (folder / "hold-two").unlink()
    ended = [await second.ended(run) for run in runs]

    assert [run.status for run in ended] == ["success"] * 4
    # One was the second replica's own; the three that were lost began their second step again.
    assert sorted(run.attempt for run in ended) == [1, 2, 2, 2]
    assert sorted(ran(folder) for folder in folders) == [
        ["one", "two", "three"],
        *[["one", "two", "two", "three"]] * 3,
    ]
