"""What it costs when the cache's Redis goes away, and when it is back: `python -m bench away`.

One replica, with PostgreSQL and Redis, answers stateless runs that each ask for one of many prices: more than
the memory of a replica holds, asked for by Zipf's law, and all in Redis when it begins. First with Redis,
then without it, then with a new and empty one. Every answer is compared with the right one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson
from bench import page, pricing
from bench.figures import percentile
from bench.machine import facts
from bench.replicas import Ground, Target, stop_on_signals
from bench.wire import Connection, request

from lgs_runtime.cache.current import serving
from lgs_runtime.cache.factory import open_cache
from lgs_runtime.settings import Settings

OUT = Path(__file__).parent / "results" / "away.json"
GRAPH = "./bench/pricing.py:builder"
NAMESPACE = "bench.pricing.price_of"
PACKAGES = ("langgraph", "redis")
POLL_SECONDS = 0.01
AT_A_TIME = 100


@dataclass(slots=True)
class Seen:
    """One part of the load: seconds of its answers, what went wrong, and what the cache has counted in it."""

    name: str
    answers: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    misses: int = 0

    @property
    def p95(self) -> float:
        """In milliseconds."""
        return 1000 * percentile(self.answers, 95)

    def row(self, first: Seen) -> list[str]:
        """Its figures as a table has them."""
        asked = self.hits + self.misses
        p50 = 1000 * percentile(self.answers, 50)
        rate = f"{100 * self.hits / asked:.0f} %" if asked else ""
        times = f"{self.p95 / first.p95:.2f}"
        figures = [f"{len(self.answers):,}", f"{p50:.1f}", f"{self.p95:.1f}", times, rate]
        return [self.name, *figures, str(self.errors.total())]


def zipf(things: int, seed: int) -> Iterator[int]:
    """Numbers below `things`, the n-th as often as 1/n."""
    weights = list(accumulate(1 / (number + 1) for number in range(things)))
    draw = random.Random(seed)
    while True:
        yield draw.choices(range(things), cum_weights=weights)[0]


async def ask(connection: Connection, thing: int) -> str | None:
    """One run; what was wrong with its answer, or None."""
    body = orjson.dumps({"assistant_id": "agent", "input": {"thing": thing}})
    reply = await connection.ask(request("POST", "/runs/wait", body))
    if reply.status != 200:
        return f"status {reply.status}"
    return None if orjson.loads(reply.body) == {"thing": thing, "price": 7 * thing} else "wrong result"


async def fill(uri: str, things: int) -> None:
    """Puts all prices into Redis."""
    pricing.WORK_SECONDS = 0.0
    cache = open_cache(uri, Settings().service, 3600.0)
    with serving(cache):
        for first in range(0, things, AT_A_TIME):
            await asyncio.gather(*map(pricing.price_of, range(first, min(first + AT_A_TIME, things))))
    await cache.close()


class Load:
    """Clients that each ask again when they have an answer."""

    def __init__(self, address: tuple[str, int], asked: argparse.Namespace) -> None:
        self._address = address
        self._asked = asked
        self._things = zipf(asked.things, seed=1)

    async def play(self, name: str, seconds: float) -> Seen:
        """For so long."""
        seen = Seen(name)
        over = time.perf_counter() + seconds
        before = await self.counted()

        async def client() -> None:
            connection = await Connection.open(*self._address)
            while time.perf_counter() < over:
                began = time.perf_counter()
                if (problem := await ask(connection, next(self._things))) is not None:
                    seen.errors[problem] += 1
                else:
                    seen.answers.append(time.perf_counter() - began)
            connection.close()

        await asyncio.gather(*(client() for _ in range(self._asked.clients)))
        after = await self.counted()
        seen.hits, seen.misses = (after[what] - before[what] for what in ("hits", "misses"))
        print(f"{name}: {' | '.join(seen.row(seen)[1:])}", flush=True)
        return seen

    async def counted(self) -> dict[str, int]:
        """What the cache has counted of the prices so far."""
        told = await self.stats()
        return told["namespaces"].get(NAMESPACE) or {"hits": 0, "misses": 0}

    async def stats(self) -> Any:
        """`GET /cache/stats`."""
        connection = await Connection.open(*self._address)
        reply = await connection.ask(request("GET", "/cache/stats"))
        connection.close()
        return orjson.loads(reply.body)

    async def until_used(self) -> float:
        """Seconds until Redis is used."""
        began = time.perf_counter()
        while (await self.stats())["redis"] != "up":  # noqa: ASYNC110 - another process finds it
            await asyncio.sleep(POLL_SECONDS)
        return time.perf_counter() - began


def measure(asked: argparse.Namespace) -> tuple[list[Seen], float]:
    """The three parts, and the seconds until the new Redis was used."""
    target = Target("PostgreSQL and Redis", redis=True)
    with ExitStack() as stack:
        ground = Ground(stack, [target])
        service = stack.enter_context(ground.serve(target, GRAPH, {}))
        asyncio.run(fill(ground.redis.uri, asked.things))
        load = Load(service.addresses[0], asked)
        asyncio.run(load.play("before it counts", asked.seconds))
        parts = [asyncio.run(load.play("with Redis", asked.seconds))]
        ground.redis.stop()
        parts.append(asyncio.run(load.play("Redis is gone", asked.seconds)))
        ground.redis.start()
        used = asyncio.run(load.until_used())
        parts.append(asyncio.run(load.play("Redis is back, empty", asked.seconds)))
    return parts, used


def table(parts: Sequence[Seen]) -> str:
    """In Markdown; times are those of the first part."""
    lines = [["", "answers", "p50, ms", "p95, ms", "times", "hit rate", "errors"], ["---"] * 7]
    lines += [part.row(parts[0]) for part in parts]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table, and keeps the figures as JSON. 1 when any answer was not the right one."""
    parser = argparse.ArgumentParser(prog="bench.away", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each part")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--things", type=int, default=20_000, help="prices that may be asked for")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    asked = parser.parse_args(argv)

    stop_on_signals()
    machine = facts(PACKAGES)
    parts, used = measure(asked)
    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    how = (
        f"{asked.clients} clients, {asked.things:,} prices, {asked.seconds:g} s for each line. Redis was used"
    )
    text = f"{table(parts)}\n\n{how} {used:.2f} s after it was back. Machine: {about}."
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    kept = {"machine": machine, "used_after_seconds": used, "parts": [asdict(part) for part in parts]}
    asked.out.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\n{text}\n\nfigures in {asked.out}")
    if asked.docs:
        page.put("away", text)
    return int(any(part.errors for part in parts))


if __name__ == "__main__":
    sys.exit(main())
