"""A running `lgs up`, for tests that use it as its user would."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.leases import LONG_SECONDS
from support.ports import PATIENCE_SECONDS, free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "support" / "graph.py"


class Up:
    """A running `lgs up` on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "service.yaml"
        self.log = folder.parent / "up.log"
        self.port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_SECONDS)
        self.process: subprocess.Popen[bytes] | None = None
        self.lease_seconds = LONG_SECONDS
        self.environment: dict[str, str] = {}
        self.more: list[str] = []

    def start(self) -> None:
        kept = {name: text for name, text in os.environ.items() if name not in {"DATABASE_URI", "REDIS_URI"}}
        lease = {"LGS_LEASE_SECONDS": str(self.lease_seconds)}
        env = {**kept, **lease, **self.environment, "STEP_RECORDS": str(self.folder.parent / "steps.jsonl")}
        command = [
            sys.executable,
            "-m",
            "lgs_operator.cli",
            "up",
            str(self.manifest),
            "--port",
            str(self.port),
            *self.more,
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

    def said(self, pattern: str) -> bool:
        return re.search(pattern, self.log.read_text("utf-8", errors="replace")) is not None

    def write(self, file: Path, text: str) -> None:
        """Puts a text in the place of a file's in one step: what watches it sees one change, and no half."""
        part = self.folder.parent / f"{file.name}.part"
        part.write_text(text)
        part.replace(file)

    def wait(self, done: Callable[[], bool]) -> None:
        late = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < late, self.log.read_text("utf-8")
            time.sleep(0.1)

    def serve(self) -> None:
        self.start()
        self.wait(lambda: self.said("serves on"))

    def workers(self) -> list[int]:
        return [int(pid) for pid in (self.folder / ".lgs/tried/workers").read_text("utf-8").split()]

    def session(self, steps: int, step_seconds: float) -> tuple[str, str]:
        """Starts a run; gives its thread and itself."""
        thread = self.client.post("/threads", json={}).json()["thread_id"]
        work = {"messages": [], "steps": steps, "step_seconds": step_seconds}
        run = self.client.post(f"/threads/{thread}/runs", json={"assistant_id": "agent", "input": work})
        return thread, run.json()["run_id"]

    def status(self, thread: str, run: str) -> str:
        try:
            return str(self.client.get(f"/threads/{thread}/runs/{run}").json()["status"])
        except httpx.TransportError:
            return "unknown"

    def done(self, thread: str) -> list[int]:
        return list(self.client.get(f"/threads/{thread}/state").json()["values"].get("done", []))

    def steps_that_ended_twice(self) -> list[tuple[str, int]]:
        """By the records that the graph leaves outside of its state."""
        records = map(json.loads, (self.folder.parent / "steps.jsonl").read_text("utf-8").splitlines())
        ended = Counter((each["run_id"], each["step"]) for each in records if each["phase"] == "end")
        return [step for step, count in ended.items() if count > 1]

    def refused(self) -> bool:
        """Whether it ends by itself, as what can't work does."""
        assert self.process is not None
        return self.process.wait(PATIENCE_SECONDS) == 2

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """Ends what was started."""
        self.client.close()
        if self.process is not None:
            self.end(signal.SIGTERM)


@contextmanager
def up_with_example(folder: Path, manifest: str) -> Iterator[Up]:
    """`lgs up`, not started yet, on a new folder with the example's graph and this manifest."""
    folder.mkdir()
    shutil.copy(EXAMPLE, folder / "graph.py")
    (folder / "service.yaml").write_text(manifest)
    it = Up(folder)
    try:
        yield it
    finally:
        it.close()
