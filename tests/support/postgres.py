"""A real PostgreSQL server on a free port of 127.0.0.1, started from the binaries of the machine.

`PostgresServer` can be stopped and started again on the same port and data, for tests of faults. Postgres
refuses to run as root, so its processes are then those of the user `postgres`.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from support.server_program import ServerProgram

SPEED = ("fsync=off", "full_page_writes=off", "max_connections=200")
"""A crash of the server, as against one of the machine, loses nothing of what was committed."""


def binary(name: str) -> str:
    """Path of a server program. Fails with the package to install when it is missing."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        raise RuntimeError(
            f"{name} not found: the tests run on a real PostgreSQL; install the package `postgresql` "
            "or set LGS_TEST_POSTGRES_URI"
        )
    return found


class PostgresServer(ServerProgram):
    """One server with its own data folder. `uri` names its database `postgres`."""

    name = "PostgreSQL"
    drops_root = True
    stop_by = signal.SIGINT

    def __init__(self, within: Path | None = None, settings: Sequence[str] = SPEED) -> None:
        """`within`: the folder that holds its folder. `settings`: those of the server, as `name=value`."""
        self.settings = settings
        super().__init__(within)
        self.uri = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        if self._user:
            shutil.chown(self.folder, self._user)
        self._make_data()

    def _make_data(self) -> None:
        command = [binary("initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust"]
        command += ["--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self.folder)

    def stop(self, *, crash: bool = False) -> None:
        """Stops it and cuts every connection; `crash` leaves it no time to write anything."""
        self._end(signal.SIGQUIT if crash else self.stop_by)

    def _command(self) -> Sequence[str]:
        command = [binary("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", str(self.folder)]
        for setting in self.settings:
            command += ["-c", setting]
        return command

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.uri, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class PostgresStandby(PostgresServer):
    """A standby of another server, whose whole data it follows until it is promoted."""

    def __init__(self, primary: PostgresServer) -> None:
        self._primary = primary
        super().__init__()

    def _make_data(self) -> None:
        command = [binary("pg_basebackup"), "-D", str(self.folder / "data"), "-h", "127.0.0.1", "-R"]
        command += ["-p", str(self._primary.port), "-U", "postgres", "--checkpoint=fast", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self.folder)

    def promote(self) -> None:
        """Makes it a primary, and returns when it is one."""
        with psycopg.connect(self.uri, autocommit=True) as admin:
            admin.execute("SELECT pg_promote(true, 60)")


@contextmanager
def fresh_database(server_uri: str) -> Iterator[str]:
    """The URI of a new empty database of a server, dropped at the end even if clients are still connected."""
    name = f"lgs_test_{uuid.uuid4().hex[:12]}"
    _administer(server_uri, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server_uri)._replace(path=f"/{name}"))
    finally:
        _administer(server_uri, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _administer(server_uri: str, statement: str) -> None:
    """The server itself waits no longer than five seconds for the processes to end that still use a database
    (an autovacuum, one that it has just told to end)."""
    with psycopg.connect(server_uri, autocommit=True) as admin:
        for left in reversed(range(12)):
            try:
                admin.execute(statement.encode())
                return
            except psycopg.errors.ObjectInUse:
                if not left:
                    raise
