"""An application, served by a process of `lgs-runtime serve` for as long as tests need it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.ports import PATIENCE_SECONDS, free_port, wait_until


class ServedApplication:
    """The process, while the context is open; stopped at its end, and waited for."""

    def __init__(self, config: Path, folder: Path, variables: Mapping[str, str]) -> None:
        """`config`: its langgraph.json; it works, and logs, in `folder`."""
        self.log = folder / "server.log"
        own = {"LGS_CONFIG": str(config), "LGS_DATA_DIR": str(folder)}
        self.variables = {**os.environ, **own, **variables}
        self.folder = folder

    def __enter__(self) -> str:
        """The address at which it is served."""
        port = free_port()
        command = [sys.executable, "-m", "lgs_runtime.cli", "serve", "--port", str(port)]
        with self.log.open("w") as sink:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.variables, stdout=sink, stderr=subprocess.STDOUT
            )
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: self._ready(url), f"{self.variables['LGS_CONFIG']} served ({self.log})")
        return url

    def _ready(self, url: str) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"it did not start: {self.log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=2):
                return True
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
