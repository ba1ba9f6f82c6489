"""The classic ways to serve many at once, on one graph: `python -m bench modes`.

Each way answers one question, then gets so many at one moment, and is watched until all are answered, for
`--seconds` at most:

`one after another`  a loop, on one connection to PostgreSQL;
`threads`            a thread for each question, on a pool of ten connections;
`asyncio`            a task for each question, on a pool of ten connections;
`this runtime`       a replica with its slots and its queue, over HTTP, a connection for each question.

The first three are LangGraph's own `invoke` and `ainvoke` with its own PostgreSQL checkpointers, each case a
process of its own. What they leave out (a queue, streams, a place for who asks to come back to), the runtime
does beside. Memory is the most that the process has held, with what Python and LangGraph take to begin with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import orjson
from bench import page
from bench.figures import percentile
from bench.machine import facts
from bench.processes import peak_mib
from bench.replicas import ROOT, Ground, Service, Target, stop_on_signals
from bench.waiting import GIVEN, MODEL_SECONDS, RIGHT, builder
from bench.wire import Connection, request

OUT = Path(__file__).parent / "results" / "modes.json"
PACKAGES = ("langgraph", "langgraph-checkpoint-postgres", "psycopg", "asyncpg")
GRAPH = "./bench/waiting.py:builder"
POOL = 10
RUNTIME = "this runtime"
SLOTS = 50
START_SECONDS = 60.0


@dataclass(slots=True)
class Seen:
    """What came of the questions of one moment: seconds until all were answered, or the time was up; the
    time of each answer; what went wrong, by its name."""

    asked: int
    seconds: float = 0.0
    answers: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    peak_mib: float = 0.0

    def note(self, began: float, result: Any) -> None:
        """One answer, right or not."""
        if result == RIGHT:
            self.answers.append(time.perf_counter() - began)
        else:
            self.errors[type(result).__name__ if isinstance(result, Exception) else "wrong result"] += 1

    def row(self, limit: float) -> list[str]:
        """Its figures as a table has them."""
        unanswered = [math.inf] * (self.asked - len(self.answers))
        p95 = percentile([*self.answers, *unanswered], 95)
        wrong = ", ".join(f"{count} {name}" for name, count in sorted(self.errors.items()))
        left = self.asked - len(self.answers) - self.errors.total()
        told = [*([wrong] if wrong else []), *([f"{left} not answered"] if left else [])]
        return [
            f"**{len(self.answers) / self.seconds:.0f}**",
            f"{p95:.2f}" if math.isfinite(p95) else f"over {limit:g}",
            f"{self.peak_mib:.0f}",
            "; ".join(told) or "0",
        ]


def one_after_another(uri: str, seen: Seen, limit: float) -> None:
    """Answers in a loop."""
    from langgraph.checkpoint.postgres import PostgresSaver  # noqa: PLC0415 - of this case alone

    with PostgresSaver.from_conn_string(uri) as saver:
        saver.setup()
        answer = _answering(builder.compile(checkpointer=saver).invoke)
        answer()
        began = time.perf_counter()
        for _ in range(seen.asked):
            seen.note(began, answer())
            if time.perf_counter() - began > limit:
                break
        seen.seconds = time.perf_counter() - began


def threads(uri: str, seen: Seen, limit: float) -> None:
    """A thread for each question. Those that are still at work when the time is up end with the process."""
    from langgraph.checkpoint.postgres import PostgresSaver  # noqa: PLC0415 - of this case alone
    from psycopg_pool import ConnectionPool  # noqa: PLC0415

    pool: Any = ConnectionPool(uri, min_size=POOL, max_size=POOL, kwargs=_of_a_pool(), open=True)
    saver = PostgresSaver(pool)
    saver.setup()
    answer = _answering(builder.compile(checkpointer=saver).invoke)
    executor = ThreadPoolExecutor(seen.asked)
    answer()
    began = time.perf_counter()
    asked = [executor.submit(lambda: seen.note(began, answer())) for _ in range(seen.asked)]
    wait(asked, timeout=limit)
    seen.seconds = time.perf_counter() - began


def in_one_loop(uri: str, seen: Seen, limit: float) -> None:
    """A task for each question."""
    asyncio.run(_in_one_loop(uri, seen, limit))


async def _in_one_loop(uri: str, seen: Seen, limit: float) -> None:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415 - of this case alone
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415

    pool: Any = AsyncConnectionPool(uri, min_size=POOL, max_size=POOL, kwargs=_of_a_pool(), open=False)
    async with pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        graph = builder.compile(checkpointer=saver)

        async def answer() -> None:
            try:
                result: Any = await graph.ainvoke(cast("Any", GIVEN), _config())
            except Exception as failed:  # noqa: BLE001 - what goes wrong is counted
                result = failed
            seen.note(began, result)

        await graph.ainvoke(cast("Any", GIVEN), _config())
        began = time.perf_counter()
        asked = [asyncio.create_task(answer()) for _ in range(seen.asked)]
        _, late = await asyncio.wait(asked, timeout=limit)
        seen.seconds = time.perf_counter() - began
        for task in late:
            task.cancel()


async def by_the_runtime(service: Service, seen: Seen, limit: float) -> None:
    """A request for each question, all at once."""
    body = orjson.dumps({"assistant_id": "agent", "input": GIVEN})
    sent = request("POST", "/runs/wait", body)
    connections = [await Connection.open(*service.addresses[0]) for _ in range(seen.asked)]

    async def answer(connection: Connection) -> None:
        reply = await connection.ask(sent)
        result = orjson.loads(reply.body) if reply.status == 200 else {}
        if reply.status != 200:
            seen.errors[f"status {reply.status}"] += 1
        else:
            seen.note(began, result)

    began = time.perf_counter()
    asked = [asyncio.create_task(answer(connection)) for connection in connections]
    _, late = await asyncio.wait(asked, timeout=limit)
    seen.seconds = time.perf_counter() - began
    for task in late:
        task.cancel()
    for connection in connections:
        connection.close()


MODES: dict[str, Callable[[str, Seen, float], None]] = {
    "one after another": one_after_another,
    "threads": threads,
    "asyncio": in_one_loop,
}


def _of_a_pool() -> dict[str, Any]:
    from psycopg.rows import dict_row  # noqa: PLC0415 - of these cases alone

    return {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}


def _config() -> Any:
    return {"configurable": {"thread_id": str(uuid4())}}


def _answering(invoke: Callable[..., Any]) -> Callable[[], Any]:
    def answer() -> Any:
        try:
            return invoke(GIVEN, _config())
        except Exception as failed:  # noqa: BLE001 - what goes wrong is counted
            return failed

    return answer


def play(mode: str, uri: str, at_once: int, limit: float) -> None:
    """One case, in this process; its figures as JSON. What is still at work ends with it."""
    seen = Seen(at_once)
    MODES[mode](uri, seen, limit)
    seen.peak_mib = peak_mib(os.getpid())
    print(json.dumps(asdict(seen)), flush=True)
    os._exit(0)


class Bench:
    """Measures the cases, one at a time."""

    def __init__(self, ground: Ground, asked: argparse.Namespace) -> None:
        self._ground = ground
        self._asked = asked

    def all(self) -> dict[str, list[Seen]]:
        """By mode, for each number at once."""
        found = {mode: [self._apart(mode, number) for number in self._asked.at_once] for mode in MODES}
        most = str(2 * max(self._asked.at_once))
        settings = {"LGS_CONCURRENCY": str(self._asked.slots), "LGS_QUEUE_NORMAL": most}
        with self._ground.serve(Target("PostgreSQL"), GRAPH, settings) as service:
            asyncio.run(by_the_runtime(service, Seen(1), START_SECONDS))
            found[RUNTIME] = [self._of_runtime(service, number) for number in self._asked.at_once]
        return found

    def _apart(self, mode: str, at_once: int) -> Seen:
        with self._ground.database() as uri:
            command = [sys.executable, "-m", "bench.modes", "--case", mode, uri]
            options = ["--at-once", str(at_once), "--seconds", str(self._asked.seconds)]
            patience = START_SECONDS + 2 * self._asked.seconds
            done = subprocess.run(
                [*command, *options],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=patience,
                check=True,
            )
        told = json.loads(done.stdout)
        return self._told(mode, Seen(**{**told, "errors": Counter(told["errors"])}))

    def _of_runtime(self, service: Service, at_once: int) -> Seen:
        seen = Seen(at_once)
        asyncio.run(by_the_runtime(service, seen, self._asked.seconds))
        seen.peak_mib = peak_mib(service.watched["server"][0])
        return self._told(RUNTIME, seen)

    def _told(self, mode: str, seen: Seen) -> Seen:
        print(f"{mode}, {seen.asked} at once: {' | '.join(seen.row(self._asked.seconds))}", flush=True)
        return seen


def table(found: dict[str, list[Seen]], limit: float) -> str:
    """What came of each case, in Markdown."""
    lines = [["at once", "way", "answers a second", "p95, s", "most memory, MiB", "errors"], ["---"] * 6]
    for place in range(len(next(iter(found.values())))):
        for mode, seen in found.items():
            lines.append([f"{seen[place].asked:,}", mode, *seen[place].row(limit)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table, and keeps the figures as JSON. The exit code."""
    parser = argparse.ArgumentParser(prog="bench.modes", description=__doc__)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=15.0, help="for which a case is watched at most")
    parser.add_argument("--slots", type=int, default=SLOTS, help="runs at a time in the replica")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--case", nargs=2, metavar=("WAY", "URI"), help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.case:
        mode, uri = asked.case
        play(mode, uri, asked.at_once[0], asked.seconds)

    stop_on_signals()
    machine = facts(PACKAGES)
    with ExitStack() as stack:
        found = Bench(Ground(stack, [Target("PostgreSQL")]), asked).all()
    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    how = f"A model that takes {MODEL_SECONDS:g} s; {asked.slots} slots in the replica"
    text = (
        f"{table(found, asked.seconds)}\n\n{how}; at most {asked.seconds:g} s for a case. Machine: {about}."
    )
    kept = {mode: [asdict(one) for one in seen] for mode, seen in found.items()}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"machine": machine, "modes": kept}, indent=1) + "\n")
    print(f"\n{text}\n\nfigures in {asked.out}")
    if asked.docs:
        page.put("modes", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
