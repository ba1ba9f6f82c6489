"""Plays the nodes: gives the runtime's pods an address and a state, and answers for their metrics.

Each pod has an address of its own in 127.0.1.0/24, where a real HTTP server answers `/metrics` at the
runtime's port; tests that run beside this one have other addresses.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import CONFIG_MAP, POD
from lgs_operator.naming import RUNTIME_PORT

ADDRESSES = range(2, 255)


@dataclass
class Load:
    """What the pods say in their metrics: each serves its share of a steady stream of runs."""

    answers: bool = True
    per_second: float = 0.0
    run_seconds: float = 1.0
    waiting: int = 0
    slots: int = 10
    since: float = field(default_factory=time.monotonic)
    before: float = 0.0
    opened: tuple[str, ...] = ()
    """Graphs whose circuits are open."""
    left: dict[str, float] = field(default_factory=dict)
    """What is left of budgets, by their names."""
    failing: dict[str, float] = field(default_factory=dict)
    """The share of its runs that fail, by revision."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What a run takes, by revision; others take `run_seconds`."""
    busy: dict[str, int] = field(default_factory=dict)
    """Slots that long runs have, beside those of the stream, by revision."""
    pinned: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Threads and runs that are pinned, by revision."""
    next_due: float | None = None
    """Seconds until the next delayed run or cron is due."""

    def serves(self, *, per_second: float, run_seconds: float, waiting: int) -> None:
        """From now on each pod gets so many runs."""
        self.before = self._arrived()
        self.since, self.per_second = time.monotonic(), per_second
        self.run_seconds, self.waiting = run_seconds, waiting

    def idle(self) -> None:
        """From now on nothing arrives and nothing waits."""
        self.serves(per_second=0.0, run_seconds=self.run_seconds, waiting=0)

    def text(self, *, executes: bool = True, revision: str = "") -> str:
        """The Prometheus text of one pod; one that executes no runs has no slots."""
        arrived = self._arrived()
        failed = int(arrived * self.failing.get(revision, 0))
        slots = self.slots if executes else 0
        in_use = min(slots, round(self.per_second * self.run_seconds) + self.busy.get(revision, 0))
        due = "" if self.next_due is None else f"lgs_queue_next_due_seconds {self.next_due}\n"
        seconds = self.seconds.get(revision, self.run_seconds)
        histograms = (
            "".join(
                f'{name}_bucket{{le="{bound}"}} {arrived}\n'
                for name in ("lgs_run_wait_seconds", "lgs_run_latency_seconds")
                for bound in ("10", "+Inf")
            )
            + "".join(
                f'lgs_run_execution_seconds_bucket{{le="{bound}"}} {arrived * (seconds <= float(bound))}\n'
                for bound in ("0.1", "1", "2", "10", "+Inf")
            )
            + "".join(
                f"{name}_sum {arrived * seconds}\n{name}_count {arrived}\n"
                for name in ("lgs_run_wait_seconds", "lgs_run_execution_seconds", "lgs_run_latency_seconds")
            )
        )
        return (
            f"lgs_slots {slots}\n{due}"
            f"lgs_slots_in_use {in_use}\n"
            f'lgs_queue_depth{{priority="normal"}} {self.waiting}\n'
            f'lgs_queue_oldest_seconds{{priority="normal"}} {1 if self.waiting else 0}\n'
            "lgs_queue_blocked 0\n"
            f'lgs_runs_arrived_total{{priority="normal"}} {arrived}\n'
            'lgs_runs_rejected_total{priority="normal"} 0\n'
            f'lgs_runs_finished_total{{status="success"}} {arrived - failed}\n'
            f'lgs_runs_finished_total{{status="error"}} {failed}\n'
            "lgs_draining 0\n"
            "lgs_event_loop_lag_seconds 0\n"
            f"{histograms}"
            + "".join(
                f'lgs_circuit_state{{circuit="{graph}",kind="graph",state="open"}} 1.0\n'
                for graph in self.opened
            )
            + "".join(
                f'lgs_pinned_threads{{revision="{name}"}} {threads}\n'
                f'lgs_pinned_runs{{revision="{name}"}} {runs}\n'
                for name, (threads, runs) in self.pinned.items()
            )
            + "".join(f'lgs_budget_left{{budget="{name}"}} {left}\n' for name, left in self.left.items())
        )

    def _arrived(self) -> float:
        return self.before + int((time.monotonic() - self.since) * self.per_second)


class FakeKubelet:
    """Runs as a context; what it is set to holds for all pods of the runtime, at once."""

    def __init__(self, cluster: KubeClient, namespace: str) -> None:
        self.load = Load()
        self.database_id: str | None = None
        self._cluster = cluster
        self._namespace = namespace
        self._servers: dict[str, tuple[str, web.AppRunner]] = {}
        self._shown: dict[str, Any] = {}
        self._state: Callable[[str], dict[str, Any]] = _running
        self._missing: set[str] = set()
        self._code: dict[str, str] = {}
        self._broken: str | None = None
        self._most: dict[str, int] = {}
        self._started: dict[str, set[str]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> FakeKubelet:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        (ended,) = await asyncio.gather(self._task, return_exceptions=True)
        for _address, server in self._servers.values():
            await server.cleanup()
        if isinstance(ended, Exception):
            raise ended

    def runs(self) -> None:
        """The containers run and are ready."""
        self._state = _running

    def waits(self, reason: str, message: str) -> None:
        """The containers can't start."""
        self._state = lambda _: _status(False, {"waiting": {"reason": reason, "message": message}})

    def lacks(self, image: str) -> None:
        """This image can't be had."""
        self._missing.add(image)

    def has(self, image: str) -> None:
        """This image can be had again."""
        self._missing.discard(image)

    def imports_fail(self, text: str) -> None:
        """Containers that find this text in the ConfigMap that they mount end again and again. Each pod reads
        it when it starts, as Python does."""
        self._broken = text

    def lets_start(self, revision: str, most: int) -> None:
        """No more pods of this revision than these get ready."""
        self._most[revision] = most

    def crashes(self, code: int, message: str, reason: str = "Error") -> None:
        """The containers end again and again."""
        self._state = lambda _: _crashed(code, message, reason)

    async def _run(self) -> None:
        while True:
            with suppress(KubeError):  # what was not answered is asked again
                await self._look()
            await asyncio.sleep(0.1)

    async def _look(self) -> None:
        pods, _ = await self._cluster.list(
            POD, self._namespace, labels="app.kubernetes.io/component in (runtime, api)"
        )
        for pod in pods:
            await self._show(pod)
        for gone in self._servers.keys() - {pod["metadata"]["name"] for pod in pods}:
            # It is forgotten once it is closed: the end may come in the middle of that, and connections
            # that stay open are answered from here when the next kubelet has the address.
            await self._servers[gone][1].cleanup()
            del self._servers[gone]

    async def _show(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        if name not in self._servers:
            component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
            revision = pod["metadata"]["labels"].get("lgs.dev/revision", "")
            self._servers[name] = await self._serve(executes=component == "runtime", revision=revision)
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
        is_missing = pod["spec"]["containers"][0]["image"] in self._missing
        status = _status(False, waiting) if is_missing else self._state(self._servers[name][0])
        if self._broken is not None and self._broken in await self._imported(pod):
            status = _crashed(1, f"./graph.py: {self._broken}")
        if self._shown.get(name) == status:
            return
        if status["phase"] == "Running" and not self._may_start(pod):
            return
        head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": self._namespace}}
        try:
            await self._cluster.apply(head | {"status": status}, manager="fake-kubelet", sub="status")
        except KubeError as error:
            if not error.not_found:
                raise
        self._shown[name] = status

    def _may_start(self, pod: dict[str, Any]) -> bool:
        revision = pod["metadata"]["labels"].get("lgs.dev/revision", "")
        started = self._started.setdefault(revision, set())
        if len(started - {pod["metadata"]["name"]}) >= self._most.get(revision, len(ADDRESSES)):
            return False
        started.add(pod["metadata"]["name"])
        return True

    async def _imported(self, pod: dict[str, Any]) -> str:
        """The code that the pod found when it started; empty without a ConfigMap."""
        name = pod["metadata"]["name"]
        sources = [each["configMap"] for each in pod["spec"]["volumes"] if each["name"] == "source"]
        if sources and name not in self._code:
            found = await self._cluster.get(CONFIG_MAP, self._namespace, sources[0]["name"]) or {}
            self._code[name] = "".join(found.get("data", {}).values())
        return self._code.get(name, "")

    async def _serve(self, *, executes: bool, revision: str) -> tuple[str, web.AppRunner]:
        async def metrics(_: web.Request) -> web.Response:
            if not self.load.answers:
                return web.Response(status=500)
            return web.Response(text=self.load.text(executes=executes, revision=revision))

        async def ready(_: web.Request) -> web.Response:
            answer = {"ready": True, "checks": {"database": "ok"}, "database_id": self.database_id}
            return web.json_response(answer)

        app = web.Application()
        app.add_routes([web.get("/metrics", metrics), web.get("/ready", ready)])
        server = web.AppRunner(app, access_log=None)
        await server.setup()
        try:
            return await _listen(server), server
        except BaseException:
            await server.cleanup()
            raise


async def _listen(server: web.AppRunner) -> str:
    """An address that nobody has, where the server listens from now on."""
    for last in ADDRESSES:
        try:
            await web.TCPSite(server, f"127.0.1.{last}", RUNTIME_PORT).start()
        except OSError as taken:
            if taken.errno != errno.EADDRINUSE:
                raise
        else:
            return f"127.0.1.{last}"
    raise RuntimeError(f"port {RUNTIME_PORT} is taken at every address of 127.0.1.0/24")


def _crashed(code: int, message: str, reason: str = "Error") -> dict[str, Any]:
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return _status(False, {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, last=ended)


def _running(address: str) -> dict[str, Any]:
    return _status(True, {"running": {}}, address=address)


def _status(
    ready: bool, state: dict[str, Any], *, last: dict[str, Any] | None = None, address: str | None = None
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "runtime",
        "image": "example.com/support:1",
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
        "state": state,
        "lastState": last or {},
    }
    status: dict[str, Any] = {
        "phase": "Running" if ready else "Pending",
        "conditions": [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")],
        "containerStatuses": [container],
    }
    return status | ({"podIP": address, "podIPs": [{"ip": address}]} if address else {})
