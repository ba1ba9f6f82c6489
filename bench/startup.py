"""What it costs to start a replica, and what it holds: `python -m bench.startup`.

Starts replicas as a cluster does, waits for `/ready`, and reads processor time and memory from `/proc`. The
floor is what a process pays that imports LangGraph and nothing of ours. As in the images, modules have been
compiled to bytecode: the first round does that and does not count. With `--runs`, threaded runs are played
through HTTP, and the memory of the then idle replica is read after each count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from bench import page
from bench.figures import Spread
from bench.imports import heaviest
from bench.machine import facts
from bench.processes import cpu_seconds, resident_mib, wall_seconds
from bench.replicas import Ground, Target, stop_on_signals
from bench.trivial import GIVEN

OUT = Path(__file__).parent / "results" / "startup.json"
PACKAGES = ("langgraph", "langchain-core", "langsmith", "pydantic", "fastapi", "uvicorn", "redis")
TRIVIAL, SUPPORT = "./bench/trivial.py:builder", "./examples/support/graph.py:graph"
SQLITE = Target("SQLite", postgres=False)
POSTGRES = Target("PostgreSQL")
BOTH = Target("PostgreSQL and Redis", redis=True)
REPLICAS = {
    "replica on SQLite": (SQLITE, TRIVIAL),
    "replica on PostgreSQL": (POSTGRES, TRIVIAL),
    "replica on PostgreSQL and Redis": (BOTH, TRIVIAL),
    "the same with `examples/support`": (BOTH, SUPPORT),
}
FLOORS = {
    "`import langgraph.graph`": "import langgraph.graph",
    "with FastAPI and uvicorn": "import langgraph.graph, fastapi, uvicorn",
}
COMMANDS = {
    "`lgs-runtime --help`": ("lgs-runtime", "--help"),
    "`lgs --help`": ("lgs", "--help"),
    "`lgs validate`": ("lgs", "validate", "examples/support/service.yaml"),
}
ALL_IMPORTS = "import lgs_runtime.cli, lgs_runtime.server"
SETTLED_SECONDS = 3.0
LISTED = 12


@dataclass(frozen=True, slots=True)
class Start:
    """Processor and wall seconds until it was ready, or to its end; MiB resident once it had settled, None
    for what ends at once."""

    cpu: float
    wall: float
    resident: float | None = None


class Bench:
    """Starts things, one at a time, with their bytecode at hand."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        # A folder of its own: what the first round leaves is read by the others, and nothing else is.
        self._bytecode = {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(ground.folder / "bytecode"),
        }
        self.environment = {**ground.environment, **self._bytecode}

    def round(self) -> dict[str, Start]:
        """Every case once."""
        found = {name: self._imported(code) for name, code in FLOORS.items()}
        for name, (target, graph) in REPLICAS.items():
            with self._ground.serve(target, graph, self._bytecode) as service:
                (pid,) = service.watched["server"]
                cpu, wall = cpu_seconds([pid]), wall_seconds(pid)
                time.sleep(SETTLED_SECONDS)
                found[name] = Start(cpu, wall, resident_mib([pid]))
        return found | {name: self._ran(command) for name, command in COMMANDS.items()}

    def growth(self, target: Target, counts: Sequence[int], at_once: int) -> dict[int, float]:
        """MiB resident after so many runs, each time when the replica has been idle for a while."""
        with self._ground.serve(target, TRIVIAL, self._bytecode) as service:
            ((host, port),), memory, done = service.addresses, {}, 0
            for count in (0, *counts):
                asyncio.run(play(f"http://{host}:{port}", count - done, at_once))
                done = count
                time.sleep(SETTLED_SECONDS)
                memory[count] = resident_mib(service.watched["server"])
                print(f"{target.name}: {count:,} runs, {memory[count]:.0f} MiB", flush=True)
            return memory

    def _imported(self, code: str) -> Start:
        """A process that imports something, and reports its memory then."""
        report = "import os; from bench.processes import resident_mib; print(resident_mib([os.getpid()]))"
        return self._ran((sys.executable, "-c", f"{code}; {report}"), reports=True)

    def _ran(self, command: Sequence[str], *, reports: bool = False) -> Start:
        began = time.perf_counter()
        before = os.times()
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.environment.get('PATH', '')}"
        env = {**self.environment, "PATH": path}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return Start(cpu, time.perf_counter() - began, float(done.stdout) if reports else None)


async def play(base_url: str, count: int, at_once: int) -> None:
    """`count` runs, each on a thread of its own. Raises `httpx.HTTPError` when one fails."""
    left = iter(range(count))

    async def caller(client: httpx.AsyncClient) -> None:
        for _ in left:
            thread = (await client.post("/threads", json={})).raise_for_status().json()["thread_id"]
            body = {"assistant_id": "agent", "input": GIVEN}
            (await client.post(f"/threads/{thread}/runs/wait", json=body)).raise_for_status()

    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(base_url=base_url, timeout=60, limits=limits) as client:
        await asyncio.gather(*(caller(client) for _ in range(at_once)))


def table(starts: Mapping[str, Sequence[Start]]) -> str:
    """What each case cost, in Markdown: medians, with the least and the most."""
    lines = ["| what | CPU, s | wall, s | resident, MiB |", "| --- | --- | --- | --- |"]
    for name, measured in starts.items():
        cpu, wall = Spread.of([one.cpu for one in measured]), Spread.of([one.wall for one in measured])
        held = [one.resident for one in measured if one.resident is not None]
        resident = Spread.of(held).text() if held else ""
        lines.append(f"| {name} | **{cpu.text(2)}** | {wall.text(2)} | {resident} |")
    return "\n".join(lines)


def grown_table(memory: Mapping[str, Mapping[int, float]]) -> str:
    """MiB by count of runs, in Markdown."""
    counts = list(next(iter(memory.values())))
    lines = [["resident, MiB, after runs", *(f"{count:,}" for count in counts)], ["---"] * (len(counts) + 1)]
    lines += [[name, *(f"{grown[count]:.0f}" for count in counts)] for name, grown in memory.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(given: Sequence[str] | None = None) -> int:
    """Measures, prints tables, and keeps the figures as JSON. The exit code."""
    parser = argparse.ArgumentParser(prog="bench.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--runs", type=int, nargs="*", default=[], help="read the memory after so many runs")
    parser.add_argument("--at-once", type=int, default=32, help="of those runs")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/performance.md")
    asked = parser.parse_args(given)

    stop_on_signals()
    machine = facts(PACKAGES)
    with ExitStack() as stack:
        bench = Bench(Ground(stack, [target for target, _ in REPLICAS.values()]))
        rounds = [bench.round() for _ in range(asked.rounds + 1)][1:]
        starts = {name: [found[name] for found in rounds] for name in rounds[0]}
        targets = (SQLITE, POSTGRES, BOTH) if asked.runs else ()
        memory = {each.name: bench.growth(each, sorted(asked.runs), asked.at_once) for each in targets}
        imports = heaviest(ALL_IMPORTS, LISTED, bench.environment)

    listed = ", ".join(f"{name} {seconds * 1000:.0f}" for name, seconds in imports.items())
    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    parts = [table(starts), *([grown_table(memory)] if memory else [])]
    parts.append(f"Milliseconds that the modules of each package take to import, theirs alone: {listed}.")
    parts.append(f"{asked.rounds} rounds: median (least–most). Machine: {about}.")
    text = "\n\n".join(parts)
    kept = {
        "machine": machine,
        "starts": {name: [asdict(one) for one in measured] for name, measured in starts.items()},
        "resident_mib_after_runs": memory,
        "import_seconds": imports,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\n{text}\n\nfigures in {asked.out}")
    if asked.docs:
        page.put("start-up", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
