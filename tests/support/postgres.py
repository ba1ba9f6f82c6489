"""A real PostgreSQL server on a free port of 127.0.0.1, started from the binaries of the machine.

`PostgresServer` can be stopped and started again on the same port and data, for tests of faults. Postgres
refuses to run as root, so its processes are then those of the user `postgres`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from support.ports import free_port, wait_until

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


class PostgresServer:
    """One server with its own data folder. `uri` names its database `postgres`."""

    def __init__(self, within: Path | None = None, settings: Sequence[str] = SPEED) -> None:
        """`within`: the folder that holds its folder. `settings`: those of the server, as `name=value`."""
        self.settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="lgs-postgres-", dir=within))
        self.port = free_port()
        self.uri = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        if self._user:
            shutil.chown(self.folder, self._user)
        self._make_data()

    def _make_data(self) -> None:
        command = [binary("initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust"]
        command += ["--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self.folder)

    def start(self) -> None:
        """Starts the server and returns when it answers."""
        command = [binary("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", str(self.folder)]
        for setting in self.settings:
            command += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self.folder, start_new_session=True
            )
        wait_until(self._answers, f"PostgreSQL on port {self.port} answers (log in {self.folder}/log)")

    @property
    def pid(self) -> int:
        """The server's first process, which leads a group of its own."""
        if self._process is None:
            raise RuntimeError(f"PostgreSQL on port {self.port} does not run")
        return self._process.pid

    def alive(self) -> bool:
        """Whether its first process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self, *, crash: bool = False) -> None:
        """Stops it and cuts every connection; `crash` leaves it no time to write anything."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None

    def remove(self) -> None:
        """Stops it and deletes its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"postgres ended: {(self.folder / 'log').read_text()[-2000:]}")
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
    """The URI of a new empty database of a server, dropped at the end whoever is still connected."""
    name = f"lgs_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_uri, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield urlunsplit(urlsplit(server_uri)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server_uri, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
