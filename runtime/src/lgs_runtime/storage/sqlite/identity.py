"""A look at a database in SQLite, and the checks that it is the service's own, and whole. It is one file with
the storage's own tables, one with the checkpointer's, and one with the store's."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from lgs_runtime.database.sqlite import Database, translated
from lgs_runtime.errors import ConfigError, DatabaseReplaced
from lgs_runtime.storage.identity import ANOTHER, Found, Known, Relation, incomplete, whole
from lgs_runtime.storage.sqlite.statements.identity import FAMILIES, FILES, KEPT, LOOK, NOTE_FAMILY
from lgs_runtime.storage.tables import OWN

_BUSY_SECONDS: Final = 1.0

FileId = tuple[int, int]


def file_at(path: Path) -> FileId | None:
    """Device and inode of the file at the path; None: there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class Files:
    """The files of a database, as a process has them open: it does not notice when one is removed or
    replaced, and would go on to write to what nobody finds again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: dict[Path, FileId | None] = {path: file_at(path)}

    def note(self, families: Iterable[str]) -> None:
        """Notes the files of these families, which are open now."""
        for family in families:
            file = beside(self._path, family)
            self._opened.setdefault(file, file_at(file))

    def fault(self) -> str | None:
        """What is wrong with the files; None: nothing."""
        for path, known in self._opened.items():
            if file_at(path) != known:
                return f"{ANOTHER}: {path} was removed or replaced: start anew, with it back"
        return None


def beside(path: Path, family: str) -> Path:
    """The file of a family's tables."""
    return Path(f"{path}{FILES[family]}")


async def look(database: Database, used: frozenset[str]) -> Found:
    """What there is of our own tables and of those of the families, in all files."""
    own = await database.read(_own)
    others = await asyncio.to_thread(_of_families, database.path, used)
    return Found({**others, **own.relations}, own.id, own.kept)


async def opened(database: Database, used: frozenset[str]) -> Known:
    """What a process that uses these families knows of the database from now on, whose own tables are made.
    Raises `ConfigError` when some tables are lost or not ours."""
    found = await look(database, used)
    kept = {name: tables for name, tables in FAMILIES.items() if name in used & found.kept}
    if (wrong := incomplete(found, kept, kept)) is not None:
        raise ConfigError(f"DATABASE_URI: sqlite:///{database.path}: {wrong}")
    return Known(str(found.id), used)


async def note_families(database: Database, known: Known) -> None:
    """Notes in the database which families it has, of those that the process uses and has just opened.
    Raises `ConfigError` when some of their tables are missing all the same."""
    found = await look(database, known.used)
    for family in sorted(known.used & whole(found, FAMILIES)):
        await database.write(partial(_note, family=family))
        known.seen.add(family)
    if (wrong := known.fault(found, FAMILIES)) is not None:
        raise ConfigError(f"DATABASE_URI: sqlite:///{database.path}: {wrong}")


async def check(database: Database, known: Known, files: Files) -> None:
    """Raises `DatabaseReplaced` when this is not the database that is known, or it is not whole."""
    wrong = await asyncio.to_thread(files.fault) or known.fault(await look(database, known.used), FAMILIES)
    if wrong is not None:
        raise DatabaseReplaced(wrong)


def _note(connection: sqlite3.Connection, *, family: str) -> None:
    connection.execute(NOTE_FAMILY, (family,))


def _own(connection: sqlite3.Connection) -> Found:
    relations = _relations(connection, OWN)
    if not {"id", "kept"} <= relations.get("lgs_database", Relation(frozenset())).columns:
        return Found(relations)
    row = connection.execute(KEPT).fetchone()
    return Found(relations) if row is None else Found(relations, str(row[0]), frozenset(row[1].split()))


def _of_families(path: Path, families: Iterable[str]) -> dict[str, Relation]:
    relations: dict[str, Relation] = {}
    for family in sorted(families):
        if (file := beside(path, family)).exists():
            # Not made if it has gone since.
            with (
                translated(file),
                closing(
                    sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
                ) as connection,
            ):
                relations |= _relations(connection, FAMILIES[family])
    return relations


def _relations(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, Relation]:
    """What has these names. An application may have tables of its own in the same file."""
    columns: dict[tuple[str, str], set[str]] = {}
    keyed: set[str] = set()
    for name, kind, column, of_key in connection.execute(LOOK, (json.dumps([*names]),)):
        columns.setdefault((name, kind), set()).add(column)
        if of_key:
            keyed.add(name)
    return {
        name: Relation(frozenset(of), kind == "table", name in keyed) for (name, kind), of in columns.items()
    }
