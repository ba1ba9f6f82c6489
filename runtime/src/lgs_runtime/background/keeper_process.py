"""The replica's side of the keeper of its lease (`keeper.py`): starts the process, sends it each renewal, and
ends it.

If no process can be started, the replica runs without one. A process that has died is started again with the
next renewal.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import IO

import structlog

END_SECONDS = 2.0
log = structlog.get_logger(__name__)


class KeeperProcess:
    """The keeper's process. Used only by the thread that renews the lease."""

    def __init__(self, uri: str, replica: str, lease_seconds: float, stall_seconds: float) -> None:
        self._given = {
            "uri": uri,
            "replica": replica,
            "lease_seconds": lease_seconds,
            "stall_seconds": stall_seconds,
            "parent": os.getpid(),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def held_until(self, moment: float) -> None:
        """Tells the keeper that the lease is held until `moment` (of `time.monotonic`, which all processes of
        a machine share)."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        # If the pipe is full, the line is dropped: the keeper has enough to read.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._write(f"{moment!r}\n")

    def close(self) -> None:
        """Ends the process; it does not extend the lease any more."""
        process, self._process = self._process, None
        if process is None:
            return
        self._pipe(process).close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        # -P: the application's files in the current folder must not shadow Python's modules.
        command = [sys.executable, "-P", "-m", "lgs_runtime.background.keeper"]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as refused:
            log.warning("lease.no_keeper", reason=str(refused))
            return
        self._write(json.dumps(self._given) + "\n")
        os.set_blocking(self._pipe(self._process).fileno(), False)

    def _write(self, text: str) -> None:
        if self._process is not None:
            os.write(self._pipe(self._process).fileno(), text.encode())

    @staticmethod
    def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
        assert process.stdin is not None
        return process.stdin
