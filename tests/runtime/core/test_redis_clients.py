"""Clients of Redis leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lgs_runtime.redis_clients import GONE, close, connect
from support.waiting import until

SLOTS = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n"


@dataclass
class OneNode:
    """A Cluster of one node, that says where the slots are once it is `free` to."""

    port: int = 0
    asked: int = 0
    opened: int = 0
    under_way: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client closes it."""
        self.opened += 1
        self.under_way += 1
        try:
            while head := await reader.readline():
                words = []
                for _ in range(int(head[1:])):
                    length = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(length + 2))[:-2].upper())
                if words[:2] == [b"CLUSTER", b"SLOTS"]:
                    self.asked += 1
                    await self.free.wait()
                    writer.write(SLOTS % self.port)
                else:
                    writer.write(b"*0\r\n" if words[0] == b"COMMAND" else b"+OK\r\n")
        finally:
            self.under_way -= 1
            writer.close()


@pytest.fixture
async def node() -> AsyncIterator[OneNode]:
    one = OneNode()
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


@pytest.fixture
async def told() -> AsyncIterator[list[dict[str, Any]]]:
    """What asyncio has to say of what is left, but for what earlier tests have left."""
    found: list[dict[str, Any]] = []
    gc.collect()
    loop = asyncio.get_running_loop()
    usual = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    loop.set_exception_handler(usual)


async def test_a_client_that_is_closed_as_it_discovers_the_nodes_of_a_cluster_leaves_no_connection(
    node: OneNode, told: list[dict[str, Any]]
) -> None:
    client = connect(f"redis+cluster://127.0.0.1:{node.port}", most_connections=1, timeout_seconds=60.0)
    discovers = asyncio.create_task(client.initialize())
    await until(lambda: node.asked == 1)

    discovers.cancel()
    await asyncio.gather(discovers, return_exceptions=True)
    await close(client)
    node.free.set()

    await until(lambda: node.under_way == 0)
    del client, discovers
    gc.collect()
    assert not told


async def test_a_client_that_was_closed_connects_no_more(node: OneNode) -> None:
    node.free.set()
    client = connect(f"redis+cluster://127.0.0.1:{node.port}", most_connections=1, timeout_seconds=60.0)
    await client.initialize()
    await close(client)
    opened = node.opened

    with pytest.raises(GONE, match="closed"):
        await client.get("a")

    assert (node.opened, node.under_way) == (opened, 0)
