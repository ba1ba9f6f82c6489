"""What a turn costs, and what a service of a given size needs by that. Pure.

The model is a line: a replica uses `idle` cores whatever it does, and each turn so many processor seconds of
the replicas, of PostgreSQL and of Redis; between a turn that finds everything in the cache and one that finds
nothing they grow with the share that is not found. Groups of commits grow with the load, so that the
database's part is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PARTS: Final = ("replicas", "PostgreSQL", "Redis")
BUSY: Final = 0.6
"""How busy a core is planned to be: a replica is one event loop, and a spike needs room."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A stretch of steady load. `cpu`: seconds of processor time by part; `hit_rate` of the cache's lookups;
    `answer`: mean seconds of a turn; `wal`, `stored`: bytes that PostgreSQL wrote, and grew by."""

    seconds: float
    turns: int
    replicas: int
    hit_rate: float
    cpu: Mapping[str, float]
    answer: float
    memory: float
    """MiB of the largest replica."""
    wal: int = 0
    stored: int = 0
    commits: int = 0

    @property
    def rate(self) -> float:
        """Turns a second."""
        return self.turns / self.seconds

    def cores(self, part: str) -> float:
        """Cores that were busy with it on average."""
        return self.cpu[part] / self.seconds


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor seconds of a turn by part: when all is in the cache (`cached`), when nothing is (`fresh`).
    `idle`: cores of a replica without any turn."""

    idle: float
    cached: Mapping[str, float]
    fresh: Mapping[str, float]

    def turn(self, part: str, hit_rate: float) -> float:
        """Of a turn at a hit rate."""
        return self.fresh[part] + hit_rate * (self.cached[part] - self.fresh[part])

    def cores(self, part: str, rate: float, hit_rate: float, replicas: int) -> float:
        """Cores that are busy with `rate` turns a second."""
        idle = replicas * self.idle if part == "replicas" else 0.0
        return idle + rate * self.turn(part, hit_rate)


def costs(idle: float, common: Measured, fresh: Measured) -> Costs:
    """From a stretch of common questions and one of questions that nobody asked before. Raises `ValueError`
    when their hit rates are too near each other to separate the two."""
    apart = common.hit_rate - fresh.hit_rate
    if apart < 0.2:
        raise ValueError(f"hit rates {common.hit_rate:.2f} and {fresh.hit_rate:.2f}: must differ by 0.2")
    found: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for part in PARTS:
        of_common, of_fresh = (_of_a_turn(each, part, idle) for each in (common, fresh))
        slope = (of_common - of_fresh) / apart
        at_none = of_fresh - slope * fresh.hit_rate
        found[0][part], found[1][part] = max(0.0, at_none + slope), max(0.0, at_none)
    return Costs(idle, *found)


def _of_a_turn(measured: Measured, part: str, idle: float) -> float:
    at_rest = idle * measured.replicas * measured.seconds if part == "replicas" else 0.0
    return max(0.0, measured.cpu[part] - at_rest) / measured.turns


@dataclass(frozen=True, slots=True)
class Need:
    """What a service of a size takes. `cores`: those that are busy."""

    rate: float
    customers: int
    hit_rate: float
    replicas: int
    slots: int
    cores: Mapping[str, float]
    memory_gib: float
    connections: int
    wal_mib: float
    stored_gib_a_day: float

    def have(self, part: str) -> int:
        """Cores to have, so that none is busier than planned."""
        return max(1, math.ceil(self.cores[part] / BUSY))


def need(rate: float, customers: int, cost: Costs, like: Measured, connections: int) -> Need:
    """Worked out from what a turn costs; hit rate, length of an answer and memory are those of `like`.
    `connections`: of one replica to PostgreSQL."""
    of_a_turn = cost.turn("replicas", like.hit_rate)
    # As many as keep each at the planned load, its idle part included.
    replicas = math.ceil(rate * of_a_turn / max(0.01, BUSY - cost.idle))
    return Need(
        rate=rate,
        customers=customers,
        hit_rate=like.hit_rate,
        replicas=replicas,
        slots=math.ceil(1.3 * rate * like.answer / replicas),
        cores={part: cost.cores(part, rate, like.hit_rate, replicas) for part in PARTS},
        memory_gib=replicas * like.memory / 1024,
        connections=replicas * connections,
        wal_mib=rate * like.wal / like.turns / 2**20,
        stored_gib_a_day=86_400 * rate * like.stored / like.turns / 2**30,
    )


def check_table(cost: Costs, sizes: Sequence[Measured]) -> str:
    """Markdown: cores as worked out and as measured, at each size."""
    head = ["turns/s", "replicas", "hit rate"]
    head += [f"{part}: {what}" for part in PARTS for what in ("predicted", "measured")]
    head += ["off by"]
    lines = [head, ["---"] * len(head)]
    for each in sizes:
        predicted = {part: cost.cores(part, each.rate, each.hit_rate, each.replicas) for part in PARTS}
        cells = [f"{cores:.3f}" for part in PARTS for cores in (predicted[part], each.cores(part))]
        off = sum(predicted.values()) / sum(each.cores(part) for part in PARTS) - 1
        lines.append(
            [
                f"{each.rate:.1f}",
                str(each.replicas),
                f"{100 * each.hit_rate:.0f} %",
                *cells,
                f"{100 * off:+.0f} %",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cost_table(cost: Costs) -> str:
    """Markdown: what a turn costs."""
    lines = [["processor time of a turn, ms", *PARTS, "together"], ["---"] * (len(PARTS) + 2)]
    for name, of in (("all found in the cache", cost.cached), ("nothing found", cost.fresh)):
        cells = [f"{1000 * of[part]:.1f}" for part in PARTS]
        lines.append([name, *cells, f"{1000 * sum(of[part] for part in PARTS):.1f}"])
    idle = f"a replica without any turn: {1000 * cost.idle:.0f} ms a second"
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{idle}."


def need_table(needs: Sequence[Need]) -> str:
    """Markdown: what each size takes."""
    rows = {
        "turns a second": [f"{each.rate:,.0f}" for each in needs],
        "customers online": [f"{each.customers:,}" for each in needs],
        "seconds between two turns of a customer": [f"{each.customers / each.rate:.0f}" for each in needs],
        "hit rate": [f"{100 * each.hit_rate:.0f} %" for each in needs],
        "replicas": [str(each.replicas) for each in needs],
        "slots of a replica (`workers.concurrency`)": [str(each.slots) for each in needs],
        **{
            f"{part}: cores that are busy, to have": [
                f"{each.cores[part]:.1f}, {each.have(part)}" for each in needs
            ]
            for part in PARTS
        },
        "memory of the replicas, GiB": [f"{each.memory_gib:.1f}" for each in needs],
        "connections to PostgreSQL": [str(each.connections) for each in needs],
        "PostgreSQL writes (WAL), MiB a second": [f"{each.wal_mib:.1f}" for each in needs],
        "PostgreSQL grows, GiB a day": [f"{each.stored_gib_a_day:.0f}" for each in needs],
    }
    lines = [["", *(f"{each.rate:,.0f} a second" for each in needs)], ["---"] * (len(needs) + 1)]
    lines += [[name, *cells] for name, cells in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
