"""A real redis-server on a free port of 127.0.0.1: nothing on disk, can be stopped and started again."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence

import redis

from support.server_program import ServerProgram


class RedisServer(ServerProgram):
    """One server, which starts empty: what it held is gone when it stops. `uri` names its database 0."""

    name = "Redis"
    stop_by = signal.SIGKILL

    def __init__(self) -> None:
        found = shutil.which("redis-server")
        if found is None:
            raise RuntimeError(
                "redis-server not found: the tests run on a real Redis; install the package `redis-server` "
                "or set LGS_TEST_REDIS_URI"
            )
        self._binary = found
        super().__init__()
        self.uri = f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> Sequence[str]:
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [*command, "--save", "", "--appendonly", "no"]

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
