"""A real PgBouncer on a free port of 127.0.0.1, in front of a PostgreSQL.

It has what Debian's own file sets and nothing that would make it easier: no `ignore_startup_parameters`,
twenty server connections, a hundred clients."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

import psycopg

from support.server_program import ServerProgram

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


class PgBouncer(ServerProgram):
    """One pooler before the server of a URI, with the users of its own list (`postgres`, a password)."""

    name = "PgBouncer"
    drops_root = True
    stop_by = signal.SIGTERM

    def __init__(self, server_uri: str, mode: str, **settings: object) -> None:
        """`mode`: transaction or session. `settings`: of its file, besides the usual ones."""
        super().__init__()
        self._server = urlsplit(server_uri)
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

    def _command(self) -> Sequence[str]:
        return [binary(), str(self.folder / "pgbouncer.ini")]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.uri(urlunsplit(self._server)), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
