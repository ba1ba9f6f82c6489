"""What `make scale` stands on: the API server of the tests, its nodes, and operators that are started and
ended. What the operator asked the API server for is in the audit log, under its account."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from bench.processes import cpu_seconds, resident_mib

from controlplane.controlplane_server import ControlPlane
from support.ports import free_port

ACCOUNT: Final = "operator"
NAMESPACE: Final = "default"
USER: Final = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
WRITES: Final = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True)
class Operator:
    """One that runs."""

    process: asyncio.subprocess.Process
    port: int

    def processor_seconds(self) -> float:
        """What it has used so far."""
        return cpu_seconds([self.process.pid])

    def mib(self) -> float:
        """The memory that it has."""
        return resident_mib([self.process.pid])

    async def series(self) -> dict[str, float]:
        """Its metrics by name, each the sum of its series, and as `name#` how many there are."""
        found: Counter[str] = Counter()
        url = f"http://127.0.0.1:{self.port}/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            lines = (await answer.text()).splitlines()
        for line in lines:
            if not line.startswith("#"):
                name = line.split("{")[0].split(" ")[0]
                found[name] += float(line.rsplit(" ", 1)[1])  # type: ignore[assignment]
                found[f"{name}#"] += 1
        return dict(found)


@asynccontextmanager
async def operator(kubeconfig: Path, log: Path) -> AsyncIterator[Operator]:
    """An operator of the whole cluster, with its settings as they are in the chart."""
    port = free_port()
    settings = os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "LGS_OPERATOR_NAMESPACES": "",
        "LGS_OPERATOR_PORT": str(port),
        "POD_NAMESPACE": NAMESPACE,
        "POD_NAME": "operator",
        # a machine that is shared may be busy for longer than the chart's 10 s
        "LGS_OPERATOR_LEASE_SECONDS": "60",
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lgs_operator.main", stdout=out, stderr=out, env=settings
        )
    try:
        yield Operator(process, port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(frozen=True)
class Ground:
    """An API server: kubeconfigs of its administrator and of the operator, and the log of what the operator
    asked it for."""

    admin: Path
    operator: Path
    audit: Path
    make_namespace: Callable[[str], object]


@asynccontextmanager
async def real(plane: ControlPlane, folder: Path, with_work: int) -> AsyncIterator[Ground]:
    """A real one, whose nodes are played."""
    account = _account(plane, folder)
    command = ("bench.scale.replicas", str(plane.kubeconfig), str(with_work))
    async with _process(command, folder / "nodes.log"):
        yield Ground(
            plane.kubeconfig, account, plane.audit, lambda name: plane.run("create", "namespace", name)
        )


@asynccontextmanager
async def played(folder: Path, with_work: int) -> AsyncIterator[Ground]:
    """One that is played, with its controllers and nodes."""
    port, audit, kubeconfig = free_port(), folder / "audit.log", folder / "played.conf"
    context = {"cluster": "played", "user": "operator", "namespace": NAMESPACE}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "played", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "operator", "user": {"token": "operator"}}],
        "contexts": [{"name": "played", "context": context}],
        "current-context": "played",
    }
    kubeconfig.write_text(json.dumps(config))
    audit.touch()
    async with _process(("bench.scale.played", str(port), str(audit), str(with_work)), folder / "played.log"):
        yield Ground(kubeconfig, kubeconfig, audit, lambda _: None)


@asynccontextmanager
async def _process(command: tuple[str, ...], log: Path) -> AsyncIterator[None]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, stdout=out, stderr=out)
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _account(plane: ControlPlane, folder: Path) -> Path:
    """A kubeconfig of the operator's account, whose requests are noted."""
    plane.run("create", "serviceaccount", ACCOUNT, "-n", NAMESPACE)
    subject = f"--serviceaccount={NAMESPACE}:{ACCOUNT}"
    plane.run("create", "clusterrolebinding", "operator", "--clusterrole=cluster-admin", subject)
    token = plane.run("create", "token", ACCOUNT, "-n", NAMESPACE, "--duration=4h").strip()
    path = folder / "operator.conf"
    plane.kubeconfig_for(token, path)
    return path


class Requests:
    """What the operator has asked for since this was made."""

    def __init__(self, audit: Path) -> None:
        self._audit = audit
        self._from = self._audit.stat().st_size

    def counted(self) -> Counter[tuple[str, str]]:
        """How often each verb and resource was asked for; Leases are left out."""
        found = Counter[tuple[str, str]]()
        with self._audit.open("rb") as lines:
            lines.seek(self._from)
            for line in lines:
                entry: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
                if entry.get("user", {}).get("username") != USER or "responseStatus" not in entry:
                    continue
                reference = entry.get("objectRef") or {}
                resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
                if resource != "leases":
                    found[entry["verb"], resource] += 1
        return found


def writes(requests: Counter[tuple[str, str]]) -> int:
    """How many of them change something."""
    return sum(count for (verb, _), count in requests.items() if verb in WRITES)


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float) -> float:
    """How many seconds it took. Raises `TimeoutError`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not await holds():
        if loop.time() - began > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)
    return loop.time() - began
