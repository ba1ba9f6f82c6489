"""The operator as its users run it: processes of their own, against the API server of the tests."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from controlplane.controlplane_server import ControlPlane
from controlplane.operator_process import Forked, OperatorProcess
from controlplane.operator_process import by_command as started_by_command
from lgs_operator.naming import CLASS_LABEL
from support.ports import free_port
from support.waiting import until


@dataclass
class Running:
    """One operator process. `log` is the file of its output."""

    process: OperatorProcess
    port: int
    history_port: int
    page_port: int
    log: Path

    async def metric(self, name: str, label: str = "") -> float:
        """The value of one of its metrics, or of its series with a label such as `result="failed"`."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.split("{")[0].split(" ")[0] == name and label in line
        )

    async def reconciles(self, times: int = 1) -> None:
        """Returns when so many more reconciliations have ended."""
        before = await self.metric("lgs_operator_reconciles_total")

        async def ended() -> bool:
            return await self.metric("lgs_operator_reconciles_total") >= before + times

        await until(ended, "the operator does not look again")

    async def history(self, path: str) -> dict[str, Any]:
        """What it answers of the last 24 hours."""
        url = f"http://127.0.0.1:{self.history_port}/api/{path}"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            found: dict[str, Any] = await answer.json() if answer.status == 200 else {}
            return found

    async def shows(self, name: str, value: float) -> None:
        """Returns when a metric has this value."""

        async def seen() -> bool:
            return await self.metric(name) == value

        await until(seen, f"{name} does not become {value}")

    async def readiness(self) -> tuple[int, str]:
        """What it answers at `/readyz`; status 0 while it does not."""
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{self.port}/readyz") as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            return 0, str(error)

    async def leads(self) -> bool:
        """It holds the Lease."""
        try:
            return await self.metric("lgs_operator_leading") == 1
        except aiohttp.ClientError:
            return False


class Operators:
    """Starts operators that serve one namespace and share a Lease in it."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self._plane = plane
        self._namespace = namespace
        self._folder = folder
        self._all: list[Running] = []
        self._cluster_wide = False

    async def start(
        self,
        *,
        kubeconfig: Path | None = None,
        leads: bool = True,
        env: dict[str, str] | None = None,
        by_command: bool = False,
    ) -> Running:
        """A new operator; returns when it leads, or at once. `env` are settings that differ. Without
        `by_command` its imports are those of a process that is copied."""
        port, history_port, page_port = free_port(), free_port(), free_port()
        number = len(self._all)
        log = self._folder / f"operator-{number}.log"
        self._cluster_wide |= (env or {}).get("LGS_OPERATOR_NAMESPACES") == ""
        settings = (
            os.environ
            | {
                "KUBECONFIG": str(kubeconfig or self._plane.kubeconfig),
                "LGS_OPERATOR_NAMESPACES": self._namespace,
                "LGS_OPERATOR_PORT": str(port),
                "LGS_OPERATOR_HISTORY_PORT": str(history_port),
                "LGS_OPERATOR_PAGE_PORT": str(page_port),
                "LGS_OPERATOR_SCALE_INTERVAL": "0.3",
                "LGS_OPERATOR_LEASE_SECONDS": "60",
                "POD_NAMESPACE": self._namespace,
                "POD_NAME": f"operator-{number}",
                "LGS_OPERATOR_CLAIM_SECONDS": "30",
                "LGS_OPERATOR_SECRETS_SECONDS": "1",
                "LGS_RUNTIME_IMAGE": "stock-runtime:1",
            }
            | (env or {})
        )
        process = await started_by_command(settings, log) if by_command else Forked(settings, log)
        running = Running(process, port, history_port, page_port, log)
        self._all.append(running)
        if leads:
            await until(running.leads, lambda: f"operator does not lead: {log.read_text()[-3000:]}")
        return running

    async def kill(self, running: Running, lease: str = "lgs-operator") -> None:
        """Kills one. Its Lease then ends soon; while it lived, it kept that however busy the machine was."""
        running.process.kill()
        await running.process.wait()
        soon = json.dumps({"spec": {"leaseDurationSeconds": 1}})
        self._plane.run("patch", "lease", lease, "-n", self._namespace, "--type=merge", "-p", soon)

    async def stop_all(self) -> None:
        """Ends all that still run. A claim on the whole cluster, which outlives its operator, goes with them:
        the installation of the next test would wait for its end."""
        for running in self._all:
            if running.process.returncode is None:
                running.process.terminate()
        for running in self._all:
            await running.process.wait()
        if self._cluster_wide:
            self._plane.run("delete", "lease", "-n", "kube-system", "-l", CLASS_LABEL)
