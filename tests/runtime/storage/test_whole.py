"""A replica notices when its database has lost tables, or has others in their place, and says what to do:
while it runs, and when it starts; then nothing is made in place of what was lost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.errors import ConfigError, DatabaseReplaced, StorageUnavailable
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from lgs_runtime.storage.identity import ANOTHER, EMPTY, INCOMPLETE, WITHOUT
from lgs_runtime.storage.postgres.statements import identity as postgres
from lgs_runtime.storage.queries import ThreadQuery
from lgs_runtime.storage.sqlite.statements import identity as sqlite
from lgs_runtime.storage.tables import CHECKPOINTS, OWN, STORE
from lgs_runtime.store.backends import open_store
from support import database_edits
from support.database_edits import administer

ON_POSTGRES = pytest.mark.parametrize("database_uri", ["postgres"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("database_uri", ["sqlite"], indirect=True)
OPTIONS = StorageOptions(lease_seconds=600)
FORGET = WITHOUT.partition(": ")[2]
"""As the message shows it."""
OF_OTHERS = StorageOptions(lease_seconds=600, families=frozenset())
"""Of an application with a checkpointer and a store of its own."""
TABLE_OF_FAMILY = [
    *(("postgres", family, table) for family in (CHECKPOINTS, STORE) for table in postgres.FAMILIES[family]),
    *(("sqlite", family, table) for family in (CHECKPOINTS, STORE) for table in sqlite.FAMILIES[family]),
]
FAMILIES = {"postgres": postgres.FAMILIES, "sqlite": sqlite.FAMILIES}


def file_of(database_uri: str, family: str | None) -> Path:
    return Path(database_uri.removeprefix("sqlite:///") + (sqlite.FILES[family] if family else ""))


def at(database_uri: str, *statements: str, family: str | None = None) -> None:
    """As an administrator; on SQLite in the file of the family."""
    administer(database_uri, *statements, file=sqlite.FILES[family] if family else "")


def drop(database_uri: str, *tables: str, family: str | None = None) -> None:
    """With what depends on them."""
    database_edits.drop(database_uri, *tables, file=sqlite.FILES[family] if family else "")


@asynccontextmanager
async def replica(database_uri: str, options: StorageOptions = OPTIONS) -> AsyncIterator[Storage]:
    """The storage of a replica that has started: with its checkpointer and its store, unless the application
    brings them."""
    async with AsyncExitStack() as stack:
        storage = await open_storage(database_uri, options)
        stack.push_async_callback(storage.close)
        if options.families:
            await stack.enter_async_context(open_checkpointer(database_uri))
            await stack.enter_async_context(open_store(database_uri))
        await storage.note_families()
        await storage.ping()
        yield storage


async def refused(database_uri: str, options: StorageOptions = OPTIONS) -> str:
    """What a replica says that does not start."""
    with pytest.raises(ConfigError, match=r"^DATABASE_URI: ") as told:
        async with replica(database_uri, options):
            pass
    return str(told.value)


def there(database_uri: str, family: str) -> list[str]:
    """The tables of a family that there are."""
    if database_uri.startswith("sqlite"):
        with sqlite3.connect(file_of(database_uri, family)) as file:
            names = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        file.close()
    else:
        with psycopg.connect(database_uri) as admin:
            names = admin.execute("SELECT relname FROM pg_class WHERE relkind = 'r'").fetchall()
    known = FAMILIES["sqlite" if database_uri.startswith("sqlite") else "postgres"][family]
    return [name for (name,) in names if name in known]


@pytest.mark.parametrize("table", OWN)
async def test_each_table_of_ours_that_is_lost_is_noticed_and_told_at_a_start(
    database_uri: str, table: str
) -> None:
    async with replica(database_uri) as storage:
        drop(database_uri, table)

        with pytest.raises(DatabaseReplaced, match=f"{INCOMPLETE}: .*{table}"):
            await storage.ping()

    assert f"{INCOMPLETE}: " in await refused(database_uri)
    assert table in await refused(database_uri)


async def test_an_id_that_is_lost_is_noticed_and_told_at_a_start(database_uri: str) -> None:
    async with replica(database_uri) as storage:
        at(database_uri, "DELETE FROM lgs_database")

        with pytest.raises(DatabaseReplaced, match=f"{INCOMPLETE}: table lgs_database has no row"):
            await storage.ping()

    assert f"{INCOMPLETE}: table lgs_database has no row" in await refused(database_uri)


@pytest.mark.parametrize(("database_uri", "family", "table"), TABLE_OF_FAMILY, indirect=["database_uri"])
async def test_each_table_of_sessions_and_of_the_store_that_is_lost_is_noticed_and_told_at_a_start(
    database_uri: str, family: str, table: str
) -> None:
    async with replica(database_uri) as storage:
        drop(database_uri, table, family=family)

        with pytest.raises(
            DatabaseReplaced, match=f"{INCOMPLETE}: it has lost table {table}: restore from a backup"
        ):
            await storage.ping()

    told = await refused(database_uri)
    assert f"{INCOMPLETE}: it has lost table {table}: restore from a backup" in told
    assert WITHOUT not in told, "the others of its family are there"


@pytest.mark.parametrize("family", [CHECKPOINTS, STORE])
async def test_a_family_of_tables_that_is_lost_as_a_whole_is_noticed_and_none_is_made_in_its_place(
    database_uri: str, family: str
) -> None:
    async with replica(database_uri) as storage:
        tables = there(database_uri, family)
        drop(database_uri, *tables, family=family)

        with pytest.raises(DatabaseReplaced, match=f"{INCOMPLETE}: it has lost tables .*{tables[0]}"):
            await storage.ping()

    told = await refused(database_uri)
    assert all(table in told for table in tables)
    assert WITHOUT in told
    assert not there(database_uri, family)


@pytest.mark.parametrize("family", [CHECKPOINTS, STORE])
async def test_what_is_said_to_begin_with_empty_tables_does_so(database_uri: str, family: str) -> None:
    async with replica(database_uri):
        tables = there(database_uri, family)
        drop(database_uri, *tables, family=family)
        at(database_uri, FORGET)

    async with replica(database_uri):
        assert sorted(there(database_uri, family)) == sorted(tables)


async def test_a_replica_that_has_had_the_tables_misses_them_whatever_the_database_says(
    database_uri: str,
) -> None:
    async with replica(database_uri) as storage:
        drop(database_uri, *there(database_uri, CHECKPOINTS), family=CHECKPOINTS)
        at(database_uri, FORGET)

        with pytest.raises(DatabaseReplaced, match=INCOMPLETE):
            await storage.ping()


async def test_an_application_with_its_own_checkpointer_and_store_misses_none(database_uri: str) -> None:
    async with replica(database_uri, OF_OTHERS) as storage:
        await storage.ping()

    async with replica(database_uri):
        for family in (CHECKPOINTS, STORE):
            drop(database_uri, *there(database_uri, family), family=family)

    async with replica(database_uri, OF_OTHERS) as storage:
        await storage.ping()


@ON_POSTGRES
@pytest.mark.parametrize(
    "tables",
    [
        ["checkpoint_migrations (v INTEGER PRIMARY KEY)"],
        ["checkpoint_migrations (v INTEGER PRIMARY KEY)", "checkpoints (thread_id TEXT PRIMARY KEY)"],
    ],
    ids=["being made by another service", "of another form"],
)
async def test_tables_of_a_family_that_an_application_does_not_use_are_no_fault(
    database_uri: str, tables: list[str]
) -> None:
    async with replica(database_uri, OF_OTHERS) as storage:
        at(database_uri, *(f"CREATE TABLE {table}" for table in tables))

        await storage.ping()

    async with replica(database_uri, OF_OTHERS) as storage:
        await storage.ping()


@ON_SQLITE
@pytest.mark.parametrize("family", [None, STORE])
async def test_a_view_of_an_application_that_refers_to_a_lost_table_is_no_fault(
    database_uri: str, family: str | None
) -> None:
    async with replica(database_uri) as storage:
        at(database_uri, "CREATE VIEW reports AS SELECT * FROM gone", family=family)

        await storage.ping()

    async with replica(database_uri) as storage:
        await storage.ping()


@ON_SQLITE
async def test_a_table_of_an_application_is_not_taken_for_one_of_a_family_in_another_file(
    database_uri: str,
) -> None:
    at(database_uri, "CREATE TABLE store (town TEXT PRIMARY KEY)")

    async with replica(database_uri) as storage:
        await storage.ping()


@ON_SQLITE
async def test_an_application_that_changes_its_working_directory_has_the_same_files(
    database_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(tmp_path)
    async with replica("sqlite:///relative.db") as storage:
        monkeypatch.chdir(other)

        await storage.ping()

    assert not list(other.iterdir())


async def test_a_service_that_gives_up_its_own_checkpointer_gets_its_tables(database_uri: str) -> None:
    async with replica(database_uri, OF_OTHERS):
        pass

    async with replica(database_uri):
        assert there(database_uri, CHECKPOINTS)


@ON_SQLITE
@pytest.mark.parametrize("family", [CHECKPOINTS, STORE])
@pytest.mark.parametrize("replaced", [False, True])
async def test_the_file_of_a_family_that_is_removed_or_replaced_under_a_replica_is_noticed(
    database_uri: str, family: str, replaced: bool
) -> None:
    file = file_of(database_uri, family)
    async with replica(database_uri) as storage:
        file.rename(file.with_suffix(".gone"))
        if replaced:
            file.touch()

        with pytest.raises(DatabaseReplaced, match=f"{ANOTHER}: {file} was removed or replaced"):
            await storage.ping()

        file.unlink(missing_ok=True)
        file.with_suffix(".gone").rename(file)
        await storage.ping()


@ON_SQLITE
@pytest.mark.parametrize("family", [CHECKPOINTS, STORE])
async def test_a_file_of_a_family_that_is_gone_at_a_start_is_told(database_uri: str, family: str) -> None:
    async with replica(database_uri):
        pass
    file_of(database_uri, family).unlink()

    told = await refused(database_uri)

    assert f"{INCOMPLETE}: it has lost tables " in told
    assert not file_of(database_uri, family).exists()


@pytest.mark.parametrize(
    ("table", "family", "column"),
    [("lgs_run", None, "rank"), ("lgs_cron", None, "held_until"), ("checkpoints", CHECKPOINTS, "metadata")],
)
async def test_a_table_with_other_columns_is_noticed_and_told_at_a_start(
    database_uri: str, table: str, family: str | None, column: str
) -> None:
    async with replica(database_uri) as storage:
        at(database_uri, f"ALTER TABLE {table} RENAME COLUMN {column} TO other", family=family)

        with pytest.raises(DatabaseReplaced, match=f"{INCOMPLETE}: table {table} has no column {column}"):
            await storage.ping()

    assert f"{INCOMPLETE}: table {table} has no column {column}" in await refused(database_uri)


@pytest.mark.parametrize(("table", "family"), [("lgs_cron", None), ("checkpoints", CHECKPOINTS)])
async def test_a_table_that_was_copied_without_its_key_is_noticed_and_told_at_a_start(
    database_uri: str, table: str, family: str | None
) -> None:
    async with replica(database_uri) as storage:
        at(
            database_uri,
            f"CREATE TABLE copied AS SELECT * FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE copied RENAME TO {table}",
            family=family,
        )

        with pytest.raises(DatabaseReplaced, match=f"{INCOMPLETE}: table {table} has no primary key"):
            await storage.ping()

    assert f"{INCOMPLETE}: table {table} has no primary key" in await refused(database_uri)


@pytest.mark.parametrize(("table", "family"), [("lgs_run", None), ("checkpoints", CHECKPOINTS)])
async def test_a_view_in_place_of_a_table_is_noticed_and_told_at_a_start(
    database_uri: str, table: str, family: str | None
) -> None:
    async with replica(database_uri) as storage:
        at(
            database_uri,
            f"ALTER TABLE {table} RENAME TO other",
            f"CREATE VIEW {table} AS SELECT * FROM other",
            family=family,
        )

        with pytest.raises(DatabaseReplaced, match=f"{INCOMPLETE}: {table} must be a table"):
            await storage.ping()

    assert f"{INCOMPLETE}: {table} must be a table" in await refused(database_uri)


@ON_POSTGRES
@pytest.mark.parametrize("table", ["lgs_run", "checkpoints", "store"])
async def test_a_table_that_hides_ours_is_noticed_and_told_at_a_start(database_uri: str, table: str) -> None:
    """`search_path` begins with a schema that has the name of the role, as soon as there is one."""
    async with replica(database_uri) as storage:
        at(database_uri, "CREATE SCHEMA postgres", f"CREATE TABLE postgres.{table} (LIKE public.{table})")

        with pytest.raises(DatabaseReplaced, match=rf"{INCOMPLETE}: postgres\.{table} hides public\.{table}"):
            await storage.ping()

    assert f"{INCOMPLETE}: postgres.{table} hides public.{table}" in await refused(database_uri)
    at(database_uri, "DROP SCHEMA postgres CASCADE")
    async with replica(database_uri):
        pass


@ON_POSTGRES
async def test_a_table_of_somebody_else_that_ours_hides_is_no_fault(database_uri: str) -> None:
    async with replica(database_uri):
        pass
    at(
        database_uri,
        "ALTER SCHEMA public RENAME TO ours",
        "CREATE SCHEMA theirs",
        "CREATE TABLE theirs.store (LIKE ours.store)",
    )

    async with replica(f"{database_uri}?options=-csearch_path%3Dours,theirs") as storage:
        await storage.ping()


@ON_POSTGRES
async def test_a_search_path_that_leads_elsewhere_is_told_with_the_schema_that_has_the_tables(
    database_uri: str,
) -> None:
    async with replica(database_uri) as storage:
        known = storage.database_id
    at(database_uri, "CREATE SCHEMA elsewhere")
    elsewhere = f"{database_uri}?options=-csearch_path%3Delsewhere"

    told = await refused(elsewhere, StorageOptions(lease_seconds=600, database_id=known))

    assert f"{EMPTY}: " in told
    assert "schema public has tables of a service: search_path does not lead there" in told
    with capture_logs() as logs:
        async with replica(elsewhere) as storage:
            assert storage.database_id != known, "a service that knows none has the schema to itself"
    assert [line["schemas"] for line in logs if line["event"] == "database.tables_in_another_schema"] == [
        ("public",)
    ]


async def test_tables_that_are_there_before_their_migrations_are_told(database_uri: str) -> None:
    """As after a dump was restored without one table."""
    async with replica(database_uri):
        drop(database_uri, "lgs_migration")

    told = await refused(database_uri)

    assert f"{INCOMPLETE}: its table lgs_migration says that the first 0 changes" in told
    assert "change 1 does not fit them: " in told
    assert "lgs_assistant" in told
    assert "already exists" in told


async def test_a_database_that_a_later_release_has_changed_works_and_is_logged(database_uri: str) -> None:
    async with replica(database_uri):
        pass
    at(
        database_uri,
        "INSERT INTO lgs_migration (version, applied_at) SELECT 99, applied_at FROM lgs_migration LIMIT 1",
        "ALTER TABLE lgs_run ADD COLUMN of_later text",
        "CREATE TABLE lgs_of_later (a text)",
    )

    with capture_logs() as logs:
        async with replica(database_uri) as storage:
            assert await storage.threads.count(ThreadQuery()) == 0

    assert [line["changes"] for line in logs if line["event"] == "database.of_a_later_release"] == [99]


@ON_POSTGRES
@pytest.mark.parametrize("table", ["lgs_cron", "lgs_database", "checkpoints"])
@pytest.mark.parametrize("right", ["SELECT", "UPDATE"])
async def test_a_right_that_is_lost_is_noticed_and_told_at_a_start(
    database_uri: str, table: str, right: str
) -> None:
    at(database_uri, "DROP ROLE IF EXISTS lgs_poor", "CREATE ROLE lgs_poor LOGIN")
    try:
        at(database_uri, "GRANT CREATE, USAGE ON SCHEMA public TO lgs_poor")
        poor = database_uri.replace("postgres@", "lgs_poor@")
        async with replica(poor) as storage:
            at(database_uri, f"REVOKE {right} ON {table} FROM lgs_poor")

            with pytest.raises(StorageUnavailable, match=f"the role must be allowed to SELECT.* {table}"):
                await storage.ping()

        assert f"the role must be allowed to SELECT, INSERT, UPDATE and DELETE in table {table}" in (
            await refused(poor)
        )
        knowing = StorageOptions(lease_seconds=600, database_id=storage.database_id)
        assert await refused(poor, knowing) == await refused(poor)
    finally:
        at(database_uri, "DROP OWNED BY lgs_poor", "DROP ROLE lgs_poor")


@ON_POSTGRES
async def test_row_level_security_that_hides_all_rows_is_noticed_and_told_at_a_start(
    database_uri: str,
) -> None:
    at(database_uri, "DROP ROLE IF EXISTS lgs_blind", "CREATE ROLE lgs_blind LOGIN")
    try:
        at(database_uri, "GRANT CREATE, USAGE ON SCHEMA public TO lgs_blind")
        blind = database_uri.replace("postgres@", "lgs_blind@")
        async with replica(blind) as storage:
            at(database_uri, "ALTER TABLE lgs_run OWNER TO postgres", "GRANT ALL ON lgs_run TO lgs_blind")
            await storage.ping()
            at(database_uri, "ALTER TABLE lgs_run ENABLE ROW LEVEL SECURITY")

            with pytest.raises(StorageUnavailable, match="in table lgs_run, and row-level security must"):
                await storage.ping()

            assert "in table lgs_run, and row-level security must" in await refused(blind)
            for of_no_use in (
                "TO postgres USING (true)",
                "AS RESTRICTIVE USING (true)",
                "FOR DELETE USING (true)",
            ):
                at(database_uri, f"CREATE POLICY theirs ON lgs_run {of_no_use}")
                with pytest.raises(StorageUnavailable, match="in table lgs_run, and row-level security must"):
                    await storage.ping()
                at(database_uri, "DROP POLICY theirs ON lgs_run")
            for ours in ("", "TO lgs_blind", "FOR SELECT TO postgres, lgs_blind"):
                at(database_uri, f"CREATE POLICY ours ON lgs_run {ours} USING (true)")
                await storage.ping()
                at(database_uri, "DROP POLICY ours ON lgs_run")
    finally:
        at(database_uri, "DROP OWNED BY lgs_blind CASCADE", "DROP ROLE lgs_blind")


async def test_the_tables_that_are_looked_for_are_those_that_are_made(database_uri: str) -> None:
    async with replica(database_uri):
        pass
    kind = "sqlite" if database_uri.startswith("sqlite") else "postgres"
    wanted = {**OWN, **FAMILIES[kind][CHECKPOINTS], **FAMILIES[kind][STORE]}
    if kind == "sqlite":
        # The machine's steady clock is the file's clock.
        wanted["lgs_replica"] |= {"held_from", "held_until"}

    assert columns_of(database_uri) == {table: set(columns) for table, columns in wanted.items()}


def columns_of(database_uri: str) -> dict[str, set[str]]:
    """Of all tables that a replica makes."""
    found: dict[str, set[str]] = {}
    if database_uri.startswith("sqlite"):
        for family in (None, CHECKPOINTS, STORE):
            with sqlite3.connect(file_of(database_uri, family)) as file:
                tables = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                names = json.dumps([name for (name,) in tables])
                for name, _, column, _ in file.execute(sqlite.LOOK, (names,)):
                    found.setdefault(name, set()).add(column)
            file.close()
        found.pop("sqlite_sequence", None)
        return found
    with psycopg.connect(database_uri) as admin:
        rows = admin.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
        for name, column in rows:
            found.setdefault(name, set()).add(column)
    return found
