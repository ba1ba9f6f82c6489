"""The first half of a restore: decides whether there is one to be made, and from which backup, and fetches
its complete dump as a file for pg_restore."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg

from lgs_runtime.dumps.database import facts_of, foreign_table, note_restore, target_of
from lgs_runtime.dumps.destination import Destination, DestinationFailed, digest_of
from lgs_runtime.dumps.record import Record, check_fits, chosen
from lgs_runtime.errors import Conflict


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was found. `dump` is None if nothing is to be restored: the database has a runtime's tables
    already, restored from a backup (`Restored`, with its `name`) or from elsewhere (`Skipped`)."""

    result: Literal["Restored", "Skipped"]
    name: str | None = None
    dump: Path | None = None
    record: Record | None = None


def fetch_dump(
    connection: psycopg.Connection[tuple[object, ...]],
    destination: Destination,
    *,
    name: str,
    scratch: Path,
    where: str,
) -> Fetched:
    """Fetches the dump to restore. Raises `Conflict` for a database that is neither empty nor a runtime's,
    `NotFound`, `InvalidRequest` for a backup that does not fit, `DestinationFailed`."""
    facts = facts_of(connection)
    if facts is not None:
        return Fetched("Skipped") if facts.restored is None else Fetched("Restored", facts.restored)
    foreign = foreign_table(connection)
    if foreign is not None:
        raise Conflict(f"the database is not empty: it has {foreign}; a restore needs an empty one")
    record = chosen(destination.records(), name, where)
    check_fits(record, target_of(connection))
    dump = destination.get(record, scratch)
    if (dump.stat().st_size, digest_of(dump)) != (record.bytes, record.sha256):
        raise DestinationFailed(
            f"{where}: backup {record.name} is not what was kept: its checksum is another"
        )
    note_restore(connection, record.name)
    return Fetched("Restored", record.name, dump, record)
