"""What is known about a backup: the record beside its dump, which backup a restore takes, and which ones are
superseded. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from lgs_runtime.errors import InvalidRequest, NotFound

LATEST: Final = "latest"
NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
_MOMENT: Final = "%Y%m%dT%H%M%SZ"
_SHOWN: Final = 10


class Record(BaseModel):
    """One backup: the content of its JSON record. Times are UTC in ISO 8601.

    `database` is the identity of the database (`lgs_database`), which goes with every copy of it; `schemas`
    has the newest migration of each of its parts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    service: str
    began: datetime
    ended: datetime
    bytes: int
    sha256: str
    postgres: int
    database: str
    schemas: dict[str, int]
    threads: int


@dataclass(frozen=True, slots=True)
class Target:
    """The database that a backup is to be restored into: PostgreSQL's major version, and the newest migration
    of each part that this runtime has."""

    postgres: int
    schemas: dict[str, int]


def new_name(began: datetime, before: Iterable[Record] = ()) -> str:
    """A name that sorts after those of the existing backups, whatever the clocks of the nodes said: so the
    restored one, and those that are removed, follow the order in which they were made."""
    moments = [began.astimezone(UTC).replace(microsecond=0)]
    for record in before:
        with suppress(ValueError, OverflowError):
            found = datetime.strptime(record.name[: len("20260101T000000Z")], _MOMENT).replace(tzinfo=UTC)
            moments.append(found + timedelta(seconds=1))
    return f"{max(moments).strftime(_MOMENT)}-{secrets.token_hex(3)}"


def chosen(records: Iterable[Record], name: str, where: str) -> Record:
    """The backup of this name, or the newest. Raises `NotFound`, which lists the existing ones."""
    known = sorted(records, key=lambda record: record.name)
    found = known[-1:] if name == LATEST else [record for record in known if record.name == name]
    if found:
        return found[0]
    names = ", ".join(record.name for record in reversed(known[-_SHOWN:]))
    raise NotFound("backup", name, f"{where} has {f'{names}' if names else 'none'}")


def superseded(records: Iterable[Record], keep: int, database: str) -> Sequence[Record]:
    """The backups beyond the newest `keep`, oldest first. Only those of this very database count and are
    removed: a new, empty service with the name of an old one must not push out what the old one left."""
    own = sorted((record for record in records if record.database == database), key=lambda each: each.name)
    return own[: max(0, len(own) - keep)]


def check_fits(record: Record, target: Target) -> None:
    """Raises `InvalidRequest` for a backup that this runtime or its PostgreSQL can't take."""
    if record.postgres > target.postgres:
        raise InvalidRequest(
            f"backup {record.name} is of PostgreSQL {record.postgres} and the database is {target.postgres}: "
            "restore it into one that is at least as new"
        )
    for part, version in sorted(record.schemas.items()):
        known = target.schemas.get(part)
        if known is not None and version > known:
            raise InvalidRequest(
                f"backup {record.name} was written by a newer runtime ({part} {version}) than this one, "
                f"which knows {part} {known}: set spec.image to the release that wrote it, or a later one"
            )
