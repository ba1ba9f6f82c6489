"""A real redis-server on a free port of 127.0.0.1: nothing on disk, can be stopped and started again."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence

import redis
import redis.asyncio

from support.ports import PATIENCE_SECONDS, free_port, wait_until
from support.server_program import ServerProgram

CLUSTER = ["redis-cli", "--cluster"]
LONG_MILLISECONDS = 30_000
"""Longer than a server stands still by chance: another takes its place when a test says so."""


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
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            return False


def flush(uri: str) -> None:
    """Empties the database that `uri` names."""
    with redis.Redis.from_url(uri) as client:
        client.flushdb()


async def close_connections(server: RedisServer, kind: str = "normal") -> int:
    """Has a server close its connections of a kind, as an administrator would, but for those of a sentinel,
    which would take it for gone; how many there were."""
    async with redis.asyncio.Redis.from_url(server.uri, single_connection_client=True) as client:
        own, clients = await client.client_id(), await client.client_list(_type=kind)
        others = [each["id"] for each in clients if not each["name"].startswith("sentinel-")]
        closed = [each for each in others if int(each) != own]
        async with client.pipeline(transaction=False) as pipe:
            for each in closed:
                pipe.client_kill_filter(_id=each)
            await pipe.execute()
        return len(closed)


class RedisNode(RedisServer):
    """A server of a set. With `sentinel_of` it watches over that server's set instead, by the name `main`."""

    def __init__(self, *options: str, sentinel_of: RedisServer | None = None) -> None:
        super().__init__()
        self._options = options
        if sentinel_of is not None:
            (self.folder / "sentinel.conf").write_text(
                f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                f"sentinel monitor main 127.0.0.1 {sentinel_of.port} 1\n"
                f"sentinel down-after-milliseconds main {LONG_MILLISECONDS}\n"
                f"sentinel failover-timeout main {LONG_MILLISECONDS}\n"
            )

    def _command(self) -> Sequence[str]:
        if (self.folder / "sentinel.conf").exists():
            return [self._binary, str(self.folder / "sentinel.conf"), "--sentinel"]
        return [*super()._command(), *self._options]


class RedisCluster:
    """Three servers that share the keys, and a replica of the first of them."""

    def __init__(self) -> None:
        shared = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(LONG_MILLISECONDS))
        # The bus has a port of its own, which must be free too.
        self.nodes = [RedisNode(*shared, "--cluster-port", str(free_port())) for _ in range(4)]

    @property
    def uri(self) -> str:
        """Names two of the nodes."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[1:3])}"

    def start(self) -> None:
        """Returns when each node knows where all keys are."""
        for node in self.nodes:
            node.start()
        command = [
            *CLUSTER,
            "create",
            *(f"127.0.0.1:{node.port}" for node in self.nodes[:3]),
            "--cluster-yes",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        wait_until(lambda: all(_covers(node) for node in self.nodes[:3]), "the cluster covers all slots")
        first = self.nodes[0]
        with redis.Redis.from_url(first.uri) as client:
            identity = client.execute_command("CLUSTER", "MYID").decode()
        added = [f"127.0.0.1:{self.nodes[3].port}", f"127.0.0.1:{first.port}"]
        command = [*CLUSTER, "add-node", *added, "--cluster-slave", "--cluster-master-id", identity]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        wait_until(lambda: _replicas(first) == 1, "the replica follows its master")

    def miss_first(self) -> None:
        """The others take the first node, which is stopped or stands still, for failed within seconds,
        and its replica takes its place."""
        for node in self.nodes[1:]:
            with redis.Redis.from_url(node.uri) as client:
                client.config_set("cluster-node-timeout", "1000")

    def remove(self) -> None:
        """Stops all nodes."""
        for node in self.nodes:
            node.remove()


class RedisSentinel:
    """A master, a replica of it, and a sentinel."""

    def __init__(self) -> None:
        self.master = RedisNode()
        self.replica = RedisNode("--replicaof", f"127.0.0.1 {self.master.port}")
        self.sentinel = RedisNode(sentinel_of=self.master)

    @property
    def uri(self) -> str:
        """Names the sentinel and the master's name."""
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/main"

    def start(self) -> None:
        """Returns when the sentinel knows both."""
        for each in (self.master, self.replica):
            each.start()
        wait_until(lambda: _replicas(self.master) == 1, "the replica follows its master")
        self.sentinel.start()
        wait_until(self._knows, "the sentinel knows the replica")

    def miss_first(self) -> None:
        """The sentinel takes the master, which is stopped or stands still, for failed within seconds,
        and the replica takes its place."""
        settings = ("down-after-milliseconds", 500, "failover-timeout", 2000)
        with redis.Redis(port=self.sentinel.port) as client:
            client.execute_command("SENTINEL", "SET", "main", *settings)

    def remove(self) -> None:
        """Stops all of them."""
        for each in (self.sentinel, self.replica, self.master):
            each.remove()

    def _knows(self) -> bool:
        with redis.Redis(port=self.sentinel.port) as client:
            return bool(client.execute_command("SENTINEL", "REPLICAS", "main"))


def _replicas(server: RedisServer) -> int:
    with redis.Redis.from_url(server.uri) as client:
        told = client.info("replication")
        return sum(told[name]["state"] == "online" for name in told if name.startswith("slave"))


def _covers(node: RedisServer) -> bool:
    with redis.Redis.from_url(node.uri) as client:
        told: dict[str, str] = client.execute_command("CLUSTER INFO")
        return told["cluster_state"] == "ok"
