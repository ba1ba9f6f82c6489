"""The two servers, one at a time: `lgs-runtime serve` and `langgraph dev`, each in its own environment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port

NOWHERE = "http://127.0.0.1:9"
START_SECONDS = 120.0


class NotStartedError(Exception):
    """A server that did not come up; the last lines it said."""


@dataclass(frozen=True)
class Place:
    """Where one of the two servers of an application lives."""

    which: str  # "runtime" or "development"
    venv: Path
    config: Path  # its own copy's langgraph.json
    work: Path  # its database and its log

    def command(self, port: int) -> list[str]:
        """What is started."""
        where = ["--host", "127.0.0.1", "--port", str(port), "--config", str(self.config)]
        if self.which == "runtime":
            return [f"{self.venv}/bin/lgs-runtime", "serve", *where]
        quiet = ["--no-browser", "--no-reload", "--allow-blocking"]
        return [f"{self.venv}/bin/langgraph", "dev", *quiet, *where]


def environment(place: Place, application: dict[str, str], models: dict[str, str]) -> dict[str, str]:
    """Nothing of the caller's but the path: keys that are none, models that are the stub, no way out."""
    return {
        "PATH": f"{place.venv}/bin:{os.environ['PATH']}",
        "HOME": str(place.work),
        "LANG": "C.UTF-8",
        "LANGSMITH_TRACING": "false",
        "LANGCHAIN_TRACING_V2": "false",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1,localhost",
        "TAVILY_API_KEY": "tvly-none",
        "LGS_DATA_DIR": str(place.work / "data"),
        **models,
        **application,
    }


@contextmanager
def serving(place: Place, variables: dict[str, str]) -> Iterator[str]:
    """The server's address while the context is open. Raises `NotStartedError`."""
    place.work.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = place.work / "server.log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            place.command(port),
            cwd=place.config.parent,
            env=variables,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(process, address, log)
        yield address
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise NotStartedError(_tail(log))
        try:
            with urllib.request.urlopen(f"{address}/ok", timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise NotStartedError(f"no answer after {START_SECONDS:g} s: {_tail(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends what was started here, with its children."""
    for word in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, word)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-6:])[-900:]
