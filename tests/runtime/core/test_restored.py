"""What a database means that was restored from a backup: the replicas that it speaks of are no more, and
time has passed since."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lgs_runtime.graphs.registry import default_assistant_id
from lgs_runtime.model import Cron
from lgs_runtime.run_kwargs import RunKwargs
from runtime.core.stories import ran
from support.leases import end_lease
from support.postgres import binary, fresh_database
from support.receiver import receiving
from support.service import new_id
from support.waiting import until

NewReplica = Callable[..., Any]
pytestmark = pytest.mark.parametrize("database_uri", ["postgres"], indirect=True)


@pytest.fixture
def other_uri(postgres_service: str) -> Iterator[str]:
    """The empty database of a new service."""
    with fresh_database(postgres_service) as uri:
        yield uri


def restore(uri: str, into: str, tmp_path: Path) -> None:
    """Makes a backup of one database and restores it into another, by the commands of the operator's pods.
    The lease of the replica `old` has run out since."""
    dump = str(tmp_path / "dump")
    plain = ["--no-owner", "--no-privileges"]
    subprocess.run([binary("pg_dump"), "--format=custom", *plain, f"--file={dump}", uri], check=True)
    command = [binary("pg_restore"), "--single-transaction", "--exit-on-error", *plain]
    subprocess.run([*command, f"--dbname={into}", dump], check=True)
    end_lease(into, "old")


async def test_a_run_that_ran_at_the_backup_goes_on_from_its_last_checkpoint(
    other_uri: str, new_replica: NewReplica, database_uri: str, tmp_path: Path
) -> None:
    old = await new_replica("old")
    (tmp_path / "hold-two").touch()
    run = await old.start(
        "three_steps", RunKwargs(input={"folder": str(tmp_path), "done": []}, durability="sync")
    )

    async def is_in_the_second_step() -> bool:
        return ran(tmp_path) == ["one", "two"]

    await until(is_in_the_second_step)
    restore(database_uri, other_uri, tmp_path)
    await old.services.worker.drain(0)
    (tmp_path / "hold-two").unlink()

    new = await new_replica("new", database_uri=other_uri)
    ended = await new.ended(run)

    assert (ended.status, ended.attempt) == ("success", 2)
    assert ran(tmp_path) == ["one", "two", "two", "three"]


async def test_a_run_without_attempts_left_ends_and_says_why(
    other_uri: str, new_replica: NewReplica, database_uri: str, tmp_path: Path
) -> None:
    old = await new_replica("old")
    (tmp_path / "hold-one").touch()
    run = await old.start("three_steps", RunKwargs(input={"folder": str(tmp_path), "done": []}))

    async def runs() -> bool:
        return ran(tmp_path) == ["one"]

    await until(runs)
    restore(database_uri, other_uri, tmp_path)

    new = await new_replica("new", database_uri=other_uri, max_attempts=1)
    ended = await new.ended(run)

    assert ended.status == "error"
    assert "was lost in attempt 1 of 1" in ended.error


async def test_a_cron_makes_up_for_all_that_it_missed_by_one_run(
    other_uri: str, new_replica: NewReplica, database_uri: str, tmp_path: Path
) -> None:
    old = await new_replica("old")
    storage = old.services.storage
    now = await storage.now()
    cron = Cron(
        cron_id=new_id(),
        assistant_id=default_assistant_id("three_steps"),
        thread_id=None,
        # No full hour of it is near.
        schedule=f"{(now.minute + 30) % 60} * * * *",
        timezone=None,
        payload={"assistant_id": "three_steps", "input": {"folder": str(tmp_path), "done": []}},
        metadata={},
        on_run_completed="keep",
        end_time=None,
        enabled=True,
        next_run_date=now + timedelta(days=1),
        created_at=now,
        updated_at=now,
    )
    await storage.crons.create(cron)
    restore(database_uri, other_uri, tmp_path)

    new = await new_replica("new", database_uri=other_uri)
    # Ten days have passed since the backup.
    await new.services.storage.crons.update(cron.cron_id, {"next_run_date": now - timedelta(days=10)})

    async def is_advanced() -> Any:
        known = await new.services.storage.crons.get(cron.cron_id)
        return known if known.next_run_date > now else None

    known = await until(is_advanced)
    with psycopg.connect(other_uri) as connection:
        made = connection.execute("SELECT count(*) FROM lgs_run").fetchone()

    assert known.next_run_date <= now + timedelta(hours=1)
    assert made == (1,)


async def test_a_webhook_that_was_acknowledged_before_the_backup_is_not_called_again(
    other_uri: str, new_replica: NewReplica, database_uri: str, tmp_path: Path
) -> None:
    async with receiving() as receiver:
        old = await new_replica("old")
        kwargs = RunKwargs(input={"folder": str(tmp_path), "done": []}, webhook=receiver.url)
        told = await old.start("three_steps", kwargs, webhook=receiver.url)
        await receiver.first()

        async def is_settled() -> bool:
            with psycopg.connect(database_uri) as connection:
                return connection.execute("SELECT count(*) FROM lgs_webhook").fetchone() == (0,)

        await until(is_settled)
        receiver.answers = [503] * 100
        owed = await old.start("three_steps", kwargs, webhook=receiver.url)

        async def was_refused() -> bool:
            return len(receiver.calls) >= 2

        await until(was_refused)
        restore(database_uri, other_uri, tmp_path)
        await old.close()
        receiver.answers.clear()
        before = len(receiver.calls)

        await new_replica("new", database_uri=other_uri)

        async def is_called() -> bool:
            return len(receiver.calls) > before

        await until(is_called)
        assert {call["run_id"] for call in receiver.calls[before:]} == {owed.run_id}
        assert receiver.calls[0]["run_id"] == told.run_id
