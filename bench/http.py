"""How fast runs are over HTTP: `python -m bench.http`.

Replicas of the runtime are real processes on a new database; the load comes from a process of its own on the
same machine (`bench.generator`). The graph has two nodes that do next to nothing, so what is measured is the
server. PostgreSQL has its own defaults: every commit reaches the disk. Threads are made before the
measurement, a new one for each run. What the machine can do at most is measured in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import uvloop
from bench import checkpointers, page
from bench.figures import Outcome, Spread, bars, http_table
from bench.generator import Job
from bench.machine import facts
from bench.replicas import ROOT, Ground, Service, Target, answering, stop_on_signals
from bench.trivial import GIVEN, RIGHT

from lgs_runtime.checkpoint import FastPostgresSaver
from support.ports import free_port
from support.postgres import fresh_database

OUT = Path(__file__).parent / "results" / "http.json"
PICTURE = page.PAGE.with_name("performance-http.svg")
PACKAGES = ("langgraph", "fastapi", "uvicorn", "uvloop", "asyncpg")
GRAPH = "./bench/trivial.py:builder"
TARGETS = (
    Target("PostgreSQL, 1 replica"),
    Target("PostgreSQL and Redis, 2 replicas", redis=True, replicas=2),
    Target("SQLite, 1 replica", postgres=False),
)
GUESS, GUESS_ALONE = 500.0, 150.0
"""Runs per second for which threads are made when nothing has been measured yet; of one client alone."""
SPARE = 1.5
PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Cell:
    """One load on one target. `clients` of a burst: its runs."""

    target: str
    load: str
    clients: int

    @property
    def name(self) -> str:
        """By which `--only` finds it."""
        return f"{self.target}: {self.load} {self.clients}"


CELLS = (
    *(Cell(TARGETS[0].name, load, clients) for load in ("wait", "stateless") for clients in (1, 32, 256)),
    Cell(TARGETS[0].name, "burst", 500),
    *(Cell(TARGETS[1].name, "wait", clients) for clients in (32, 256)),
    *(Cell(TARGETS[2].name, "wait", clients) for clients in (1, 32)),
)
FLOORS = (
    Cell("in process, no HTTP", "fast checkpointer", 32),
    Cell("bare FastAPI", "get", 32),
    Cell("the generator alone", "get", 32),
)


class Bench:
    """Measures cells, each by a generator of its own. Remembers how fast each was, to make threads enough."""

    def __init__(self, asked: argparse.Namespace, ground: Ground) -> None:
        self._asked = asked
        self._ground = ground
        self._rates: dict[Cell, float] = {}

    def round(self, cells: Sequence[Cell], floors: Sequence[Cell]) -> Iterator[tuple[Cell, Outcome]]:
        """Every cell once: each target on a new database."""
        for floor in floors:
            yield floor, self._floor(floor)
        for name, group in groupby(cells, lambda cell: cell.target):
            (target,) = (each for each in TARGETS if each.name == name)
            with self._ground.serve(target, GRAPH, {"LGS_CONCURRENCY": str(self._asked.slots)}) as service:
                warm = self._job(Cell(name, "wait", 8), service, runs=100)
                play(replace(warm, seconds=1.0, warm_seconds=0.0))
                for cell in group:
                    yield cell, self._measure(cell, service)

    def _measure(self, cell: Cell, service: Service) -> Outcome:
        guess = GUESS if cell.clients > 1 else GUESS_ALONE
        guess = max(guess, SPARE * self._rates.get(cell, 0.0))
        seconds = self._asked.seconds + self._asked.warm
        runs = cell.clients if cell.load == "burst" else int(guess * seconds) + 3 * cell.clients
        outcome = play(self._job(cell, service, runs if cell.load != "stateless" else 0))
        self._rates[cell] = outcome.rate
        return outcome

    def _job(self, cell: Cell, service: Service, runs: int) -> Job:
        body = {"assistant_id": "agent", "input": GIVEN, "durability": self._asked.durability}
        return Job(
            load=cell.load,
            addresses=service.addresses,
            clients=cell.clients,
            seconds=self._asked.seconds,
            warm_seconds=self._asked.warm,
            runs=runs,
            body=body,
            right=RIGHT,
            watched=service.watched,
        )

    def _floor(self, floor: Cell) -> Outcome:
        if floor.load == "get":
            return self._bare(floor)
        with fresh_database(self._ground.postgres_uri) as uri:
            rate = uvloop.run(self._in_process(uri, floor.clients))
        return Outcome(rate=rate)

    async def _in_process(self, uri: str, at_once: int) -> float:
        async with FastPostgresSaver.from_conn_string(uri) as saver:
            app = checkpointers.graph(saver)
            await checkpointers.rate(app, at_once, self._asked.durability, self._asked.seconds / 5)
            return await checkpointers.rate(app, at_once, self._asked.durability, self._asked.seconds)

    def _bare(self, floor: Cell) -> Outcome:
        kind = "fastapi" if floor is FLOORS[1] else "bytes"
        port = free_port()
        command = [sys.executable, "-m", "bench.floors", kind, str(port)]
        log = self._ground.folder / f"{kind}.log"
        with answering(command, self._ground.environment, log, f"http://127.0.0.1:{port}/ok") as server:
            job = Job(
                load="get",
                addresses=[("127.0.0.1", port)],
                clients=floor.clients,
                seconds=self._asked.seconds / 3,
                watched={"server": [server.pid]},
            )
            return play(job)


def play(job: Job) -> Outcome:
    """What a generator saw. Raises `RuntimeError` when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.generator"],
        input=json.dumps(asdict(job)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS + job.seconds,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the generator failed: {done.stderr[-2000:]}")
    return Outcome.of(**json.loads(done.stdout))


def measure(asked: argparse.Namespace) -> dict[Cell, list[Outcome]]:
    """All rounds. A round goes over all cells, so that a disturbance meets each alike."""
    wanted = [cell for cell in CELLS if any(part in cell.name for part in asked.only or [""])]
    floors = [] if asked.only else list(FLOORS)
    targets = [target for target in TARGETS if any(cell.target == target.name for cell in wanted)]
    found: dict[Cell, list[Outcome]] = {cell: [] for cell in [*wanted, *floors]}
    with ExitStack() as stack:
        bench = Bench(asked, Ground(stack, targets, floors=bool(floors)))
        for number in range(asked.rounds):
            for cell, outcome in bench.round(wanted, floors):
                found[cell].append(outcome)
                print(f"round {number + 1}: {cell.name}: {outcome.text()}", flush=True)
    return found


def report(found: dict[Cell, list[Outcome]], machine: dict[str, str], asked: argparse.Namespace) -> str:
    """What is shown, in Markdown."""
    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    rounds = f"{asked.rounds} rounds of {asked.seconds:g} s for each line: median (least–most)."
    how = f"Durability `{asked.durability}`, {asked.slots} slots a replica."
    rows = [((cell.target, cell.load, cell.clients), outcomes) for cell, outcomes in found.items()]
    floor = found.get(FLOORS[0])
    return f"{http_table(rows, floor)}\n\n{rounds} {how} Machine: {about}."


def picture(found: dict[Cell, list[Outcome]]) -> str:
    """An SVG of the services' median rates."""
    groups: dict[str, dict[str, float]] = {}
    for cell, outcomes in found.items():
        if cell not in FLOORS:
            rate = Spread.of([outcome.rate for outcome in outcomes]).median
            groups.setdefault(f"{cell.target}: {cell.load}", {})[f"{cell.clients} at once"] = rate
    return bars(groups)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table, and keeps the figures as JSON. 1 when any answer was not the right one."""
    parser = argparse.ArgumentParser(prog="bench.http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--warm", type=float, default=0.5, help="seconds under load before each measurement")
    parser.add_argument("--durability", choices=("async", "sync", "exit"), default="async")
    parser.add_argument("--slots", type=int, default=50, help="runs at a time in one replica")
    parser.add_argument(
        "--only", nargs="+", help="parts of cells' names, such as 'wait 32' or SQLite; no floors"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of a second: an impression, not a figure"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    asked = parser.parse_args(argv)
    if asked.quick:
        asked.rounds, asked.seconds, asked.warm = 1, 1.0, 0.2

    stop_on_signals()
    machine = facts(PACKAGES)
    found = measure(asked)
    text = report(found, machine, asked)
    kept: list[dict[str, Any]] = [
        {**asdict(cell), "rounds": [asdict(outcome) for outcome in outcomes]}
        for cell, outcomes in found.items()
    ]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"machine": machine, "cells": kept}, indent=1) + "\n")
    print(f"\n{text}\n\nfigures in {asked.out}")
    if asked.docs:
        page.put("http", f"{text}\n\n![runs per second over HTTP]({PICTURE.name})")
        PICTURE.write_text(picture(found))
    return int(any(outcome.errors for outcomes in found.values() for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
