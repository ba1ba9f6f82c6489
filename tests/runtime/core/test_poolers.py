"""A replica behind PgBouncer that is killed: what it had there is nothing that others wait for."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lgs_runtime.run_kwargs import RunKwargs
from runtime.core.stories import ran
from support.pgbouncer import PASSWORD, PgBouncer
from support.ports import PATIENCE_SECONDS
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
    new_replica: Callable[..., Any],
    new_process: Callable[..., subprocess.Popen[bytes]],
    lease_runs_out: Callable[[str], None],
    tmp_path: Path,
) -> None:
    second = await new_replica("b", concurrency=1)
    folders = [folder_of(tmp_path, str(number)) for number in range(4)]
    for folder in folders:
        (folder / "hold-two").touch()
    killed = new_process("a")
    given = [RunKwargs(input={"folder": str(f), "done": []}, durability="sync") for f in folders]
    runs = [await second.start("three_steps", each) for each in given]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(ran(folder) == ["one", "two"] for folder in folders):
            await asyncio.sleep(0.02)

    killed.kill()
    killed.wait()
    lease_runs_out("a")
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


async def test_a_database_that_answers_and_can_not_be_used_ends_the_process_with_two_and_its_words_last(
    new_process: Callable[..., subprocess.Popen[bytes]],
    database_uri: str,
    postgres_uri: str,
    tmp_path: Path,
) -> None:
    wrong = {
        "pooler": database_uri.replace(PASSWORD, "wrong-1"),
        "straight": f"{postgres_uri.rsplit('/', 1)[0]}/no_such_database",
    }
    ends = {name: new_process(name, DATABASE_URI=uri) for name, uri in wrong.items()}

    codes = [await asyncio.to_thread(process.wait, PATIENCE_SECONDS) for process in ends.values()]
    last = {name: (tmp_path / f"{name}.log").read_text().splitlines()[-1] for name in ends}

    assert codes == [2, 2]
    assert last["pooler"].startswith("DATABASE_URI: postgresql://postgres:***@127.0.0.1:")
    assert last["pooler"].endswith(": the pooler refused it: password authentication failed")
    assert last["straight"].startswith("DATABASE_URI: postgresql://")
    assert 'the server refused it: database "no_such_database" does not exist' in last["straight"]
