"""Clients of Redis, wherever it is. Loaded only where one is configured: the driver takes long to import.

A client of a Cluster follows its nodes by itself (MOVED, ASK, a failover); one of Sentinel asks the
sentinels for the master with each connection that it opens. What goes wrong meanwhile is one of `GONE`; of
these `is_refusal` finds what Redis refuses of one command, or for one key, while it is available.

A connection that is closed (since it was idle, by a proxy, by an administrator) is no outage: it is opened
anew, and the command sent again. So a command may be done twice, and is written to bear that.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AskError,
    ClusterError,
    DataError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from lgs_runtime.redis_addresses import RedisAddress, parse_redis

NO_REDIS: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What the driver raises as it reads what is no answer, or one to another question."""
GONE: Final = (RedisError, RedisClusterException, OSError, TimeoutError, *NO_REDIS)
"""What a client raises for a Redis that is not there, or not just now, or refuses a command; and for what
answers in its place."""
_OUTAGES: Final = (AskError, ClusterError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_OUTAGE_CODES: Final = re.compile(
    r"\b(BUSY|CLUSTERDOWN|MASTERDOWN|MISCONF|MOVED|NOREPLICAS|OOM|READONLY)\b|\bunauthenticated\b"
)
"""Where the driver has no class for it, and where Redis 6 reports it for a command in a script. Without a
password a long command is a *protocol error*."""
RESP: Final = 2
"""The protocol. With 3 the driver turns notifications of maintenance on, and hands out connections that were
closed as if such a notification were there to be read."""
CLUSTER_TRIES: Final = 3
CLUSTER_CONNECTIONS: Final = 256
"""To one node at most; a client of a Cluster has no queue for more."""


def is_refusal(failed: BaseException) -> bool:
    """Whether Redis is there, and refuses this one command: for the type of its key, its arguments, or what
    its user may do. Anything else is an outage: it holds for all keys, or those of a node, for a while."""
    if not isinstance(failed, (ResponseError, DataError)) or isinstance(failed, _OUTAGES):
        return False
    return not _OUTAGE_CODES.search(str(failed))


def connect(
    uri: str,
    *,
    most_connections: int,
    timeout_seconds: float,
    health_seconds: float = 0,
    resends: bool = True,
) -> Any:
    """A client for a URI; Redis need not be there yet. A burst waits for one of `most_connections`. Without
    `resends` a connection that is closed is an error, but in a Cluster."""
    address = parse_redis(uri)
    shared: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "health_check_interval": health_seconds,
        "protocol": RESP,
    }
    if address.is_cluster:
        return _cluster(address, shared)
    # At once, and once: a Redis that is gone refuses the second connection, too. One that is silent is not
    # asked again.
    shared["retry"] = Retry(NoBackoff(), 1 if resends else 0, (RedisConnectionError,))
    if address.is_sentinel:
        return _sentinel(address, shared, most_connections, timeout_seconds)
    pool = BlockingConnectionPool.from_url(
        uri, max_connections=most_connections, timeout=timeout_seconds, **shared
    )
    return Redis.from_pool(pool)


async def close(client: Any) -> None:
    """Closes a client that nobody uses any more. Raises what `GONE` lists."""
    if isinstance(client, _Cluster):
        client.ended = True
    await client.aclose()


def _cluster(address: RedisAddress, shared: dict[str, Any]) -> Any:
    return _Cluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.nodes],
        username=address.username,
        password=address.password,
        ssl=address.tls,
        # Of a cluster that has lost a part, the other parts go on.
        require_full_coverage=False,
        max_connections=CLUSTER_CONNECTIONS,
        # Each MOVED is learned by itself. Every so many of them the driver would close all connections.
        reinitialize_steps=0,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), CLUSTER_TRIES),
        **shared,
    )


def _sentinel(address: RedisAddress, shared: dict[str, Any], most: int, timeout_seconds: float) -> Any:
    asked = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "protocol": RESP,
        "retry": Retry(NoBackoff(), 1, (RedisConnectionError,)),
    }
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        list(address.nodes),
        sentinel_kwargs={**asked, "ssl": address.tls} if address.tls else asked,
        username=address.username,
        password=address.password,
        db=address.database,
        **shared,
    )
    options = {**sentinels.connection_kwargs, "ssl": address.tls}
    pool = _WaitingPool(address.master, sentinels, **options)  # type: ignore[no-untyped-call]
    pool.wait(most, timeout_seconds)
    return Redis.from_pool(pool)


class _Cluster(RedisCluster):
    """The driver's client, which shares its connections among all callers, and closes them all when one
    caller is cancelled during the discovery of the nodes, or finds the cluster down."""

    ended = False
    """Whether nobody uses it any more: after the driver's own `aclose` it connects anew."""

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        """Discovers the nodes, to the end, even if the caller that began it is cancelled."""
        discovery = asyncio.ensure_future(self._discovered(*args, **kwargs))
        # Where nobody waits any more, nobody is told how it ended either.
        discovery.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(discovery)

    async def _discovered(self, *args: Any, **kwargs: Any) -> Any:
        if not self.ended:
            await super().initialize(*args, **kwargs)
        if self.ended:
            # It was closed meanwhile, when there was nothing to close yet.
            await self.aclose()
            raise RedisConnectionError("the client is closed")
        return self

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """The answer to a command. Raises what `GONE` lists."""
        try:
            return await super().execute_command(*args, **kwargs)
        except AttributeError:
            # A connection that another caller has just closed has no socket to write to.
            pass
        except RedisConnectionError:
            # The driver tries again by itself, but for what a certain node is asked.
            if not kwargs.get("target_nodes"):
                raise
        try:
            return await super().execute_command(*args, **kwargs)
        except AttributeError as closed:
            raise RedisConnectionError("the connection was closed meanwhile") from closed

    async def _execute_command(self, target_node: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._execute_command(target_node, *args, **kwargs)
        except asyncio.CancelledError:
            # Who asks waits no longer than the driver, which learns of a failover by its own time-out alone:
            # a node that stands still would be asked for ever.
            self.find_anew(target_node.name)
            raise

    def find_anew(self, failed: str) -> None:
        """Has the nodes discovered again before the next command, and asks one that failed last."""
        self.nodes_manager.move_node_to_end_of_cached_nodes(failed)
        self._initialize = True


class _WaitingPool(SentinelConnectionPool):
    """A pool that waits for a connection when all are in use, as the one for a single server does."""

    def wait(self, most: int, seconds: float) -> None:
        """At most so many connections, and so long for one."""
        self._free = asyncio.Semaphore(most)
        self._seconds = seconds
        self._held: set[Any] = set()

    async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """A connection to the master. Raises what `GONE` lists."""
        async with asyncio.timeout(self._seconds):
            await self._free.acquire()
        try:
            connection = await super().get_connection(*args, **kwargs)  # type: ignore[no-untyped-call]
        except BaseException:
            self._free.release()
            raise
        self._held.add(connection)
        return connection

    async def release(self, connection: Any) -> None:
        """Takes a connection back."""
        # The driver gives one back too that it could not connect, and never handed out.
        if connection in self._held:
            self._held.discard(connection)
            self._free.release()
        await super().release(connection)
