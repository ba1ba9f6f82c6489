"""Loads to play: built-in ones from a seed, sized for the manifest. The same arguments give the same runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from lgs_operator.scaling.policy import Policy
from lgs_operator.simulate.service import Job

MOST_RUNS = 500_000
MOST_SECONDS = 2 * 86_400
CALM = 0.1
"""Share of the top rate between spikes and bursts: they are steps of ten times."""
FILLED = 2 / 3
"""Share of maxReplicas that the top of a built-in load needs if no rate is given."""


class LoadError(ValueError):
    """The load can't be played; the message says which value breaks which rule."""


@dataclass(frozen=True, slots=True)
class Load:
    """Runs in the order of their arrival, for `seconds`; `title` says in words what they are."""

    title: str
    jobs: tuple[Job, ...]
    seconds: float


class Named(StrEnum):
    """The built-in loads."""

    SPIKE = "spike"
    BURSTS = "bursts"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class _Shape:
    seconds: float
    words: str
    share: Callable[[float], float]
    """Of the top rate, at a time."""


_SHAPES = {
    Named.SPIKE: _Shape(
        900, "ten times the load from 3 to 8 minutes", lambda at: 1 if 180 <= at < 480 else CALM
    ),
    Named.BURSTS: _Shape(
        1800, "ten times the load for 30 s in every 2 minutes", lambda at: 1 if at % 120 >= 90 else CALM
    ),
    Named.STEADY: _Shape(900, "the same load all the time", lambda _: 1),
}


def named(
    name: Named, policy: Policy, *, run_seconds: float = 2.0, rate: float | None = None, seed: int = 1
) -> Load:
    """The built-in load `name` with `rate` runs a second at its top; None sizes it for `policy`.

    `LoadError` when there would be more runs than can be simulated in a bearable time.
    """
    shape = _SHAPES[name]
    top = (
        FILLED * policy.max_replicas * policy.slots * policy.utilization / run_seconds
        if rate is None
        else rate
    )
    if not (isfinite(top) and top > 0):
        raise LoadError(f"--rate is {top}; it must be a number above 0")
    if top * shape.seconds > MOST_RUNS:
        raise LoadError(
            f"--rate is {top:.0f} runs/s, {top * shape.seconds:.0f} runs in all; "
            f"it must give at most {MOST_RUNS}: pass a lower --rate or a higher --run-seconds"
        )
    jobs = poisson(lambda at: top * shape.share(at), shape.seconds, run_seconds, seed, most=top)
    title = f"{name}: {shape.words}, {top:.3g} runs/s at the top, runs of {run_seconds:g} s on average"
    return Load(title, tuple(jobs), shape.seconds)


def poisson(
    rate: Callable[[float], float], seconds: float, run: float, seed: int = 1, most: float = 200.0
) -> list[Job]:
    """Arrivals at `rate(t)` a second (at most `most`), with exponential run times of mean `run` seconds."""
    dice = random.Random(seed)
    jobs: list[Job] = []
    at = 0.0
    while True:
        at += dice.expovariate(most)
        if at >= seconds:
            return jobs
        if dice.random() < rate(at) / most:
            jobs.append(Job(at, min(8 * run, dice.expovariate(1 / run))))
