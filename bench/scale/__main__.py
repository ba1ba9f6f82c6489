"""`make scale`: how one operator does with very many services and pods, as a table.

The API server, etcd and Kubernetes' controllers are real; nodes and replicas are played
(`bench.scale.replicas`). The operator is started twice: for services that are new, and for services that are
all there.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

from bench.scale.ground import Ground, Operator, Requests, operator, played, real, until, writes

from controlplane.conftest import started
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SERVICE, SERVICE_OF_OURS, Manifest

PER_NAMESPACE = 50
AT_ONCE = 16
EDITS = 40
SETTLE_SECONDS = 30.0
LONGEST_SECONDS = 1800.0


@dataclass
class Row:
    """One line of the table."""

    name: str
    value: str
    target: str = ""


def namespace_of(number: int) -> str:
    """Where a service is."""
    return f"team-{number // PER_NAMESPACE}"


def secret(number: int) -> Manifest:
    """The database of a service."""
    head = {"name": f"database-{number}", "namespace": namespace_of(number)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": head, "stringData": {"uri": "postgres://db/x"}}


def service(number: int, replicas: int, **spec: Any) -> Manifest:
    """A service with a database of its own, and so many replicas at least."""
    return {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": f"service-{number}", "namespace": namespace_of(number)},
        "spec": {
            "image": "example.com/support:1",
            "persistence": {"postgres": {"uriSecret": {"name": f"database-{number}"}}},
            "scaling": {"minReplicas": replicas, "maxReplicas": replicas + 10},
        }
        | spec,
    }


async def each(numbers: range, work: Callable[[int], Awaitable[object]]) -> None:
    """Does it for all numbers, some at a time."""
    waiting = iter(numbers)

    async def worker() -> None:
        for number in waiting:
            await work(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(worker())


class Scale:
    """`services` with so many `replicas` each, of which `with_work` have runs all the time."""

    def __init__(self, ground: Ground, cluster: KubeClient, services: int, replicas: int) -> None:
        self._ground = ground
        self._cluster = cluster
        self._services = services
        self._replicas = replicas
        self.rows: list[Row] = []

    def add(self, name: str, value: str, target: str = "") -> None:
        """A row, shown at once as well."""
        self.rows.append(Row(name, value, target))
        print(f"  {name}: {value}", flush=True)

    async def make(self) -> None:
        """All namespaces, Secrets and services."""
        for number in range(0, self._services, PER_NAMESPACE):
            self._ground.make_namespace(namespace_of(number))

        async def one(number: int) -> None:
            for manifest in (secret(number), service(number, self._replicas)):
                await self._cluster.apply(manifest, manager="author")

        await each(range(self._services), one)

    async def come(self, running: Operator) -> tuple[float, float]:
        """Seconds until all are reconciled, and until all their replicas take work."""

        async def reconciled() -> bool:
            seen = await told(running)
            known = seen.get("lgs_operator_service_desired_replicas#", 0)
            return known >= self._services and seen.get("lgs_operator_due", 1) == 0

        async def ready() -> bool:
            seen = await told(running)
            return seen.get("lgs_operator_service_ready_replicas", 0) >= self._services * self._replicas

        first = await until(reconciled, "all are reconciled", LONGEST_SECONDS)
        return first, first + await until(ready, "all replicas take work", LONGEST_SECONDS)

    async def rests(self, running: Operator, seconds: float) -> None:
        """What it takes while nothing changes."""
        requests, before = Requests(self._ground.audit), await told(running)
        used, began = running.processor_seconds(), time.monotonic()
        await asyncio.sleep(seconds)
        passed = time.monotonic() - began
        share = (running.processor_seconds() - used) / passed
        after, counted = await told(running), requests.counted()
        scrapes = after["lgs_operator_scrapes_total"] - before["lgs_operator_scrapes_total"]
        minute = 60 / passed
        self.add("processor, steady", f"{share:.1%} of a core", "< 30 %")
        self.add("memory, steady", f"{running.mib():.0f} MiB", "< 400 MiB")
        self.add("writes a minute, steady", f"{writes(counted) * minute:.0f}", "0")
        self.add("requests to the API server a minute", f"{counted.total() * minute:.0f}")
        self.add("replicas asked for their metrics a second", f"{scrapes / passed:.0f}")
        self.add("most of these requests", _most(counted))

    async def edits(self) -> None:
        """Seconds from an edit of a manifest to the object that it is about."""
        seconds = []
        for count in range(EDITS):
            number, value = random.randrange(self._services), f"{count}"
            name, namespace = f"service-{number}", namespace_of(number)
            edited = {"network": {"serviceAnnotations": {"example.com/edit": value}}}
            began = time.monotonic()
            await self._cluster.merge(SERVICE_OF_OURS, namespace, name, {"spec": edited}, manager="author")

            async def in_effect(name: str = name, namespace: str = namespace, value: str = value) -> bool:
                found = await self._cluster.get(SERVICE, namespace, name) or {}
                given = found.get("metadata", {}).get("annotations", {})
                return bool(given.get("example.com/edit") == value)

            await until(in_effect, f"the edit of {name}", 60.0)
            seconds.append(time.monotonic() - began)
            await asyncio.sleep(0.2)
        cuts = quantiles(seconds, n=20)
        self.add("an edit until it is in effect, p50", f"{cuts[9]:.2f} s")
        self.add("an edit until it is in effect, p95", f"{cuts[18]:.2f} s", "< 1 s")


async def told(running: Operator) -> dict[str, float]:
    """Its metrics, empty while it does not answer."""
    if running.process.returncode is not None:
        raise RuntimeError(f"the operator ended with exit code {running.process.returncode}")
    try:
        return await running.series()
    except (OSError, KubeError, ValueError):
        return {}


async def _answers(cluster: KubeClient) -> bool:
    try:
        await cluster.list(SERVICE_OF_OURS, None)
    except KubeError:
        return False
    return True


def _most(counted: Counter[tuple[str, str]]) -> str:
    return ", ".join(f"{verb} {resource} {count}" for (verb, resource), count in counted.most_common(4))


def table(rows: list[Row]) -> str:
    """The rows as they stand in docs/scale.md."""
    lines = [f"| {row.name} | {row.value} | {row.target} |" for row in rows]
    return "\n".join(["| | measured | target |", "|---|---|---|", *lines])


async def play(asked: argparse.Namespace, folder: Path, on: AbstractAsyncContextManager[Ground]) -> list[Row]:
    """The whole measurement."""
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(on)
        cluster = await KubeClient.connect(str(ground.admin))
        stack.push_async_callback(cluster.close)
        scale = Scale(ground, cluster, asked.services, asked.pods)
        kubeconfig = ground.operator
        await until(partial(_answers, cluster), "the API server answers", 60.0)
        await scale.make()
        async with operator(kubeconfig, folder / "first.log") as running:
            requests = Requests(ground.audit)
            reconciled, ready = await scale.come(running)
            scale.add("new services: all reconciled", f"{reconciled:.1f} s")
            scale.add("new services: all replicas take work", f"{ready:.1f} s")
            scale.add("new services: requests to the API server", f"{requests.counted().total()}")
            await asyncio.sleep(SETTLE_SECONDS)
        async with operator(kubeconfig, folder / "second.log") as running:
            requests = Requests(ground.audit)
            reconciled, ready = await scale.come(running)
            used, counted = running.processor_seconds(), requests.counted()
            scale.add("after a start: all reconciled", f"{reconciled:.1f} s", "< 60 s")
            scale.add("after a start: all replicas known to take work", f"{ready:.1f} s")
            scale.add("after a start: processor", f"{used:.1f} s")
            scale.add("after a start: writes", f"{writes(counted)}", "0")
            scale.add("after a start: requests to the API server", f"{counted.total()}")
            scale.add("most of these requests", _most(counted))
            await asyncio.sleep(SETTLE_SECONDS)
            await scale.rests(running, asked.seconds)
            await scale.edits()
            scale.add("memory, at the end", f"{running.mib():.0f} MiB")
    return scale.rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10, help="of each service")
    parser.add_argument("--with-work", type=int, default=0, help="services that have runs all the time")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the steady measurement")
    parser.add_argument("--played", action="store_true", help="the API server is played, too")
    parser.add_argument("--logs", type=Path, help="folder to keep the logs in")
    asked = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = asked.logs or home
        folder.mkdir(parents=True, exist_ok=True)
        if asked.played:
            on = played(folder, asked.with_work)
        else:
            on = real(stack.enter_context(started(home / "plane")), folder, asked.with_work)
        rows = asyncio.run(play(asked, folder, on))
    print(
        f"\n{asked.services} services of {asked.pods} pods each, {asked.with_work} with work\n\n{table(rows)}"
    )


if __name__ == "__main__":
    main()
