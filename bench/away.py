"""What it costs when the cache's Redis goes away, and when it is back: `python -m bench away`.

One replica, with PostgreSQL and Redis, answers stateless runs that each ask for one of many prices: more than
the memory of a replica holds, asked for by Zipf's law, and all in Redis when a round begins. In each round
first with Redis, then without it, then with a new and empty one; so what else the machine does falls on all
three, and the ratio of two is taken within a round. Every answer is compared with the right one. The exit
code is 1 when one was wrong, or when without Redis the p95 was more than `MOST_TIMES` that with it.
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
from statistics import median
from typing import Any

import orjson
from bench import page, pricing
from bench.figures import Spread, percentile, ratios
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
WITH, WITHOUT, EMPTY = "with Redis", "Redis is gone", "Redis is back, empty"
MOST_TIMES = 1.2
"""The p95 without Redis, in the median over the rounds, as a multiple of that with it."""
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

    @property
    def p50(self) -> float:
        """In milliseconds."""
        return 1000 * percentile(self.answers, 50)


Round = Sequence[Seen]
"""The parts of one."""


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
        print(f"{name}: {len(seen.answers):,} answers, p50 {seen.p50:.1f}, p95 {seen.p95:.1f} ms", flush=True)
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


def measure(asked: argparse.Namespace) -> tuple[list[Round], list[float]]:
    """The rounds, and in each the seconds until the new Redis was used."""
    target = Target("PostgreSQL and Redis", redis=True)
    rounds: list[Round] = []
    used: list[float] = []
    with ExitStack() as stack:
        ground = Ground(stack, [target])
        service = stack.enter_context(ground.serve(target, GRAPH, {}))
        load = Load(service.addresses[0], asked)
        for _ in range(asked.rounds):
            asyncio.run(fill(ground.redis.uri, asked.things))
            asyncio.run(load.play("before it counts", asked.seconds / 2))
            parts = [asyncio.run(load.play(WITH, asked.seconds))]
            ground.redis.stop()
            parts.append(asyncio.run(load.play(WITHOUT, asked.seconds)))
            ground.redis.start()
            used.append(asyncio.run(load.until_used()))
            parts.append(asyncio.run(load.play(EMPTY, asked.seconds)))
            rounds.append(parts)
    return rounds, used


def times(rounds: Sequence[Round], part: int) -> Spread:
    """The p95 of a part as a multiple of that with Redis, round by round."""
    return ratios([each[part].p95 for each in rounds], [each[0].p95 for each in rounds])


def table(rounds: Sequence[Round]) -> str:
    """In Markdown: medians over the rounds, of the times the least and the most, too."""
    lines = [["", "answers", "p50, ms", "p95, ms", "times", "hit rate", "errors"], ["---"] * 7]
    for number, name in enumerate(seen.name for seen in rounds[0]):
        parts = [each[number] for each in rounds]
        hits, asked = sum(each.hits for each in parts), sum(each.hits + each.misses for each in parts)
        lines.append(
            [
                name,
                f"{sum(len(each.answers) for each in parts):,}",
                f"{median(each.p50 for each in parts):.1f}",
                f"{median(each.p95 for each in parts):.1f}",
                times(rounds, number).text(2) if number else "1.00",
                f"{100 * hits / asked:.0f} %" if asked else "",
                str(sum(each.errors.total() for each in parts)),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table, and keeps the figures as JSON. The exit code."""
    parser = argparse.ArgumentParser(prog="bench.away", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each part of a round")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--things", type=int, default=20_000, help="prices that may be asked for")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    asked = parser.parse_args(argv)

    stop_on_signals()
    machine = facts(PACKAGES)
    rounds, used = measure(asked)
    about = "; ".join(f"{name} {value}" for name, value in machine.items())
    how = (
        f"{asked.clients} clients, {asked.things:,} prices, {asked.rounds} rounds of {asked.seconds:g} s for "
        "each line: medians, of the times the least and the most, too. Redis was used"
    )
    text = f"{table(rounds)}\n\n{how} {Spread.of(used).text(2)} s after it was back. Machine: {about}."
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    parts = [[asdict(part) for part in each] for each in rounds]
    kept = {"machine": machine, "used_after_seconds": used, "rounds": parts}
    asked.out.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\n{text}\n\nfigures in {asked.out}")
    if (without := times(rounds, 1)).median > MOST_TIMES:
        print(f"target missed: p95 without Redis: {without.text(2)} times; at most {MOST_TIMES:g}")
    if asked.docs:
        page.put("away", text)
    wrong = any(part.errors for each in rounds for part in each)
    return int(wrong or without.median > MOST_TIMES)


if __name__ == "__main__":
    sys.exit(main())
