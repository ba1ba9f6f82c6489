"""The field of the crash tests: replicas as processes of their own, which share a port, on a PostgreSQL and a
Redis that they reach through proxies.

The clients' requests go to the shared port, so that a replica that dies takes none of them with it for long.
Steps leave their records in a file that no fault touches.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg

from chaos.proxy import Proxy
from e2e.harness.records import in_flight
from support.ports import PATIENCE_SECONDS, free_port, shared_port, wait_until
from support.postgres import PostgresServer
from support.redis import RedisServer

SUPPORT = Path(__file__).parents[2] / "examples" / "support"
GRAPHS = {"agent": "./graph.py:graph", "held": f"{Path(__file__).with_name('held.py')}:graph"}
LEASE_SECONDS = 4.0
LEASES_SECONDS = (LEASE_SECONDS, 4 * LEASE_SECONDS, 10 * LEASE_SECONDS)
"""A story in which no lease is to be lost is played again with a longer one where the machine stood still."""
FLEET = 3


@dataclass
class Replica:
    """One process of `lgs-runtime serve`. `url` is its own address, beside the shared one."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    role: str = "combined"

    def ready(self) -> bool:
        """Whether it takes work."""
        if self.process.poll() is not None:
            raise RuntimeError(f"replica {self.name} ended with {self.process.returncode}")
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@dataclass
class Fleet:
    """The replicas of one service. `environment` is added to that of each replica."""

    folder: Path
    environment: dict[str, str]
    replicas: list[Replica] = field(default_factory=list)
    started: int = 0
    _held: socket.socket = field(default_factory=shared_port)

    @property
    def port(self) -> int:
        """The port that all replicas share, theirs also while none of them lives."""
        port: int = self._held.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The address that all replicas share."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def records_path(self) -> Path:
        """Where the steps leave their records."""
        return self.folder / "steps.jsonl"

    def start(self, count: int = 1, *, port: int | None = None, **more: str) -> list[Replica]:
        """Starts replicas at once, at the port of all or at another; they are not ready yet."""
        return [self._start(self.port if port is None else port, more) for _ in range(count)]

    def _start(self, port: int, more: dict[str, str]) -> Replica:
        self.started += 1
        name, admin = f"replica-{self.started}", free_port()
        kept = {key: text for key, text in os.environ.items() if key not in {"DATABASE_URI", "REDIS_URI"}}
        env = {
            **kept,
            "LGS_SOURCE": str(SUPPORT),
            "LANGSERVE_GRAPHS": json.dumps(GRAPHS),
            "LGS_DATA_DIR": str(self.folder / "data"),
            "LGS_REPLICA_ID": name,
            "LGS_ADMIN_PORT": str(admin),
            "LGS_LEASE_SECONDS": str(LEASE_SECONDS),
            "LGS_DRAIN_SECONDS": "2",
            "LGS_LAME_DUCK_SECONDS": "0",
            "LGS_QUEUE_NORMAL": "5000",
            "STEP_RECORDS": str(self.records_path),
            **self.environment,
            **more,
        }
        command = [sys.executable, "-m", "lgs_runtime.cli", "serve", "--port", str(port), "--reuse-port"]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, env=env, cwd=self.folder, stdout=log, stderr=log)
        replica = Replica(name, f"http://127.0.0.1:{admin}", process, env.get("LGS_ROLE", "combined"))
        self.replicas.append(replica)
        return replica

    def wait_ready(self) -> None:
        """Returns when every replica takes work."""
        for replica in self.replicas:
            wait_until(replica.ready, f"{replica.name} is ready (log in {self.folder})")

    def at_work(self, seconds: float = PATIENCE_SECONDS) -> Replica:
        """A replica that is in the middle of a step, as soon as there is one: of several, that which began
        last. Raises `TimeoutError` after so long."""
        names = {replica.name: replica for replica in self.replicas}
        found: list[Replica] = []

        def look() -> bool:
            found[:] = [names[name] for name in in_flight(self.records()) if name in names][-1:]
            return bool(found)

        wait_until(look, f"a replica is in a step (records in {self.folder})", seconds)
        return found[0]

    def end(self, replica: Replica, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends a replica; `SIGKILL` gives it no time for anything."""
        self.replicas.remove(replica)
        replica.process.send_signal(number)
        replica.process.wait(timeout=PATIENCE_SECONDS)

    def replace(self, **more: str) -> None:
        """Ends all replicas, and starts as many with other settings."""
        count = len(self.replicas)
        for replica in list(self.replicas):
            self.end(replica, signal.SIGTERM)
        self.start(count, **more)
        self.wait_ready()

    def records(self) -> list[dict[str, Any]]:
        """What the steps have left so far. A line that a killed replica did not complete is left out."""
        if not self.records_path.exists():
            return []
        lines = self.records_path.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def close(self) -> None:
        """Kills what still runs."""
        for replica in list(self.replicas):
            self.end(replica)
        self._held.close()


class Field:
    """A fleet with everything it stands on, each part of which can be made to fail."""

    def __init__(self, folder: Path, server: PostgresServer, redis: RedisServer, **environment: str) -> None:
        self.server = server
        self.redis = redis
        self.to_database = Proxy(server.port)
        self.to_redis = Proxy(redis.port)
        self.fleet = Fleet(
            folder,
            {
                "DATABASE_URI": through(server.uri, self.to_database),
                "REDIS_URI": through(redis.uri, self.to_redis),
                **environment,
            },
        )

    def pause_database(self, seconds: float) -> None:
        """Every process of the server stands still for so long."""
        group = os.getpgid(self.server.pid)
        os.killpg(group, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.killpg(group, signal.SIGCONT)

    def unfinished(self) -> list[str]:
        """Runs that have not ended, and threads that are stuck, by the database's own account."""
        with psycopg.connect(self.server.uri) as connection:
            runs = connection.execute(
                "SELECT 'run ' || run_id || ' is ' || status FROM lgs_run WHERE ended_at IS NULL"
            ).fetchall()
            threads = connection.execute(
                "SELECT 'thread ' || thread_id || ' is ' || status FROM lgs_thread"
                " WHERE status NOT IN ('idle', 'interrupted', 'error')"
            ).fetchall()
        return [str(row[0]) for row in (*runs, *threads)]

    def close(self) -> None:
        """Ends the fleet and the proxies; the servers are their owners'."""
        self.fleet.close()
        self.to_database.close()
        self.to_redis.close()


def through(uri: str, proxy: Proxy) -> str:
    """The URI of a server, by way of a proxy."""
    parts = urlsplit(uri)
    user = f"{parts.username}@" if parts.username else ""
    return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}"))


@contextmanager
def open_field(
    folder: Path, replicas: int = FLEET, server: PostgresServer | None = None, **env: str
) -> Iterator[Field]:
    """A field whose replicas are ready, with servers of its own."""
    server, redis = server or PostgresServer(), RedisServer()
    try:
        server.start()
        redis.start()
        field = Field(folder, server, redis, **env)
        try:
            field.fleet.start(replicas)
            field.fleet.wait_ready()
            yield field
        finally:
            field.close()
    finally:
        redis.remove()
        server.remove()
