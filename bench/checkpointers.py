"""How fast runs are with each checkpointer, in one process, without HTTP: `python -m bench.checkpointers`.

The graph has two nodes that do next to nothing, so what is measured is LangGraph and its checkpointer. Each
run is a new thread. The floors are no checkpointer at all and the one in memory. PostgreSQL runs on this
machine with its own defaults, so every commit reaches the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop
from bench import figures, page
from bench.machine import facts
from bench.replicas import stop_on_signals
from bench.trivial import GIVEN, RIGHT, builder
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from lgs_runtime.checkpoint import FastPostgresSaver
from support.postgres import PostgresServer

HERE = Path(__file__).parent
PICTURE = page.PAGE.with_name("performance-checkpointers.svg")
PACKAGES = (
    "langgraph",
    "langgraph-checkpoint",
    "langgraph-checkpoint-postgres",
    "psycopg",
    "asyncpg",
    "uvloop",
)


def graph(saver: Any) -> Any:
    """Two nodes, one after the other."""
    return builder.compile(checkpointer=saver)


async def rate(app: Any, concurrency: int, durability: str, seconds: float) -> float:
    """Runs per second while `concurrency` callers each make one after the other, and one at least."""
    options = {"durability": durability} if app.checkpointer else {}
    began = time.perf_counter()
    runs = 0

    async def caller() -> None:
        nonlocal runs
        while True:
            config = {"configurable": {"thread_id": str(uuid4())}}
            result = await app.ainvoke(GIVEN, config, **options)
            if result != RIGHT:
                raise RuntimeError(f"a run ended with {result}")
            runs += 1
            if time.perf_counter() - began >= seconds:
                return

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return runs / (time.perf_counter() - began)


@asynccontextmanager
async def candidates(uri: str) -> AsyncIterator[dict[str, Any]]:
    """The savers, from none to ours."""
    async with AsyncExitStack() as stack:
        settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: Any = AsyncConnectionPool(uri, min_size=10, max_size=10, kwargs=settings, open=False)
        await stack.enter_async_context(pool)
        stock = AsyncPostgresSaver(pool)
        fast = await stack.enter_async_context(FastPostgresSaver.from_conn_string(uri))
        yield {"none": None, "memory": InMemorySaver(), "stock": stock, "fast": fast}


async def measure(uri: str, asked: argparse.Namespace) -> list[figures.Case]:
    """All cases. Rounds go over all candidates, so that a disturbance meets each alike."""
    cases = []
    for durability in asked.durability:
        for concurrency in asked.concurrency:
            rates: dict[str, list[float]] = {}
            for number in range(asked.rounds + 1):
                async with candidates(uri) as savers:
                    for name, saver in savers.items():
                        app = graph(saver)
                        await rate(app, concurrency, durability, asked.seconds / 10)
                        measured = await rate(app, concurrency, durability, asked.seconds)
                        if number:  # The first round warms the server up.
                            rates.setdefault(name, []).append(measured)
            cases.append(figures.Case(durability, concurrency, rates))
            print(figures.table(cases[-1:], "fast", "stock").splitlines()[-1], flush=True)
    return cases


def report(cases: Sequence[figures.Case], machine: dict[str, str], asked: argparse.Namespace) -> str:
    """What is shown, in Markdown."""
    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    rounds = f"{asked.rounds} rounds of {asked.seconds:g} s for each candidate: median (least–most)."
    return f"{figures.table(cases, 'fast', 'stock')}\n\n{rounds} Machine: {about}."


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table, and keeps the figures as JSON."""
    parser = argparse.ArgumentParser(prog="bench.checkpointers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 32, 64])
    parser.add_argument("--durability", nargs="+", default=["async"])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "checkpointers.json")
    parser.add_argument("--docs", action="store_true", help="put table and picture into docs/performance.md")
    asked = parser.parse_args(argv)

    stop_on_signals()
    machine = facts(PACKAGES)
    server = PostgresServer(settings=("max_connections=100",))
    try:
        server.start()
        cases = uvloop.run(measure(server.uri, asked))
    finally:
        server.remove()

    text = report(cases, machine, asked)
    kept = [
        {"durability": c.durability, "concurrency": c.concurrency, "runs_per_second": c.rates} for c in cases
    ]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"machine": machine, "cases": kept}, indent=1) + "\n")
    print(f"\n{text}\n\nfigures in {asked.out}")
    if asked.docs:
        page.put("checkpointers", text)
        PICTURE.write_text(figures.picture(cases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
