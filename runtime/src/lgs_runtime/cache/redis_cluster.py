"""The entries of the response cache in a Redis Cluster. Loaded only where one is configured.

A node that is gone, hangs, is full or has come to follow another one makes only its own keys unavailable. No
call waits for it twice: a task checks every `CHECK_SECONDS` whether its keys are served again, by any node.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from redis.exceptions import AskError, RedisClusterException, TryAgainError

from lgs_runtime.cache.redis import MOST_CONNECTIONS, TIMEOUT_SECONDS, RedisEntries, answered, milliseconds
from lgs_runtime.cache.shared import SharedCacheRefused, SharedCacheUnavailable
from lgs_runtime.cancelling import cancelled
from lgs_runtime.redis_clients import GONE

CHECK_SECONDS: Final = 0.5
NO_NODE: Final = "no node"
"""Stands for the node of a slot that no node serves."""
log = structlog.get_logger(__name__)


class ClusterEntries(RedisEntries):
    """A `SharedCache` in a Redis Cluster."""

    def __init__(self, uri: str, channel: str) -> None:
        super().__init__(uri, channel)
        self._turns = asyncio.Semaphore(MOST_CONNECTIONS)
        self._away: dict[str, asyncio.Task[None]] = {}
        """The nodes that are currently unusable, by name, and the tasks that check whether they are back."""

    async def ping(self) -> None:
        """Checks that a node answers: a node that is away makes only its own keys unreadable."""
        async with answered():
            await self._pinged.initialize()
            await self._pinged.ping(target_nodes=self._one_of(self._pinged))

    async def close(self) -> None:
        """Closes the connections."""
        while left := [task for task in self._away.values() if not task.done()]:
            await cancelled(left)
        await super().close()

    @asynccontextmanager
    async def _asked(self, key: str) -> AsyncIterator[None]:
        node = self._node_of(key)
        if node in self._away:
            raise SharedCacheRefused(f"{node} is away")
        try:
            async with answered():
                yield
        except SharedCacheUnavailable as gone:
            # A healthy node refuses a slot that is being migrated.
            if node and not isinstance(gone.__cause__, AskError | TryAgainError):
                self._gone(node, key, str(gone))
            if node:
                raise SharedCacheRefused(str(gone)) from gone
            raise

    def _node_of(self, key: str) -> str:
        """The name of the node that has a key; empty while no node is known."""
        try:
            node = self._redis.get_node_from_key(key)
        except RedisClusterException:
            return NO_NODE if self._redis.get_nodes() else ""
        return "" if node is None else str(node.name)

    def _gone(self, node: str, key: str, reason: str) -> None:
        if node not in self._away:
            log.warning("cache.redis_node_gone", node=node, reason=reason)
            self._away[node] = asyncio.create_task(self._until_back(node, key), name="cache-redis-node")

    async def _until_back(self, node: str, key: str) -> None:
        """Waits until this node's keys are served again, by it or by another one."""
        # A key in the same slot as the one that failed.
        probe = f"{self._channel}-probe:{key[key.index('{') : key.index('}') + 1]}"
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                async with answered():
                    await self._pinged.set(probe, b"", px=milliseconds(TIMEOUT_SECONDS))
            except SharedCacheUnavailable:
                continue
            except SharedCacheRefused:
                pass
            log.info("cache.redis_node_back", node=node)
            # Another node may serve them now, which only this check knows.
            self._redis.find_anew(node)
            del self._away[node]
            return

    def _one_of(self, redis: Any) -> Any:
        """A random node that is not known to be away."""
        nodes = redis.get_primaries()
        if not nodes:
            raise SharedCacheUnavailable("no node is known")
        return random.choice([node for node in nodes if node.name not in self._away] or nodes)

    def _subscriber(self, redis: Any) -> Any:
        # A message published at one node reaches all nodes.
        return redis.pubsub(node=self._one_of(redis))

    async def _publish(self, message: str) -> None:
        await self._redis.initialize()
        node = self._one_of(self._redis)
        await self._redis.execute_command("PUBLISH", self._channel, message, target_nodes=node)

    async def _cleared(self, prefix: str, **where: Any) -> int:
        await self._redis.initialize()
        gone, left = 0, [NO_NODE] if not self._redis.get_primaries() else []
        for node in self._redis.get_primaries():
            if node.name in self._away:
                left.append(node.name)
                continue
            try:
                gone += await super()._cleared(prefix, target_nodes=node)
            except GONE as failed:
                left.append(f"{node.name} ({failed})")
        if left:
            raise SharedCacheRefused(f"{', '.join(left)}: keeps what it has")
        return gone

    async def _at_once(self, commands: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """The answers to commands, which the nodes execute at the same time. A command that is refused, or
        whose node is away, has None; if all are, or the whole Cluster is unavailable, that is raised."""
        found = await asyncio.gather(*map(self._in_turn, commands), return_exceptions=True)
        failed = [each for each in found if isinstance(each, BaseException)]
        if failed and (len(failed) == len(found) or not isinstance(failed[0], SharedCacheRefused)):
            raise failed[0]
        return [None if isinstance(each, BaseException) else each for each in found]

    async def _in_turn(self, command: tuple[Any, ...]) -> Any:
        key = command[3] if command[0] == "EVAL" else command[1]
        # All at once would each open a connection of their own.
        async with self._turns, self._asked(key):
            return await self._redis.execute_command(*command)
