"""Whether a database is the service's own, and whole. Pure.

A database has a random id, made with its tables, and copied with every copy of them. One that came back
empty, or that belongs to another service, answers every statement; only its id shows the mistake. Two
services that are given one database on purpose have the same id.

Beside the id it is noted which families of tables (of the checkpointer, of the store) the database has had:
when such a family is lost as a whole, nothing else would show that it ever was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from lgs_runtime.storage.tables import OWN, Tables

EMPTY: Final = "the database is empty"
ANOTHER: Final = "the database is another one"
INCOMPLETE: Final = "the database is incomplete"
WITHOUT: Final = "to begin with empty ones instead: UPDATE lgs_database SET kept = ''"
"""How somebody makes a database forget the families that it has had."""

Families: TypeAlias = Mapping[str, Tables]
"""The tables of each family, in one kind of database. Where the first table of a family exists, all must."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What has the name of a table."""

    columns: frozenset[str]
    is_table: bool = True
    has_key: bool = True
    """Whether it has a primary key; a table that was copied has none."""
    schema: str = ""
    hidden: str | None = None
    """The schema of a relation of this name that stands beside the service's other tables, and that this one
    hides, as its schema comes first in `search_path`; None: it hides none."""
    denied: bool = False
    """Whether the role may not read it, or not write to it, or row-level security hides all of its rows."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at a database found."""

    relations: Mapping[str, Relation]
    id: str | None = None
    kept: frozenset[str] = frozenset()
    """The families that the database has had."""
    elsewhere: tuple[str, ...] = ()
    """Schemas with tables of a service, where none was found."""


@dataclass(slots=True)
class Known:
    """What a replica knows of its database."""

    id: str
    used: frozenset[str]
    """The families that this replica uses."""
    seen: set[str] = field(default_factory=set)
    """Those of them that it has seen itself: they must be there, whatever the database says of itself."""

    def fault(self, found: Found, families: Families) -> str | None:
        """What is wrong with the database; None: nothing."""
        required = self.used & (found.kept | self.seen)
        # What others have of the other families is theirs: they may be making it, or have it in a form of
        # their own.
        minded = {name: families[name] for name in families if name in self.used}
        return unlike(found, self.id) or incomplete(found, minded, required)


def mismatch(found: str | None, known: str) -> str | None:
    """What is wrong with a database whose id is `found`; None: nothing. `found` is None when the database has
    no id, because its tables are gone."""
    if found is None:
        return f"{EMPTY}: the tables of the service are gone; its id was {known}: restore it"
    if found != known:
        return f"{ANOTHER}: its id is {found}, and the service knows {known}: give it its own back"
    return None


def unlike(found: Found, known: str) -> str | None:
    """What is wrong with a database that must have the id `known`, and may lack tables of this release."""
    return _without_id(found, known) or mismatch(found.id, known)


def incomplete(found: Found, families: Families, required: Iterable[str] = ()) -> str | None:
    """What a database with an id lacks of our own tables, of the `required` families, and of any family that
    it has a part of; None: nothing."""
    wanted = {**OWN}
    for name, tables in families.items():
        if name in required or next(iter(tables)) in found.relations:
            wanted |= tables
    lost = [name for name in wanted if name not in found.relations]
    if lost:
        return f"{INCOMPLETE}: it has lost {_named(lost)}: restore from a backup{_way_on(lost, families)}"
    for name, wanted_columns in wanted.items():
        if (wrong := _stand_in(name, found.relations[name], wanted_columns)) is not None:
            return f"{INCOMPLETE}: {wrong}"
    if found.id is None:
        return f"{INCOMPLETE}: table lgs_database has no row: restore it from a backup"
    return None


def denied(found: Found, families: Families, used: Iterable[str]) -> str | None:
    """Which tables, of our own and of the `used` families, the role may not read or not write to; None: it
    may both, everywhere."""
    wanted = {*OWN, *(table for family in used for table in families.get(family, ()))}
    tables = [name for name in sorted(found.relations) if found.relations[name].denied and name in wanted]
    if not tables:
        return None
    return (
        f"the role must be allowed to SELECT, INSERT, UPDATE and DELETE in {_named(tables)}, "
        "and row-level security must have a policy for it, if it is on"
    )


def whole(found: Found, families: Families) -> frozenset[str]:
    """The families of which every table is there."""
    return frozenset(name for name, tables in families.items() if tables.keys() <= found.relations.keys())


def unfit(done: int, version: int, error: Exception) -> str:
    """What is wrong with a database that says it has the first `done` changes of its tables, and in which the
    change `version` can't be made."""
    return (
        f"{INCOMPLETE}: its table lgs_migration says that the first {done} changes of the tables were made, "
        f"and change {version} does not fit them: {error}: restore all tables of one backup"
    )


def _without_id(found: Found, known: str) -> str | None:
    """What is wrong with a database that has no id any more."""
    if found.id is not None:
        return None
    if any(name in found.relations for name in OWN):
        return incomplete(found, {})
    wrong = mismatch(None, known)
    if found.elsewhere:
        return (
            f"{wrong}; schema {', '.join(found.elsewhere)} has tables of a service: search_path does not "
            "lead there, or the role may not use it"
        )
    return wrong


def _stand_in(name: str, relation: Relation, wanted: frozenset[str]) -> str | None:
    if relation.hidden is not None:
        return (
            f"{relation.schema}.{name} hides {relation.hidden}.{name}, which is the service's: "
            f"give it another name, or take schema {relation.schema} out of search_path"
        )
    if not relation.is_table:
        return f"{name} must be a table, and is a view or a foreign table: restore it from a backup"
    if lacking := sorted(wanted - relation.columns):
        return (
            f"table {name} has no column {', '.join(lacking)}, so it is not the service's, or of a later "
            "release: restore it from a backup, or run the later release"
        )
    if not relation.has_key:
        return f"table {name} has no primary key: make it again, or restore the table from a backup"
    return None


def _way_on(lost: list[str], families: Families) -> str:
    """How to go on without the lost tables; empty unless whole families are lost, and nothing else."""
    of_families = {table for tables in families.values() if tables.keys() <= {*lost} for table in tables}
    if not of_families >= {*lost}:
        return ""
    return f"; {WITHOUT}, and start the replicas anew"


def _named(tables: Iterable[str]) -> str:
    names = list(tables)
    return f"table{'s' if len(names) > 1 else ''} {', '.join(names)}"
