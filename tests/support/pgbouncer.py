"""A real PgBouncer on a free port of 127.0.0.1, in front of a PostgreSQL.

It has what Debian's own file sets and nothing that would make it easier: no `ignore_startup_parameters`,
twenty server connections, a hundred clients."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from support.ports import free_port, wait_until

PASSWORD = "let-me-in"


def binary() -> str:
    """Path of the program. Fails with the package to install when it is missing."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise RuntimeError("pgbouncer not found: install the package `pgbouncer`")
    return found


def keeps_statements() -> bool:
    """Whether the installed one can keep prepared statements in transaction mode (from 1.21 on)."""
    said = subprocess.run([binary(), "--version"], check=True, capture_output=True, text=True).stdout
    major, minor = said.split()[1].split(".")[:2]
    return (int(major), int(minor)) >= (1, 21)


class PgBouncer:
    """One pooler before the server of a URI, with the users of its own list (`postgres`, a password)."""

    def __init__(self, server_uri: str, mode: str, **settings: object) -> None:
        """`mode`: transaction or session. `settings`: of its file, besides the usual ones."""
        self.folder = Path(tempfile.mkdtemp(prefix="lgs-pgbouncer-"))
        self.port = free_port()
        self._server = urlsplit(server_uri)
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "md5",
            "auth_file": self.folder / "userlist.txt",
            "pool_mode": mode,
            **({"max_prepared_statements": 200} if keeps_statements() else {}),
            **settings,
        }
        section = "".join(f"{name} = {value}\n" for name, value in lines.items())
        there = f"host={self._server.hostname} port={self._server.port}"
        (self.folder / "pgbouncer.ini").write_text(f"[databases]\n* = {there}\n[pgbouncer]\n{section}")
        (self.folder / "userlist.txt").write_text(f'"postgres" "{PASSWORD}"\n"guest" "{PASSWORD}"\n')
        if self._user:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, self._user)

    def uri(self, server_uri: str, *, user: str = "postgres", password: str = PASSWORD) -> str:
        """A database of the server, through the pooler."""
        place = f"{user}:{password}@127.0.0.1:{self.port}"
        return urlunsplit(urlsplit(server_uri)._replace(netloc=place))

    def start(self) -> None:
        """Starts it and returns when it answers."""
        command = [binary(), str(self.folder / "pgbouncer.ini")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self.folder, start_new_session=True
            )
        wait_until(self._answers, f"PgBouncer on port {self.port} answers (log in {self.folder}/log)")

    def stop(self) -> None:
        """Stops it and cuts every connection."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None

    def remove(self) -> None:
        """Stops it and deletes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"pgbouncer ended: {(self.folder / 'log').read_text()[-2000:]}")
        try:
            psycopg.connect(self.uri(urlunsplit(self._server)), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
