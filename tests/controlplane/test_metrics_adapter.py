"""Prometheus' real adapter, with the rules of docs/scaling.md, before a real Prometheus that reads some
replicas: the number that an HPA is told, and what it is told while nobody can tell it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.controlplane_server import ADMIN_TOKEN, ControlPlane
from support import prometheus
from support.documents import shown
from support.http_stub import QuietHandler, http_stub
from support.ports import free_port, wait_until

CACHE = Path(os.environ.get("LGS_KUBERNETES_HOME") or Path.home() / ".cache" / "lgs-cluster")
ADAPTER = CACHE / "adapter" / "bin" / "prometheus-adapter"
pytestmark = [
    pytest.mark.controlplane,
    prometheus.needed,
    pytest.mark.skipif(
        not ADAPTER.exists(), reason="the adapter is not here: tools/kubernetes/build.sh adapter"
    ),
]
METRIC = "lgs_runs_in_service"
PATH = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/default/{METRIC}"
QUEUE = 'lgs_queue_depth{priority="high"} 3\nlgs_queue_depth{priority="normal"} 30\n'


def page(in_use: int, queue: str = QUEUE, *, drains: bool = False) -> str:
    return f"lgs_slots_in_use {in_use}\nlgs_draining {int(drains)}\n{queue}"


@contextmanager
def replicas(pages: dict[str, str]) -> Iterator[str]:
    """The address of a server that answers with `pages`, by their names."""

    class Answers(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(pages[self.path.strip("/")].encode())

    with http_stub(Answers) as url:
        yield url.removeprefix("http://")


def jobs(address: str, names: list[str]) -> list[dict[str, Any]]:
    """A job for each, with the labels that the page's configuration gives it."""
    labels = {"namespace": "default", "lgs_dev_service": "support"}
    return [
        {
            "job_name": name,
            "metrics_path": f"/{name.partition('-')[0]}",
            "static_configs": [{"targets": [address], "labels": {**labels, "pod": name.partition("-")[0]}}],
        }
        for name in names
    ]


@contextmanager
def adapter(plane: ControlPlane, source: str, folder: Path) -> Iterator[str]:
    """The adapter's address, once it is ready."""
    rules, log = folder / "rules.yaml", folder / "adapter.log"
    rules.write_text(json.dumps(shown("scaling.md", "externalRules")))
    port = free_port()
    kubeconfig = str(plane.kubeconfig)
    command = [
        str(ADAPTER),
        f"--config={rules}",
        f"--prometheus-url={source}",
        "--metrics-relist-interval=2s",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder}",
        *(f"--{kind}kubeconfig={kubeconfig}" for kind in ("lister-", "authentication-", "authorization-")),
    ]
    url = f"https://127.0.0.1:{port}"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)
    try:
        wait_until(lambda: answered(url, "/readyz") is not None, f"the adapter is ready (log in {log})")
        yield url
    finally:
        process.terminate()
        process.wait()


def answered(url: str, path: str, **query: str) -> httpx.Response | None:
    try:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        answer = httpx.get(f"{url}{path}", params=query, headers=headers, verify=False)
    except httpx.HTTPError:
        return None
    return answer if answer.status_code == 200 else None


def told(url: str) -> list[str] | None:
    """The numbers that an HPA would get; None: an error."""
    answer = answered(url, PATH, labelSelector="lgs_dev_service=support")
    return None if answer is None else [each["value"] for each in answer.json()["items"]]


def test_the_adapter_tells_the_sum_and_nothing_while_nobody_can_tell_it(
    plane: ControlPlane, tmp_path: Path
) -> None:
    pages = {"a": page(5), "b": page(2), "c": page(50, drains=True)}
    with (
        replicas(pages) as address,
        prometheus.running(tmp_path, jobs(address, ["a", "a-again", "b", "c"])) as source,
        adapter(plane, source.url, tmp_path) as url,
    ):
        wait_until(lambda: told(url) == ["40"], "40 runs are there")
        for name in pages:
            pages[name] = page(1, queue="")
        wait_until(lambda: told(url) == [], "no number while the database is silent")
        for name in pages:
            pages[name] = page(7)
        wait_until(lambda: told(url) == ["54"], "54 runs are there")
