"""What is measured: replicas of the runtime as processes of their own, on services of their own.

Everything is stopped when its context ends, also by a signal (see `stop_on_signals`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port, wait_until
from support.postgres import PostgresServer, fresh_database
from support.redis import RedisServer

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 30.0
STOPPING = (signal.SIGINT, signal.SIGTERM)
OURS = ("LGS_", "LANGSERVE_", "LANGGRAPH_", "LANGSMITH_", "LANGCHAIN_", "DATABASE_URI", "REDIS_URI")


@dataclass(frozen=True, slots=True)
class Target:
    """What a service stands on."""

    name: str
    postgres: bool = True
    redis: bool = False
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is ready. `watched`: pids whose processor time is of interest, by what they are."""

    addresses: list[tuple[str, int]]
    watched: dict[str, list[int]]


def stop_on_signals() -> None:
    """Ctrl-C and SIGTERM end this process as an exception does, so that what it started is stopped; also
    where a shell has started it in the background, which lets it ignore Ctrl-C. A line says so, and the exit
    code is that of shells. Whoever presses it again must wait: what is being stopped would be left over."""

    def stop(number: int, _frame: object) -> None:
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        # Not by `print`: it may be a `print` that was interrupted.
        os.write(2, f"\n{signal.Signals(number).name}: stopping what was started\n".encode())
        sys.exit(128 + number)

    for each in STOPPING:
        signal.signal(each, stop)


@contextmanager
def process(command: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is asked to stop at the end, and made to when it does not."""
    with log.open("ab") as file:
        started = subprocess.Popen(
            command, env=env, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def answering(
    command: Sequence[str], env: Mapping[str, str], log: Path, url: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers 200 at `url`. Raises `RuntimeError` with its log when it ends instead."""
    with process(command, env, log) as started:

        def ready() -> bool:
            if started.poll() is not None:
                raise RuntimeError(f"{command} ended: {log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        wait_until(ready, f"{url} answers (log in {log})", START_SECONDS)
        yield started


class Ground:
    """The servers that all targets share: PostgreSQL with its own defaults, and Redis when one is wanted."""

    def __init__(self, stack: ExitStack, targets: Sequence[Target], *, floors: bool = False) -> None:
        """`floors`: PostgreSQL is wanted in any case. `stack` stops everything."""
        self.folder = Path(tempfile.mkdtemp(prefix="lgs-bench-"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._postgres: PostgresServer | None = None
        self._redis: RedisServer | None = None
        if floors or any(target.postgres for target in targets):
            self._postgres = PostgresServer(settings=("max_connections=200",))
            stack.callback(self._postgres.remove)
            self._postgres.start()
        if any(target.redis for target in targets):
            self._redis = RedisServer()
            stack.callback(self._redis.remove)
            self._redis.start()

    @property
    def postgres_uri(self) -> str:
        """Of the server."""
        return self.postgres.uri

    @property
    def postgres(self) -> PostgresServer:
        """The server itself."""
        if self._postgres is None:
            raise RuntimeError("no target here has PostgreSQL")
        return self._postgres

    @property
    def redis(self) -> RedisServer:
        """The server itself."""
        if self._redis is None:
            raise RuntimeError("no target here has Redis")
        return self._redis

    def database(self) -> AbstractContextManager[str]:
        """A new database on it, gone after the context."""
        return fresh_database(self.postgres_uri)

    @property
    def environment(self) -> dict[str, str]:
        """That of this process without what would change a service."""
        return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}

    @contextmanager
    def serve(self, target: Target, graph: str, settings: Mapping[str, str]) -> Iterator[Service]:
        """The replicas of a target, ready, on a new database. `settings`: further variables."""
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            env = {**self.environment, "LGS_SOURCE": str(ROOT), "LGS_DATA_DIR": str(folder)}
            env |= {"LANGSERVE_GRAPHS": json.dumps({"agent": graph}), "LGS_LAME_DUCK_SECONDS": "0"}
            watched: dict[str, list[int]] = {"server": []}
            if target.postgres and self._postgres is not None:
                env["DATABASE_URI"] = stack.enter_context(fresh_database(self._postgres.uri))
                watched["database"] = [self._postgres.pid]
            if target.redis and self._redis is not None:
                env["REDIS_URI"] = self._redis.uri
                watched["redis"] = [self._redis.pid]
            ports = [free_port() for _ in range(target.replicas)]
            for port in ports:
                command = [sys.executable, "-m", "lgs_runtime.cli", "serve", "--port", str(port)]
                url = f"http://127.0.0.1:{port}/ready"
                replica = answering(command, {**env, **settings}, folder / f"{port}.log", url)
                watched["server"].append(stack.enter_context(replica).pid)
            yield Service([("127.0.0.1", port) for port in ports], watched)
