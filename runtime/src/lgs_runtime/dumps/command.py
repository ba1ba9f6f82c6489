"""The command `lgs-runtime dump`, which the pods of a backup and of a restore run beside pg_dump and
pg_restore.

It reads `DATABASE_URI` and, for a bucket, the variables AWS_*; no graph is loaded. Exit code 2 for what can't
work with these settings, 1 for what may work at another time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lgs_runtime.database.addresses import address
from lgs_runtime.errors import ConfigError, Conflict, InvalidRequest, NotFound, RuntimeFault

if TYPE_CHECKING:
    from lgs_runtime.dumps.destination import Destination

dump_app = typer.Typer(
    no_args_is_help=True, help="Backups of the whole database; the operator's pods run it."
)
PATIENCE_SECONDS: Final = 300.0

At = Annotated[str, typer.Option(help="Where backups are: file:///folder, or s3://bucket/prefix.")]
Service = Annotated[str, typer.Option(help="Whose backups: a folder of its own at that place.")]
Tell = Annotated[Path | None, typer.Option(help="File that gets what was done, as a line of JSON.")]


@dump_app.command()
def keep(
    part: Annotated[Path, typer.Argument(help="Folder with `dump`, of pg_dump, and `began`, when that was.")],
    at: At,
    service: Service,
    keep: Annotated[int, typer.Option(min=1, help="Backups of this database that are kept.")],
    tell: Tell = None,
) -> None:
    """Keeps a dump as a backup, and removes the oldest ones then."""

    def work() -> dict[str, Any]:
        from lgs_runtime.dumps import database, keeping  # noqa: PLC0415 - slow imports

        began = datetime.fromisoformat((part / "began").read_text("utf-8").strip())
        with database.connected(_database_uri(), 0) as connection:
            database.refuse_incomplete(connection)
            facts = database.facts_of(connection)
        kept = keeping.keep_dump(
            part / "dump",
            facts,
            destination_of(at, service),
            service=service,
            keep=keep,
            began=began,
            clock=lambda: datetime.now(UTC),
        )
        record = kept.record.model_dump(mode="json", include={"name", "began", "ended", "bytes", "threads"})
        return record | {"removed": list(kept.removed)}

    try:
        _do(work, tell)
    finally:
        # Also after a failed try: tries that leave their dumps would fill the volume.
        shutil.rmtree(part, ignore_errors=True)


@dump_app.command()
def fetch(
    at: At,
    service: Service,
    to: Annotated[
        Path, typer.Option(help="Folder for `path`, which names the dump, and for the dump itself.")
    ],
    name: Annotated[str, typer.Option(help="Name of the backup, or latest.")] = "latest",
    tell: Tell = None,
) -> None:
    """Finds the backup to be restored and checks it; without `path` in the folder nothing is to be
    restored."""

    def work() -> dict[str, Any]:
        from lgs_runtime.dumps import database, fetching  # noqa: PLC0415 - slow imports

        path = to / "path"
        path.unlink(missing_ok=True)
        with database.connected(_database_uri(), PATIENCE_SECONDS) as connection:
            fetched = fetching.fetch_dump(
                connection, destination_of(at, service), name=name, scratch=to, where=f"{service} at {at}"
            )
        if fetched.dump is not None:
            path.write_text(str(fetched.dump), "utf-8")
        record = fetched.record
        described = record.model_dump(mode="json", include={"began", "bytes", "threads"}) if record else {}
        return {"result": fetched.result, "name": fetched.name} | described

    _do(work, tell)


def destination_of(at: str, service: str) -> Destination:
    """The destination for a service's backups at a place. Raises `ConfigError`."""
    from lgs_runtime.dumps.destination import Folder  # noqa: PLC0415 - slow imports
    from lgs_runtime.dumps.s3 import Bucket  # noqa: PLC0415

    if at.startswith("file:///"):
        return Folder(Path(at.removeprefix("file://")) / service)
    if at.startswith("s3://"):
        _bucket, *folders = at.removeprefix("s3://").rstrip("/").split("/")
        if {"", ".", ".."} & set(folders):
            raise ConfigError(f"--at: {at}: must have no folder that is empty, . or ..")
        return Bucket.open(f"{at.rstrip('/')}/{service}", os.environ)
    raise ConfigError(f"--at: {at}: must be file:///folder or s3://bucket/prefix")


def _database_uri() -> str:
    uri = os.environ.get("DATABASE_URI", "").strip()
    if not uri.startswith(("postgres://", "postgresql://")):
        raise ConfigError("DATABASE_URI: not set: must be postgresql://user:password@host:5432/database")
    return address(uri).uri


def _do(work: Callable[[], dict[str, Any]], tell: Path | None) -> None:
    from lgs_runtime.dumps.destination import DestinationFailed  # noqa: PLC0415 - slow imports

    try:
        report = json.dumps(work())
        if tell is not None:
            tell.write_text(report, "utf-8")
    except (ConfigError, InvalidRequest, NotFound, Conflict) as wrong:
        _end(2, wrong)
    except (RuntimeFault, DestinationFailed, OSError) as failed:
        _end(1, failed)
    print(report)  # noqa: T201


def _end(code: int, fault: Exception) -> None:
    typer.echo(str(fault).replace("\n", " "), err=True)
    raise typer.Exit(code) from fault
