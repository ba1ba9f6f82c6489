"""The operator's process: by its command, or forked from one that has imported its modules and nothing else.
The imports take a second of processor time, and the suite starts the operator more than a hundred times."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

_FORKED: Final = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["lgs_operator.main"])


class OperatorProcess(Protocol):
    """One that runs, or has ended."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, that of a signal negative; None while it runs."""

    def terminate(self) -> None:
        """Sends SIGTERM."""

    def kill(self) -> None:
        """Sends SIGKILL."""

    async def wait(self) -> int:
        """Returns its exit code when it has ended."""


async def by_command(env: Mapping[str, str], log: Path) -> OperatorProcess:
    """One in this environment, from the first instruction of `lgs-operator` on, that writes to `log`."""
    command = Path(sys.executable).with_name("lgs-operator")
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(command, stdout=out, stderr=out, env=env)


class Forked:
    """One in this environment that begins where its modules are imported, and writes to `log`."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        log.touch()
        self._process = _FORKED.Process(target=_operate, args=(dict(env), str(log)), daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        while (code := self.returncode) is None:
            await asyncio.sleep(0.02)
        return code


def _operate(env: dict[str, str], log: str) -> None:
    """What the command does then."""
    from lgs_operator.main import main  # noqa: PLC0415

    said = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(said, sys.stdout.fileno())
    os.dup2(said, sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(env)
    sys.exit(main())
