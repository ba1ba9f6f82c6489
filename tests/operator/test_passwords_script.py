"""The managed database takes over what its Secret says: the script of its pod, on a real server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lgs_operator.desired.credentials import Credentials, Login
from lgs_operator.desired.passwords_script import passwords_script
from support.postgres import PostgresServer

FIRST, SECOND = Login("lgs", "first's"), Login("lgs_turn", 'se"c\\ond')


class Pod:
    """A server that asks for passwords over TCP and lets its own user in over the socket, and its Secret."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.script = passwords_script(
            database="lgs",
            folder=str(folder / "secret"),
            socket=str(server.folder),
            marker=str(folder / "marker"),
        )
        self.mounts = 0
        (folder / "secret").mkdir()

    def mount(self, credentials: Credentials) -> None:
        """As the kubelet does it: a new folder, and a link that is moved to it."""
        self.mounts += 1
        version = self.folder / "secret" / f"..{self.mounts}"
        version.mkdir()
        for path in (self.folder / "secret").glob("[a-z]*"):
            path.unlink()
        for name, value in credentials.values().items():
            (version / name).write_text(value)
            (self.folder / "secret" / name).symlink_to(f"..data/{name}")
        link = self.folder / "secret" / "..new"
        link.symlink_to(version.name)
        link.rename(self.folder / "secret" / "..data")

    def check(self) -> int:
        """One check of the kubelet; the exit code."""
        environment = os.environ | {"PGPORT": str(self.server.port)}
        return subprocess.run(["/bin/sh", "-c", self.script], env=environment, check=False).returncode

    def lets_in(self, login: Login) -> bool:
        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=self.server.port,
                dbname="lgs",
                user=login.role,
                password=login.password,
            ) as connection:
                row = connection.execute("SELECT current_user").fetchone()
                assert row == ("lgs",), "both roles are the same to what they make"
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    running.start()
    with psycopg.connect(running.uri, autocommit=True) as admin:
        admin.execute("CREATE ROLE lgs SUPERUSER LOGIN")
        admin.execute("CREATE DATABASE lgs OWNER lgs")
    rules = running.folder / "data" / "pg_hba.conf"
    rules.write_text("local all all trust\nhost all postgres all trust\nhost all all all scram-sha-256\n")
    yield running
    running.remove()


@pytest.fixture
def pod(server: PostgresServer, tmp_path: Path) -> Pod:
    if not server.alive():
        server.start()
    with psycopg.connect(server.uri, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM RESET ALL")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("DROP ROLE IF EXISTS lgs_turn")
        admin.execute("ALTER ROLE lgs PASSWORD 'initial'")
    return Pod(server, tmp_path)


def test_a_secret_that_was_lost_and_made_again_opens_the_database(pod: Pod) -> None:
    pod.mount(Credentials(FIRST))

    assert pod.check() == 0

    assert pod.lets_in(FIRST)
    assert not pod.lets_in(Login("lgs", "initial"))


def test_in_a_rotation_both_passwords_are_valid_until_the_old_one_is_void(pod: Pod) -> None:
    pod.mount(Credentials(FIRST))
    pod.check()

    pod.mount(Credentials(SECOND, previous=FIRST))
    pod.check()
    during = pod.lets_in(FIRST), pod.lets_in(SECOND)
    pod.mount(Credentials(SECOND))
    pod.check()

    assert during == (True, True)
    assert (pod.lets_in(FIRST), pod.lets_in(SECOND)) == (False, True)


def test_what_the_second_role_makes_belongs_to_the_first(pod: Pod) -> None:
    pod.mount(Credentials(SECOND, previous=FIRST))
    pod.check()
    address = f"host=127.0.0.1 port={pod.server.port} dbname=lgs"

    with psycopg.connect(address, user=SECOND.role, password=SECOND.password, autocommit=True) as second:
        second.execute("CREATE TABLE made ()")
    with psycopg.connect(address, user=FIRST.role, password=FIRST.password, autocommit=True) as first:
        first.execute("DROP TABLE made")


def test_a_secret_is_taken_over_once(pod: Pod) -> None:
    pod.mount(Credentials(FIRST))
    pod.check()
    with psycopg.connect(pod.server.uri, autocommit=True) as admin:
        admin.execute("ALTER ROLE lgs PASSWORD 'by hand'")

    assert pod.check() == 0

    assert pod.lets_in(Login("lgs", "by hand")), "a look costs nothing where nothing is new"


def test_no_password_is_in_the_servers_log(pod: Pod) -> None:
    with psycopg.connect(pod.server.uri, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("ALTER SYSTEM SET log_min_duration_statement = 0")
        admin.execute("SELECT pg_reload_conf()")
    secret = Login("lgs", "unforgettable")

    pod.mount(Credentials(secret))
    pod.check()

    assert pod.lets_in(secret)
    assert "unforgettable" not in (pod.server.folder / "log").read_text()


def test_a_server_that_is_not_there_is_not_ready_and_one_without_a_secret_is(pod: Pod) -> None:
    assert pod.check() == 0

    pod.server.stop()

    assert pod.check() != 0
