"""A server program with a port and a folder of its own, which can be stopped and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from support.ports import PATIENCE_SECONDS, free_port, wait_until


class ServerProgram:
    """What is common to them; a subclass knows the command, and what it is to answer."""

    name: ClassVar[str]
    drops_root: ClassVar[bool] = False
    """It refuses to run as root, and is then the user's `postgres`."""
    stop_by: ClassVar[signal.Signals]

    def __init__(self, within: Path | None = None) -> None:
        """`within`: the folder that holds its folder."""
        self.folder = Path(tempfile.mkdtemp(prefix=f"lgs-{self.name.lower()}-", dir=within))
        self.port = free_port()
        self._user = "postgres" if self.drops_root and os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's first process, which leads a group of its own."""
        if self._process is None:
            raise RuntimeError(f"{self.name} on port {self.port} does not run")
        return self._process.pid

    def alive(self) -> bool:
        """Whether its first process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
                start_new_session=True,
            )
        wait_until(self._is_up, f"{self.name} on port {self.port} answers (log in {self.folder}/log)")

    def stop(self) -> None:
        """Stops it and cuts every connection."""
        self._end(self.stop_by)

    def remove(self) -> None:
        """Stops it and deletes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=PATIENCE_SECONDS)
            self._process = None

    def _is_up(self) -> bool:
        if not self.alive():
            raise RuntimeError(f"{self.name} ended: {(self.folder / 'log').read_text()[-2000:]}")
        return self._answers()

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError
