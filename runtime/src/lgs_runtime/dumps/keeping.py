"""The second half of a backup: names, describes and stores the file that pg_dump has written, and removes
backups beyond those to keep. Nothing is removed before the new one is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from lgs_runtime.dumps.database import Facts
from lgs_runtime.dumps.destination import Destination, DestinationFailed, digest_of
from lgs_runtime.dumps.record import Record, new_name, superseded
from lgs_runtime.errors import InvalidRequest

MAGIC: Final = b"PGDMP"
"""The first bytes of a dump in PostgreSQL's custom format."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a backup did: its record, and the names of removed backups."""

    record: Record
    removed: Sequence[str]


def keep_dump(
    dump: Path,
    facts: Facts | None,
    destination: Destination,
    *,
    service: str,
    keep: int,
    began: datetime,
    clock: Callable[[], datetime],
) -> Kept:
    """Stores a dump that began at `began`. Raises `InvalidRequest` for a file that is no dump or a database
    without a runtime's tables, and `DestinationFailed`."""
    if facts is None:
        raise InvalidRequest("the database has no tables of a runtime: there is nothing to back up yet")
    with dump.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InvalidRequest(f"{dump}: is not what pg_dump --format=custom writes")
    record = Record(
        name=new_name(began, _others(destination)),
        service=service,
        began=began,
        ended=clock(),
        bytes=dump.stat().st_size,
        sha256=digest_of(dump),
        postgres=facts.postgres,
        database=facts.identity,
        schemas=facts.schemas,
        threads=facts.threads,
    )
    destination.put(dump, record)
    gone = [each.name for each in superseded(destination.records(), keep, facts.identity)]
    gone += destination.abandoned(clock())
    for name in gone:
        destination.remove(name)
    return Kept(record, gone)


def _others(destination: Destination) -> Sequence[Record]:
    """The existing backups; empty if they can't be read, which must not prevent a new one."""
    try:
        return destination.records()
    except DestinationFailed:
        return ()
