"""Loads to play: built-in ones, made from a seed and sized for the manifest. The same arguments
give the same runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from math import cos, floor, isfinite, log, pi

from lgs_operator.scaling.policy import Policy
from lgs_operator.simulate.record import Job

MOST_RUNS = 1_000_000
MOST_SECONDS = 2 * 86_400
CALM = 0.1
"""Share of the top rate between spikes and bursts, so that these are ten times the load."""
FILLED = 2 / 3
"""Share of maxReplicas that a built-in load needs at its top, if no rate is given."""
BATCH_SECONDS = 3.0
LONG_TAIL = 1.5
"""Standard deviation of the logarithm of a run's length: the mean is three times the median."""
LONGEST_TAIL = 100.0
JITTER_SECONDS = 2.0
MONDAY = 1_767_571_200.0
"""The start of a load that names none: 2026-01-05, midnight in UTC."""


class LoadError(ValueError):
    """The load can't be played; the message says which value breaks which rule."""


@dataclass(frozen=True, slots=True)
class Load:
    """Runs in the order of their arrival, for `seconds` from `starts_at` on (since the epoch); `title`
    describes them in words.
    """

    title: str
    jobs: tuple[Job, ...]
    seconds: float
    starts_at: float = MONDAY


class Named(StrEnum):
    """The built-in loads."""

    SPIKE = "spike"
    RAMP = "ramp"
    DIURNAL = "diurnal"
    FLASH = "flash"
    BATCHES = "batches"
    BURSTS = "bursts"
    SHORT_BURSTS = "short-bursts"
    LONG_TAIL = "long-tail"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class _Shape:
    seconds: float
    words: str
    share: Callable[[float], float]
    """The share of the top rate at a time in seconds."""
    run_seconds: float = 2.0
    """Mean length of a run, if none is given."""
    is_long_tailed: bool = False
    batch_seconds: float = 0.0


_SHAPES = {
    Named.SPIKE: _Shape(
        900, "ten times the load from 3 to 8 minutes", lambda at: 1 if 180 <= at < 480 else CALM
    ),
    Named.RAMP: _Shape(
        1800, "from a tenth to the whole load in 20 minutes", lambda at: min(1, CALM + (1 - CALM) * at / 1200)
    ),
    Named.DIURNAL: _Shape(
        86_400,
        "a day, with a tenth of the load at 2 and the whole at 14 o'clock",
        lambda at: CALM + (1 - CALM) * (1 - cos((at / 3600 - 2) * pi / 12)) / 2,
        run_seconds=30.0,
    ),
    Named.FLASH: _Shape(
        1800,
        "ten times the load for 2 minutes, three times, 10 minutes apart",
        lambda at: 1 if at >= 300 and (at - 300) % 600 < 120 else CALM,
    ),
    Named.BATCHES: _Shape(
        1800, "the same load all the time, in batches of 3 s", lambda _: 1, batch_seconds=BATCH_SECONDS
    ),
    Named.BURSTS: _Shape(
        1800, "ten times the load for 30 s in every 2 minutes", lambda at: 1 if at % 120 >= 90 else CALM
    ),
    Named.SHORT_BURSTS: _Shape(
        3600, "ten times the load for 15 s in every 5 minutes", lambda at: 1 if at % 300 < 15 else CALM
    ),
    Named.LONG_TAIL: _Shape(
        900, "the same load all the time, of runs with a long tail", lambda _: 1, is_long_tailed=True
    ),
    Named.STEADY: _Shape(900, "the same load all the time", lambda _: 1),
}


def load_of(name: str) -> Named:
    """The built-in load of this name. Raises `LoadError`, which lists all."""
    try:
        return Named(name)
    except ValueError:
        near = get_close_matches(name, list(Named), n=1)
        meant = f": did you mean {near[0]}?" if near else ""
        raise LoadError(f"--load is {name!r}; it must be one of {', '.join(Named)}{meant}") from None


def named(
    name: Named, policy: Policy, *, run_seconds: float | None = None, rate: float | None = None, seed: int = 1
) -> Load:
    """The built-in load `name` with `rate` runs a second at its top; None sizes it for `policy`.

    Raises `LoadError` if there would be no run, or more than can be simulated in a bearable time.
    """
    shape = _SHAPES[name]
    length = shape.run_seconds if run_seconds is None else run_seconds
    top = FILLED * policy.max_replicas * policy.slots * policy.utilization / length if rate is None else rate
    if not (isfinite(top) and top > 0):
        raise LoadError(f"--rate is {top}; it must be a number above 0")
    mean = sum(shape.share(shape.seconds * (part + 0.5) / 240) for part in range(240)) / 240
    _must_be_bearable(
        top * mean * shape.seconds, f"--rate is {top:.4g} runs/s, ", "a lower --rate or longer runs"
    )
    jobs = poisson(lambda at: top * shape.share(at), shape.seconds, length, seed, most=top)
    if shape.batch_seconds:
        step = shape.batch_seconds
        jobs = [Job(floor(job.at / step) * step, job.seconds) for job in jobs]
    if shape.is_long_tailed:
        jobs = _long_tailed(jobs, length, seed)
    if not jobs:
        raise LoadError(f"--rate is {top:g} runs/s, with which no run comes: pass a higher --rate")
    title = f"{name}: {shape.words}, {top:.3g} runs/s at the top, runs of {length:g} s on average"
    return Load(title, tuple(jobs), shape.seconds)


def _must_be_bearable(runs: float, what: str, way_out: str) -> None:
    if runs > MOST_RUNS:
        raise LoadError(f"{what}{_whole(runs)} runs in all; it must give at most {MOST_RUNS}: pass {way_out}")


def _whole(runs: float) -> str:
    return f"{runs:.0f}" if runs < 1e15 else f"{runs:.3g}"


def times(load: Load, number: int, seed: int = 1) -> Load:
    """`load` with each run `number` times, the copies within 2 s of it. Raises `LoadError`."""
    if number < 1:
        raise LoadError(f"--times is {number}; it must be at least 1")
    if number == 1:
        return load
    _must_be_bearable(number * len(load.jobs), f"--times is {number}, ", "a lower one")
    dice = random.Random(seed)
    copies = [
        Job(min(max(job.at + dice.uniform(-JITTER_SECONDS, JITTER_SECONDS), 0.0), load.seconds), job.seconds)
        for job in load.jobs
        for _ in range(number - 1)
    ]
    jobs = tuple(sorted((*load.jobs, *copies), key=lambda job: job.at))
    return replace(load, title=f"{load.title}, {number} times", jobs=jobs)


def poisson(
    rate: Callable[[float], float], seconds: float, run: float, seed: int = 1, most: float = 200.0
) -> list[Job]:
    """Arrivals at `rate(t)` a second (at most `most`), with exponential run times of mean `run` seconds."""
    draw = random.Random(seed).random
    jobs: list[Job] = []
    at, longest, per_second = 0.0, 8 * run, 1 / run
    while True:
        # Like `expovariate`, whose call would take half of the time.
        at += -log(1.0 - draw()) / most
        if at >= seconds:
            return jobs
        if draw() < rate(at) / most:
            jobs.append(Job(at, min(longest, -log(1.0 - draw()) / per_second)))


def _long_tailed(jobs: Sequence[Job], mean: float, seed: int) -> list[Job]:
    """The same arrivals with log-normal lengths."""
    dice = random.Random(seed)
    middle = log(mean) - LONG_TAIL**2 / 2
    return [Job(job.at, min(LONGEST_TAIL * mean, dice.lognormvariate(middle, LONG_TAIL))) for job in jobs]
