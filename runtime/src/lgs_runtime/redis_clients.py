"""Clients of a single Redis, a Sentinel set or a Cluster. Loaded only if one is configured, as the driver is
slow to import.

A client of a Cluster follows its nodes by itself (MOVED, ASK, a failover); one of Sentinel asks the sentinels
for the master whenever it opens a connection. All failures are exceptions in `GONE`; among these,
`is_refusal` finds those where Redis is available but refuses one command, or a command on one key.

A closed connection (since it was idle, by a proxy, by an administrator) is no outage: it is opened again, and
the command is sent again. So a command may run twice, and must be written to allow that.
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
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
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
from redis.exceptions import TimeoutError as RedisTimeoutError

from lgs_runtime.redis_addresses import RedisAddress, parse_redis

NO_REDIS: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What the driver raises when it reads something that is no answer, or the answer to another command."""
GONE: Final = (RedisError, RedisClusterException, OSError, TimeoutError, *NO_REDIS)
"""What a client raises when Redis is unreachable, unavailable for the moment, or refuses a command; and when
something else answers in its place."""
_OUTAGES: Final = (AskError, ClusterError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_OUTAGE_CODES: Final = re.compile(
    r"\b(BUSY|CLUSTERDOWN|MASTERDOWN|MISCONF|MOVED|NOREPLICAS|OOM|READONLY)\b|\bunauthenticated\b"
)
"""Outages that the driver has no exception class for, or that Redis 6 reports for a command in a script.
Without a password, Redis calls a long command a *protocol error* (unauthenticated)."""
RESP: Final = 2
"""Version of the Redis protocol. With 3, the driver turns maintenance notifications on, and hands out closed
connections as if such a notification were waiting to be read."""
CLUSTER_TRIES: Final = 3
CLUSTER_CONNECTIONS: Final = 256
"""Most connections to one node; callers can't wait for a free one in a client of a Cluster."""


def is_refusal(failed: BaseException) -> bool:
    """Whether Redis is available but refuses this one command, because of its key's type, its arguments, or
    its user's permissions. Any other failure is an outage, which affects all keys or those of a node."""
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
    """A client for a URI; Redis need not be reachable yet. Callers wait for one of `most_connections`, up to
    `timeout_seconds`. Without `resends`, a closed connection is an error, except in a Cluster."""
    address = parse_redis(uri)
    shared: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "health_check_interval": health_seconds,
        "protocol": RESP,
    }
    if address.is_cluster:
        return _cluster(address, shared)
    # Retried once, and at once: a Redis that is gone refuses the second connection too. A silent one is not
    # asked again.
    shared["retry"] = Retry(NoBackoff(), 1 if resends else 0, (RedisConnectionError,))
    if address.is_sentinel:
        return _sentinel(address, shared, most_connections, timeout_seconds)
    pool = BlockingConnectionPool.from_url(
        uri, max_connections=most_connections, timeout=timeout_seconds, **shared
    )
    return Redis.from_pool(pool)


async def close(client: Any) -> None:
    """Closes a client that is no longer used. Raises what `GONE` lists."""
    if isinstance(client, _Cluster):
        client.ended = True
    await client.aclose()


def _cluster(address: RedisAddress, shared: dict[str, Any]) -> Any:
    return _Cluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.nodes],
        username=address.username,
        password=address.password,
        ssl=address.tls,
        # If a part of the cluster is lost, the others go on.
        require_full_coverage=False,
        max_connections=CLUSTER_CONNECTIONS,
        # Each MOVED is applied by itself. Else the driver closes all connections after every few of them.
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
    """The driver's client, hardened: all callers share its connections, and the driver would close them all
    when one caller is cancelled while it discovers the nodes, or finds the cluster down."""

    ended = False
    """Whether the client was closed for good: after the driver's own `aclose` it would connect again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failing: dict[str, None] = {}
        """Names of the nodes that have not answered since they failed, in the order in which they failed."""
        self._discovery = asyncio.Lock()

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        """Discovers the nodes, and completes that even if the caller that began it is cancelled."""
        discovery = asyncio.ensure_future(self._discovered(*args, **kwargs))
        # Retrieves the exception, so that asyncio does not complain when no caller waits any more.
        discovery.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(discovery)

    async def _discovered(self, *args: Any, **kwargs: Any) -> Any:
        async with self._discovery:
            if self._initialize and not self.ended:
                await self._discover(*args, **kwargs)
        if self.ended:
            # The client was closed before there was anything to close.
            await self.aclose()
            raise RedisConnectionError("the client is closed")
        return self

    async def _discover(self, *args: Any, **kwargs: Any) -> None:
        while True:
            try:
                await self._ask_in_turn(*args, **kwargs)
            except (RedisConnectionError, RedisTimeoutError):
                # The nodes are known, but the one that the driver asks for its commands does not answer: the
                # first master, which would be asked again each time.
                masters = self.get_primaries()
                if not masters or masters[0].name in self._failing:
                    raise
                self.find_anew(masters[0].name)
            else:
                return

    async def _ask_in_turn(self, *args: Any, **kwargs: Any) -> None:
        """Asks those that have failed, one by one, only if no other node answers: the driver asks all that it
        knows in random order."""
        nodes = self.nodes_manager
        known = dict(nodes.startup_nodes)
        failing = [name for name in reversed(self._failing) if name in known]
        turns = [[name for name in known if name not in failing], *([name] for name in failing)]
        for turn in filter(None, turns):
            nodes.startup_nodes = {name: known[name] for name in turn}
            try:
                await super().initialize(*args, **kwargs)
            except (RedisClusterException, LookupError):
                # None answers, or those that do have no slots: the driver would forget all that it knows.
                nodes.startup_nodes = dict(known)
                if turn is turns[-1]:
                    raise
            else:
                break
        left = {name: known[name] for name in failing if name not in nodes.nodes_cache and name not in turn}
        if len(nodes.slots_cache) < REDIS_CLUSTER_HASH_SLOTS:
            nodes.startup_nodes |= left
            return
        for name, node in left.items():
            self._failing.pop(name, None)
            await node.disconnect()

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """The answer to a command. Raises what `GONE` lists."""
        try:
            return await super().execute_command(*args, **kwargs)
        except AttributeError:
            # A connection that another caller has just closed has no socket to write to.
            pass
        except RedisConnectionError:
            # The driver retries by itself, except for commands to a certain node.
            if not kwargs.get("target_nodes"):
                raise
        try:
            return await super().execute_command(*args, **kwargs)
        except AttributeError as closed:
            raise RedisConnectionError("the connection was closed meanwhile") from closed

    async def _execute_command(self, target_node: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = await super()._execute_command(target_node, *args, **kwargs)
        except (asyncio.CancelledError, RedisConnectionError, RedisTimeoutError):
            # Callers wait no longer than the driver, which notices a failover only by its own time-out:
            # without this, a node that stands still would be asked for ever.
            self.find_anew(target_node.name)
            raise
        self._failing.pop(target_node.name, None)
        return answer

    def find_anew(self, failed: str) -> None:
        """Has the nodes discovered again before the next command. The nodes that have failed and not answered
        since are asked last, and the one that has failed for the longest time last of all: a node that stands
        still would hold up the discovery, whose callers would take their own nodes for failed ones."""
        self._failing.setdefault(failed)
        for name in reversed(self._failing):
            self.nodes_manager.move_node_to_end_of_cached_nodes(name)
        self._initialize = True


class _WaitingPool(SentinelConnectionPool):
    """A pool that waits for a connection when all are in use, as the one for a single server does."""

    def wait(self, most: int, seconds: float) -> None:
        """Sets the limits: at most `most` connections, and at most `seconds` to wait for one."""
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
        """Returns a connection to the pool."""
        # The driver also releases a connection that it could not connect and never handed out.
        if connection in self._held:
            self._held.discard(connection)
            self._free.release()
        await super().release(connection)
