"""Loads for the scaling stories: Poisson arrivals from a seed, and the published conversation trace."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from lgs_operator.scaling.simulation import Job

TRACE = Path(__file__).parent / "traces" / "azure_llm_conversation_2023.csv"


def poisson(rate: Callable[[float], float], seconds: float, run: float, seed: int = 1) -> list[Job]:
    """Arrivals at `rate(t)` a second (at most 200), with exponential run times of mean `run` seconds."""
    dice = random.Random(seed)
    jobs, at, most = [], 0.0, 200.0
    while True:
        at += dice.expovariate(most)
        if at >= seconds:
            return jobs
        if dice.random() < rate(at) / most:
            jobs.append(Job(at, min(8 * run, dice.expovariate(1 / run))))


def steps(*levels: tuple[float, float]) -> Callable[[float], float]:
    """A rate that is `level` from `since` on, for each (since, level)."""
    return lambda at: next(level for since, level in reversed(levels) if at >= since)


def conversation() -> list[Job]:
    """The conversation trace: about an hour, with 0.5 s and 0.03 s for each generated token."""
    with TRACE.open(encoding="utf-8") as file:
        rows = [(_seconds(row["TIMESTAMP"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    start = rows[0][0]
    return [Job(at - start, 0.5 + 0.03 * tokens) for at, tokens in sorted(rows)]


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp[:26]).timestamp()
