"""The nodes and the replicas of `make scale`, in a process of their own: pods are ready at once, each at an
address of its own in 127.64.0.0/10, where it answers `/metrics` and `/ready` from memory. The pages are those
of the real runtime.

    python -m bench.scale.replicas KUBECONFIG [SERVICES_WITH_WORK]
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import time
from typing import Any, Final

from bench.processes import allow_connections

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kinds import POD, Manifest
from lgs_operator.naming import OURS, RUNTIME_PORT, SERVICE_LABEL
from lgs_operator.scaling.exposition import READ
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Priority

WORKERS: Final = 16
READY: Final = b'{"ready": true, "checks": {"database": "ok"}}'
QUEUE: Final = (
    "\n".join(
        [
            *(f'lgs_queue_depth{{priority="{each.value}"}} 0.0' for each in Priority),
            *(f'lgs_queue_oldest_seconds{{priority="{each.value}"}} 0.0' for each in Priority),
            "lgs_queue_blocked 0.0",
        ]
    )
    + "\n"
)


class Pages:
    """What replicas answer: those of an idle service, and those of one with work, whose counters grow."""

    def __init__(self) -> None:
        self._idle, self._busy = Metrics(50), Metrics(50)
        self._in_use = 0
        self._busy.watch_slots(lambda: self._in_use)
        self.idle = self.busy = b""

    async def run(self) -> None:
        """Makes the pages anew each second."""
        self.idle = _answer(await self._idle.render(names=READ) + QUEUE.encode())
        while True:
            for _ in range(5):
                self._busy.arrived(Priority.NORMAL)
                self._busy.claimed(Priority.NORMAL, 0.01)
                self._busy.finished("success", 0.8, 0.81)
            self._in_use = 4
            self.busy = _answer(await self._busy.render(names=READ) + QUEUE.encode())
            await asyncio.sleep(1)


class Answering(asyncio.Protocol):
    """One connection to one replica."""

    def __init__(self, pages: Pages, *, works: bool) -> None:
        self._pages = pages
        self._works = works
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers a request; each comes in one piece."""
        if data.startswith(b"GET /metrics"):
            self._transport.write(self._pages.busy if self._works else self._pages.idle)
        else:
            self._transport.write(_answer(READY))


class Addresses:
    """The addresses of replicas, of which each is served from when it is given away. The first `with_work`
    services have runs all the time."""

    def __init__(self, pages: Pages, with_work: int) -> None:
        self._pages = pages
        self._with_work = with_work
        self._given = 0
        self._serving: list[asyncio.Task[asyncio.Server]] = []

    def new(self, service: str) -> str:
        """An address for another replica of the service."""
        address, listening = self._free()
        works = int(service.removeprefix("service-")) < self._with_work
        serving = asyncio.get_running_loop().create_server(
            lambda: Answering(self._pages, works=works), sock=listening
        )
        self._serving.append(asyncio.create_task(serving))
        return address

    def _free(self) -> tuple[str, socket.socket]:
        """The next address that nobody has: another measurement may run beside this one."""
        while True:
            self._given += 1
            high, low = divmod(self._given, 250)
            address = f"127.{64 + high // 250}.{high % 250}.{low + 1}"
            try:
                return address, socket.create_server((address, RUNTIME_PORT))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise


class Nodes:
    """Makes each pod ready, and serves its address."""

    def __init__(self, cluster: KubeClient, addresses: Addresses) -> None:
        self._cluster = cluster
        self._addresses = addresses
        self._new: asyncio.Queue[Manifest] = asyncio.Queue()
        self._known: set[str] = set()

    def changed(self, pod: Manifest) -> None:
        """A pod came or changed."""
        name = pod["metadata"]["name"]
        if name not in self._known and "deletionTimestamp" not in pod["metadata"] and "spec" in pod:
            self._known.add(name)
            self._new.put_nowait(pod)

    async def run(self) -> None:
        """Starts pods until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            pod = await self._new.get()
            try:
                await self._start(pod)
            except KubeError as error:
                if not error.not_found:
                    raise

    async def _start(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        address = self._addresses.new(metadata["labels"][SERVICE_LABEL])
        head = {"name": metadata["name"], "namespace": metadata["namespace"]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": head, "status": _status(address)}
        await self._cluster.apply(body, manager="nodes", sub="status")


def _status(address: str) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    container = {
        "name": "runtime",
        "image": "example.com/support:1",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    return {
        "phase": "Running",
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("Ready", "ContainersReady")
        ],
        "containerStatuses": [container],
        "podIP": address,
        "podIPs": [{"ip": address}],
    }


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def main(kubeconfig: str, with_work: int) -> None:
    """Plays the nodes until it is stopped."""
    allow_connections()
    cluster, pages = await KubeClient.connect(kubeconfig), Pages()
    nodes = Nodes(cluster, Addresses(pages, with_work))
    pods = Informer(
        cluster, POD, namespace=None, labels=OURS, changed=nodes.changed, group_label=SERVICE_LABEL
    )
    async with asyncio.TaskGroup() as tasks:
        for each in (pages.run(), nodes.run(), pods.run()):
            tasks.create_task(each)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
