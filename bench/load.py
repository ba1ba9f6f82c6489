"""`make load`: thousands of conversations at once on this machine, and a panel of what came of it.

Replicas of the runtime are real processes on PostgreSQL with its own defaults and Redis; the sessions live in
a process of their own (`bench.sessions`); arrivals and lengths come from a published trace. The exit code is
1 when any turn did not get its right answer.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import page
from bench.machine import facts
from bench.panel import Account, Memory, panel
from bench.processes import allow_connections, beside, cpu_seconds, resident_mib
from bench.replicas import ROOT, Ground, Service, Target, stop_on_signals
from bench.sessions import Asked, Play

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OUT = Path(__file__).parent / "results" / "load.json"
PACKAGES = ("langgraph", "fastapi", "uvicorn", "uvloop", "asyncpg", "redis")
GRAPH = "./bench/chat.py:builder"
SETTLE_SECONDS = 5.0
"""After the play, so that released memory is freed before the measurement."""
TELL_EVERY = 10


class Watch:
    """The most memory that processes have had since it began, measured twice a second."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self.peak = 0.0

    def watch(self, over: threading.Event) -> None:
        """Until then."""
        while not over.wait(0.5):
            self.peak = max(self.peak, resident_mib(self._pids))


def cache_counts(service: Service) -> tuple[int, int]:
    """Hits and misses of all replicas, from their metrics."""
    counts = {"hit": 0.0, "miss": 0.0}
    for host, port in service.addresses:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        for result in counts:
            for value in re.findall(rf'lgs_cache_operations_total{{[^}}]*result="{result}"}} (\S+)', text):
                counts[result] += float(value)
    return int(counts["hit"]), int(counts["miss"])


def used(service: Service) -> dict[str, float]:
    """Processor time so far."""
    return {name: cpu_seconds(pids) for name, pids in service.watched.items()}


class Sessions:
    """The process that plays them: `module` reads a job, and reports its progress, which is shown as
    `shows`."""

    def __init__(
        self,
        stack: ExitStack,
        play: DataclassInstance,
        module: str = "bench.sessions",
        shows: str = "{open} open, {running} answers at once, {turns} turns",
    ) -> None:
        self._shows = f"{{seconds:5.0f}} s: {shows}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        stack.callback(self._process.wait)
        stack.callback(self._process.kill)
        self.tell(json.dumps(asdict(play)))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Writes a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def until(self, event: str) -> dict[str, Any]:
        """What it says of that event; what it says of others is shown now and then. Raises `RuntimeError`
        when it ends instead."""
        assert self._process.stdout is not None
        for number, line in enumerate(self._process.stdout):
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
            if number % TELL_EVERY == TELL_EVERY - 1:
                print(self._shows.format(**said), flush=True)
        raise RuntimeError(f"the sessions ended without {event}: exit code {self._process.wait()}")


def perform(stack: ExitStack, service: Service, asked: argparse.Namespace, folder: Path) -> Account:
    """Plays all sessions against a service that is ready."""
    out, replicas = folder / "turns.jsonl", service.watched["server"]
    play = Play(service.addresses, asked.sessions, 60 * asked.minutes, str(out), asked.seed, asked.durability)
    start = resident_mib(replicas)
    sessions = Sessions(stack, play)
    sessions.until("open")
    idle = resident_mib(replicas)
    print(f"{asked.sessions} sessions are connected and idle: {idle:.0f} MiB, before {start:.0f}", flush=True)

    before, began, watch = used(service), time.monotonic(), Watch(replicas)
    with beside(watch.watch):
        sessions.tell("go")
        done = sessions.until("done")
    seconds = time.monotonic() - began
    cpu = {name: now - before[name] for name, now in used(service).items()}
    time.sleep(SETTLE_SECONDS)
    hits, misses = cache_counts(service)
    return Account(
        turns=[Asked(**json.loads(line)) for line in out.read_text().splitlines()],
        sessions=asked.sessions,
        most_open=done["most_open"],
        most_running=done["most_running"],
        seconds=seconds,
        memory=Memory(start, idle, watch.peak, resident_mib(replicas)),
        cache_hits=hits,
        cache_misses=misses,
        cpu={**cpu, "sessions": done["cpu_seconds"]},
    )


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.load", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument(
        "--minutes", type=float, default=5.2, help="from the first session's start to the last's end"
    )
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--slots", type=int, default=500, help="runs at a time in one replica")
    parser.add_argument("--durability", choices=("async", "sync", "exit"), default="async")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="put the panel into docs/performance.md")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Plays, prints the panel, and keeps it as JSON."""
    asked = arguments(argv)
    stop_on_signals()
    allow_connections()
    machine = facts(PACKAGES)
    target = Target(f"{asked.replicas} replicas", redis=True, replicas=asked.replicas)
    with ExitStack() as stack:
        ground = Ground(stack, [target])
        settings = {"LGS_CONCURRENCY": str(asked.slots)}
        service = stack.enter_context(ground.serve(target, GRAPH, settings))
        account = perform(stack, service, asked, ground.folder)

    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    how = f"{asked.replicas} replicas of {asked.slots} slots, durability `{asked.durability}`"
    text = f"{panel(account)}\n\n{how}, seed {asked.seed}. Machine: {about}."
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in asdict(account).items() if name != "turns"}
    asked.out.write_text(
        json.dumps({"machine": machine, "panel": text.splitlines(), **kept}, indent=1) + "\n"
    )
    print(f"\n{text}\n\nfigures in {asked.out}")
    for problem in sorted({turn.problem for turn in account.wrong if turn.problem})[:10]:
        print(f"error: {problem}")
    if asked.docs:
        page.put("load", text)
    return int(bool(account.wrong))


if __name__ == "__main__":
    sys.exit(main())
