"""Starts, asks, drains and kills worker processes. Acts only; `plan.py` decides.

Each has the shared port and one of its own (`LGS_ADMIN_PORT`) for its probes and metrics. Its output goes to
`logs/` in the data folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from lgs_operator.local.machine import free_port
from lgs_operator.local.plan import Phase, Worker
from lgs_operator.local.service import LocalService
from lgs_operator.scaling import ReplicaSample
from lgs_operator.scaling.samples import NoSample
from lgs_operator.scaling.scrape import Usage, ask

SCRAPE_SECONDS = 0.8
KEEP_LOGS = 20
MOST_NEWS = 4 * 2**20
"""Bytes of a log that are read at a time, at most."""


@dataclass(slots=True)
class Process:
    """One worker process. `sample` is its last answer."""

    name: str
    generation: int
    admin_port: int
    handle: asyncio.subprocess.Process
    log: Path
    started_at: float
    phase: Phase = "starting"
    startup_seconds: float | None = None
    """Seconds from its start until it took work; None before that."""
    sample: ReplicaSample | None = None
    read_to: int = 0
    """How many bytes of its log `new_lines` has read."""

    @property
    def worker(self) -> Worker:
        """The process in the form that a plan needs."""
        return Worker(self.name, self.generation, self.phase, self.started_at)

    @property
    def target(self) -> str:
        """The host and port that reach this process and no other."""
        return f"127.0.0.1:{self.admin_port}"

    def url(self, path: str) -> str:
        """An address that reaches this process and no other."""
        return f"http://{self.target}{path}"

    def written(self) -> list[str]:
        """The lines that it wrote to stderr; empty if its log was deleted."""
        try:
            return self.log.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def new_lines(self) -> list[str]:
        """The complete lines that it has written to stderr since the last call."""
        try:
            with self.log.open("rb") as log:
                log.seek(self.read_to)
                written = log.read(MOST_NEWS)
        except FileNotFoundError:
            return []
        # A longer line is not meant to be read: it is given in parts.
        whole = written[: written.rfind(b"\n") + 1] or (written if len(written) == MOST_NEWS else b"")
        self.read_to += len(whole)
        return whole.decode(errors="replace").splitlines()

    def last_words(self) -> str:
        """The last line that it wrote to stderr."""
        lines = [line.strip() for line in self.written() if line.strip()]
        return lines[-1] if lines else "nothing was written to stderr"


async def start(service: LocalService, name: str, generation: int, host: str, port: int) -> Process:
    """Starts a worker that listens on the shared `port`."""
    logs = service.data_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    _prune(logs)
    admin_port = free_port()
    env = {**service.env, "LGS_REPLICA_ID": name, "LGS_ADMIN_PORT": str(admin_port)}
    log = logs / f"{name}.err"
    with log.open("wb") as err, (logs / f"{name}.out").open("wb") as out:
        handle = await asyncio.create_subprocess_exec(
            *service.command, "serve", "--host", host, "--port", str(port), "--reuse-port",
            env=env,
            cwd=service.source,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            # Ctrl-C in the terminal is for the supervisor alone, which then drains.
            start_new_session=True,
        )  # fmt: skip
    return Process(name, generation, admin_port, handle, log, time.monotonic())


def drain(process: Process) -> None:
    """Asks a process to finish what it has, hand back the rest, and end."""
    process.phase = "draining"
    with contextlib.suppress(ProcessLookupError):
        process.handle.send_signal(signal.SIGTERM)


def kill(process: Process) -> None:
    """Ends a process at once. Its runs continue elsewhere when their lease has run out."""
    with contextlib.suppress(ProcessLookupError):
        process.handle.kill()


async def probe(session: aiohttp.ClientSession, starting: Sequence[Process]) -> None:
    """Marks the starting processes that now take work as ready."""
    found = await asyncio.gather(*(_takes_work(session, process) for process in starting))
    for process, takes_work in zip(starting, found, strict=True):
        if takes_work:
            process.phase = "ready"
            process.startup_seconds = time.monotonic() - process.started_at


async def _takes_work(session: aiohttp.ClientSession, process: Process) -> bool:
    patience = aiohttp.ClientTimeout(total=SCRAPE_SECONDS)
    try:
        async with session.get(process.url("/ready"), timeout=patience) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def sample(
    session: aiohttp.ClientSession, processes: Sequence[Process], *, usage: Usage = "no"
) -> list[ReplicaSample | NoSample]:
    """The sample of each process, or why it gives none."""
    found = await asyncio.gather(
        *(ask(session, each.url, SCRAPE_SECONDS, each.name, usage) for each in processes)
    )
    for process, new in zip(processes, found, strict=True):
        if isinstance(new, ReplicaSample):
            process.sample = new
    return list(found)


def _prune(logs: Path) -> None:
    old = sorted(logs.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in old[: -2 * KEEP_LOGS]:
        path.unlink(missing_ok=True)
