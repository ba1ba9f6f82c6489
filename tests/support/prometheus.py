"""Prometheus and its own tool, as judges of metrics, alerts and dashboards.
`tools/setup/prometheus.sh` fetches them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.ports import PATIENCE_SECONDS, free_port, wait_until


def program(name: str = "promtool") -> Path | None:
    """promtool, or prometheus; or None."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    fetched = cache / "lgs-toolchain" / "bin" / name
    return fetched if fetched.exists() else None


needed = pytest.mark.skipif(
    any(program(each) is None for each in ("promtool", "prometheus")),
    reason="prometheus not found: run tools/setup/prometheus.sh",
)


alertmanager_needed = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None,
    reason="prometheus-alertmanager not found: run tools/setup/system.sh alerts",
)


def complaints(page: str) -> list[str]:
    """What is wrong with a page of metrics, or against the conventions of names and units, one a line."""
    return _promtool("check", "metrics", stdin=page)[1].splitlines()


def check_rules(rules: Path) -> list[str]:
    """What is wrong with a file of rules, one a line."""
    code, said = _promtool("check", "rules", "--lint-fatal", str(rules))
    return said.splitlines() if code else []


def failures(rules: Path, tests: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """What of promtool's unit tests of rules is not as it should be; empty where all is."""
    plan = folder / "tests.yaml"
    document = {"rule_files": [str(rules)], "evaluation_interval": "15s", "tests": list(tests)}
    plan.write_text(yaml.safe_dump(document), "utf-8")
    code, said = _promtool("test", "rules", str(plan))
    return said if code else ""


def _promtool(*arguments: str, stdin: str = "") -> tuple[int, str]:
    tool = program()
    assert tool is not None
    done = subprocess.run([tool, *arguments], input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of a query at this moment. Raises `AssertionError` for one that can't be answered."""
        found: list[dict[str, Any]] = (await self._get("query", query=query))["result"]
        return found

    async def alerts(self) -> list[dict[str, Any]]:
        """What fires, or is about to."""
        found: list[dict[str, Any]] = (await self._get("alerts"))["alerts"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """All rules, with what came of their last evaluation."""
        return [rule for group in (await self._get("rules"))["groups"] for rule in group["rules"]]

    async def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
            answer = (await http.get(f"{self.url}/api/v1/{what}", params=parameters)).json()
        assert answer["status"] == "success", f"{what} {parameters}: {answer.get('error')}"
        found: dict[str, Any] = answer["data"]
        return found


@contextmanager
def running(
    folder: Path,
    jobs: Sequence[Mapping[str, Any]],
    rules: Sequence[Path] = (),
    alertmanager: str | None = None,
) -> Iterator[Prometheus]:
    """A Prometheus that reads these jobs each two seconds, and tells `alertmanager` (host and port) what
    fires. Its data are in `folder`."""
    told = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "scrape_configs": list(jobs),
        "rule_files": [str(each) for each in rules],
        "alerting": {"alertmanagers": told},
    }
    server = program("prometheus")
    assert server is not None
    log, file = folder / "prometheus.log", folder / "prometheus.yaml"
    file.write_text(json.dumps(config), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(server),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with _started(command, log, address):
        yield Prometheus(f"http://{address}")


@contextmanager
def alerting(folder: Path, receiver: str) -> Iterator[str]:
    """Debian's Alertmanager, which tells the receiver at this URL at once; its host and port."""
    config = {
        "route": {
            "receiver": "story",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "story", "webhook_configs": [{"url": receiver, "send_resolved": True}]}],
    }
    file, address = folder / "alertmanager.yaml", f"127.0.0.1:{free_port()}"
    file.write_text(json.dumps(config), "utf-8")
    command = [
        shutil.which("prometheus-alertmanager") or "",
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        # alone
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with _started(command, folder / "alertmanager.log", address):
        yield address


@contextmanager
def _started(command: Sequence[str], log: Path, address: str) -> Iterator[None]:
    """A program that is ready, and ended with the context."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_until(lambda: _is_ready(address), f"{command[0]} is ready (log in {log})")
        yield
    finally:
        process.terminate()
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/-/ready").status_code == 200
    except httpx.HTTPError:
        return False
