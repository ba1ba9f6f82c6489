"""Which backups go and which a restore takes, decided from their records alone."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lgs_runtime.dumps.database import Facts
from lgs_runtime.dumps.destination import DestinationFailed, Folder
from lgs_runtime.dumps.keeping import MAGIC, keep_dump
from lgs_runtime.dumps.record import NAME, Record, Target, check_fits, chosen, new_name, superseded
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


@pytest.mark.parametrize("years", [1970, 2099])
def test_names_follow_the_order_in_which_backups_are_made_whatever_clocks_say(years: int) -> None:
    """One by a wrong clock would be removed as the oldest once it is made, or restored as the latest for
    years."""
    wrong = BEGAN.replace(year=years)
    names = list[str]()
    for began in (
        BEGAN,
        BEGAN + timedelta(days=1),
        wrong,
        BEGAN + timedelta(days=2),
        BEGAN + timedelta(days=2),
    ):
        made = [record(1).model_copy(update={"name": each}) for each in names]
        names.append(new_name(began, made))

    assert names == sorted(names)
    assert all(NAME.fullmatch(each) for each in names)
    assert names[0].startswith("20261128T030000Z-")
    odd = [record(1).model_copy(update={"name": each}) for each in ("99999999T999999Z-1a2b3c", "x")]
    assert new_name(BEGAN, odd).startswith("20261128T030000Z-")


def test_a_backup_that_was_made_by_a_clock_that_is_behind_is_kept(tmp_path: Path) -> None:
    folder, facts = Folder(tmp_path / "kept"), Facts(17, "ours", {"lgs_migration": 10}, 1, None)
    moments = [BEGAN, BEGAN + timedelta(days=1), BEGAN.replace(year=1970)]

    def kept(began: datetime) -> str:
        dump = tmp_path / "dump"
        dump.write_bytes(MAGIC)
        done = keep_dump(dump, facts, folder, service="support", keep=2, began=began, clock=lambda: began)
        return done.record.name

    names = [kept(each) for each in moments]

    assert {each.name for each in folder.records()} == set(names[1:])


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
