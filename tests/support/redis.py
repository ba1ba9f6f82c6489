"""A real redis-server on a free port of 127.0.0.1: nothing on disk, can be stopped and started again."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import redis

from support.ports import free_port, wait_until


class RedisServer:
    """One server. `uri` names its database 0."""

    def __init__(self) -> None:
        found = shutil.which("redis-server")
        if found is None:
            raise RuntimeError(
                "redis-server not found: the tests run on a real Redis; install the package `redis-server` "
                "or set LGS_TEST_REDIS_URI"
            )
        self._binary = found
        self.folder = Path(tempfile.mkdtemp(prefix="lgs-redis-"))
        self.port = free_port()
        self.uri = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, empty, and returns when it answers."""
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, f"Redis on port {self.port} answers (log in {self.folder}/log)")

    @property
    def pid(self) -> int:
        """The server's process."""
        if self._process is None:
            raise RuntimeError(f"Redis on port {self.port} does not run")
        return self._process.pid

    def stop(self) -> None:
        """Stops it at once; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def remove(self) -> None:
        """Stops it and deletes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.uri, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.exceptions.ConnectionError:
            return False


def flush(uri: str) -> None:
    """Empties the database that `uri` names."""
    with redis.Redis.from_url(uri) as client:
        client.flushdb()
