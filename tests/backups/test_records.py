"""Which backups go and which a restore takes, decided from their records alone."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lgs_runtime.dumps.destination import DestinationFailed, Folder
from lgs_runtime.dumps.record import Record, Target, check_fits, chosen, new_name, superseded
from lgs_runtime.errors import InvalidRequest

BEGAN = datetime(2026, 11, 28, 3, tzinfo=UTC)


def record(day: int, database: str = "ours", postgres: int = 17, schema: int = 10) -> Record:
    began = BEGAN.replace(day=day)
    return Record(
        name=f"{began:%Y%m%dT%H%M%SZ}-1a2b3c",
        service="support",
        began=began,
        ended=began,
        bytes=1,
        sha256="",
        postgres=postgres,
        database=database,
        schemas={"lgs_migration": schema},
        threads=1,
    )


def test_of_more_backups_than_are_kept_the_oldest_go() -> None:
    records = [record(3), record(1), record(2)]

    assert [each.began.day for each in superseded(records, 2, "ours")] == [1]
    assert superseded(records, 3, "ours") == []


def test_an_empty_new_service_does_not_push_out_what_an_old_one_of_its_name_left() -> None:
    records = [record(1, "old"), record(2, "old"), record(3, "new"), record(4, "new")]

    assert [each.database for each in superseded(records, 1, "new")] == ["new"]


def test_the_latest_is_the_newest_whoever_made_it() -> None:
    assert chosen([record(1), record(3), record(2)], "latest", "there").began.day == 3


def test_a_backup_of_a_newer_postgres_is_refused_and_an_older_one_taken() -> None:
    with pytest.raises(InvalidRequest, match="is of PostgreSQL 17 and the database is 16"):
        check_fits(record(1), Target(16, {}))

    check_fits(record(1, postgres=16), Target(17, {"lgs_migration": 11}))


def test_two_backups_of_one_second_have_two_names() -> None:
    assert len({new_name(BEGAN) for _ in range(20)}) == 20


def test_what_was_cut_is_no_backup_and_goes_when_it_is_a_day_old(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for day in (1, 2):
        (tmp_path / f"{record(day).name}.dump").write_bytes(b"cut")
    long_ago = time.time() - timedelta(days=2).total_seconds()
    os.utime(tmp_path / f"{record(1).name}.dump", (long_ago, long_ago))

    assert folder.records() == []
    assert folder.abandoned(datetime.now(UTC)) == [record(1).name]


def test_a_record_that_can_t_be_read_is_told_by_its_place(tmp_path: Path) -> None:
    (tmp_path / f"{record(1).name}.json").write_text("{")

    with pytest.raises(DestinationFailed, match=str(tmp_path)):
        Folder(tmp_path).records()
