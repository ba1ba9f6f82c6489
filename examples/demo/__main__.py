"""`make demo`: the whole path on one machine in under two minutes, with nothing but this repository.

`lgs up` serves the support agent; load rises to ten times; replicas follow; the code changes in the middle of
sessions of many steps and every replica is replaced; one replica is killed; the load falls and replicas go.
Every number printed is computed from what the players and the graph wrote down. Exit code 1 if anything was
lost.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from examples.demo.account import account, read
from examples.demo.picture import show
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".demo" / time.strftime(f"%H%M%S-{os.getpid()}")
BASE_SECONDS, SPIKE_SECONDS, AFTER_SECONDS = 8, 30, 6
BASE_RATE, SPIKE_RATE = 1, 10
PATIENCE_SECONDS = 90.0
KEEP_SECONDS = 3600.0


class Demo:
    """The running service and its players. Everything is written to a folder in `.demo/`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.marks: dict[str, float] = {}
        self.outs: dict[str, list[Path]] = {"spike": [], "sessions": []}
        """What the players of each play write."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"

    def say(self, line: str, mark: str | None = None) -> None:
        """Prints what happens now, and keeps the time for the picture."""
        if mark:
            self.marks[mark] = time.time()
        self.console.print(f"{time.monotonic() - self.started:5.1f} s  {line}")

    def prepare(self) -> None:
        """A new folder with the graph and the manifest, which the demo may change; old ones are removed."""
        FOLDER.mkdir(parents=True)
        for old in FOLDER.parent.iterdir():
            if time.time() - old.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        shutil.copy(ROOT / "examples/support/graph.py", FOLDER)
        shutil.copy(ROOT / "examples/demo/service.yaml", FOLDER)

    @contextmanager
    def service(self):
        """`lgs up`, drained at the end."""
        command = [sys.executable, "-m", "lgs_operator.cli", "up", str(FOLDER / "service.yaml")]
        command += ["--port", self.url.rpartition(":")[2], "--history", str(FOLDER / "history.jsonl")]
        env = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URI", "REDIS_URI"}}
        env |= {"STEP_RECORDS": str(FOLDER / "steps.jsonl"), "COLUMNS": "200"}
        with (FOLDER / "lgs-up.log").open("wb") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            self.wait("the service to be ready", lambda: process.poll() is not None or self.is_ready())
            if process.poll() is not None:
                raise SystemExit((FOLDER / "lgs-up.log").read_text("utf-8"))
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    def is_ready(self) -> bool:
        """Whether the service takes work."""
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def player(self, play: str, *options: object) -> subprocess.Popen[bytes]:
        """A load player of its own process, whose runs are added to the account."""
        outs = self.outs[play]
        outs.append(out := FOLDER / f"{play}-{len(outs)}.jsonl")
        command = [
            sys.executable,
            str(ROOT / "tests/load/player.py"),
            play,
            "--url",
            self.url,
            "--out",
            str(out),
        ]
        return subprocess.Popen([*command, *map(str, options)], stdout=subprocess.DEVNULL)

    def sessions(self, count: int, steps: int) -> subprocess.Popen[bytes]:
        """Sessions that all begin now, of half a second a step."""
        return self.player(
            "sessions", "--count", count, "--steps", steps, "--step-seconds", 0.5, "--deadline", 90
        )

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Until `done`; ends the demo if it takes too long."""
        late = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if time.monotonic() > late:
                raise SystemExit(f"waited {PATIENCE_SECONDS:.0f} s for {what}; see {FOLDER / 'lgs-up.log'}")
            time.sleep(0.2)

    def workers(self) -> set[int]:
        """The pids of the replicas."""
        return {int(pid) for pid in (FOLDER / ".lgs/demo/workers").read_text("utf-8").split()}

    def ready(self) -> int:
        """The replicas that were ready at the last decision."""
        history = read(FOLDER / "history.jsonl")
        return history[-1]["ready"] if history else 0

    def recorded(self) -> int:
        """The records of steps, begun and ended."""
        return (FOLDER / "steps.jsonl").read_bytes().count(b"\n")


def play(demo: Demo) -> None:
    """The story, with the service running."""
    rates = ["--base-rate", BASE_RATE, "--spike-rate", SPIKE_RATE, "--base-seconds", BASE_SECONDS]
    rates += ["--spike-seconds", SPIKE_SECONDS, "--after-seconds", AFTER_SECONDS]
    load = demo.player("spike", *rates, "--steps", 3, "--step-seconds", 0.5, "--deadline", 110)
    demo.say(f"serving on {demo.url}; load: {BASE_RATE} run/s, each of 3 steps and 1.5 s")

    time.sleep(BASE_SECONDS)
    demo.say(f"a spike of ten times: {SPIKE_RATE} runs/s", "s spike")
    demo.wait("a second replica", lambda: demo.ready() >= 2)
    demo.say(f"{demo.ready()} replicas ready; 10 sessions of 80 steps begin")
    sessions = demo.sessions(10, steps=80)
    time.sleep(3)

    before = demo.workers()
    with (FOLDER / "graph.py").open("a") as file:
        file.write("\n# changed in the middle of the sessions\n")
    demo.say("the code changes: every replica is replaced, one by one", "r rolling restart")
    demo.wait("the rolling restart", lambda: not before & demo.workers())
    if sessions.poll() is not None:
        demo.say("the sessions ended meanwhile; 10 more of 20 steps begin")
        recorded = demo.recorded()
        sessions = demo.sessions(10, steps=20)
        demo.wait("them to begin", lambda: demo.recorded() >= recorded + 10)
    time.sleep(1)
    victim = sorted(demo.workers())[0]
    os.kill(victim, signal.SIGKILL)
    demo.say(f"all replicas are new; the one with pid {victim} is killed (SIGKILL)", "k kill -9")

    for each in (sessions, load):
        each.wait(PATIENCE_SECONDS)
    demo.say("every player is done; the load is gone", "e end of the load")
    demo.wait("replicas to go", lambda: demo.ready() == 1)
    demo.say("back at one replica")


def main() -> int:
    """0 when nothing was lost, else 1."""
    console = Console(highlight=False, soft_wrap=True)
    demo = Demo(console)
    demo.prepare()
    with demo.service():
        play(demo)
    load, sessions = ([run for out in outs for run in read(out)] for outs in demo.outs.values())
    history = read(FOLDER / "history.jsonl")
    numbers = account(load, sessions, read(FOLDER / "steps.jsonl"))
    show(console, numbers, [*load, *sessions], history, demo.marks)
    console.print("nothing was lost" if numbers.is_good else f"SOMETHING WAS LOST: see {FOLDER}")
    return 0 if numbers.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
