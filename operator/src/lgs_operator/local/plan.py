"""Decides which worker processes to start and which to drain, from what runs now and what is wanted. Pure.

Workers of a new generation (changed code or manifest) replace the old ones one by one: an old worker
drains only when a new one is ready in its place. A generation that can't work changes nothing: what
serves goes on serving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lgs_operator.backoff import Backoff

Phase = Literal["starting", "ready", "draining"]
# No jitter: processes of one machine need not avoid each other.
BACKOFF = Backoff(first_seconds=0.5, longest_seconds=30.0, jitter=0.0)


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process, as far as the plan needs it. Higher generations are newer."""

    name: str
    generation: int
    phase: Phase
    started_at: float


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a plan depends on. `can_work` is False once a worker of this generation has ended
    with exit code 2."""

    workers: tuple[Worker, ...]
    wanted: int
    generation: int
    can_work: bool = True
    not_before: float = 0.0
    """The time before which nothing is started; crashes move it later."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many workers of the present generation to start, and the names of the workers to drain."""

    start: int = 0
    drain: tuple[str, ...] = ()


def plan(situation: Situation, now: float) -> Plan:
    """What to do at `now` (any clock, in seconds)."""
    live = [worker for worker in situation.workers if worker.phase != "draining"]
    new = [worker for worker in live if worker.generation == situation.generation]
    old = [worker for worker in live if worker.generation != situation.generation]
    return Plan(start=_starts(situation, new, old, now), drain=_drains(situation, new, old))


def _starts(situation: Situation, new: list[Worker], old: list[Worker], now: float) -> int:
    if not situation.can_work or now < situation.not_before:
        return 0
    missing = situation.wanted - len(new) - len(old)
    if missing > 0:
        return missing
    replacing = old and len(new) < situation.wanted and all(worker.phase == "ready" for worker in new)
    return 1 if replacing else 0


def _drains(situation: Situation, new: list[Worker], old: list[Worker]) -> tuple[str, ...]:
    """The names to drain: workers of older generations first, those not ready before the ready ones, then
    surplus workers of the new generation, the youngest first."""
    if not situation.can_work:
        return _surplus(old, situation.wanted)
    unready = [worker.name for worker in old if worker.phase == "starting"]
    serving = [worker for worker in old if worker.phase == "ready"]
    ready = sum(1 for worker in new if worker.phase == "ready")
    spare = max(0, min(len(serving), ready + len(serving) - situation.wanted))
    oldest = sorted(serving, key=lambda worker: worker.started_at)[:spare]
    return (*unready, *(worker.name for worker in oldest), *_surplus(new, situation.wanted))


def _surplus(workers: list[Worker], wanted: int) -> tuple[str, ...]:
    order = sorted(workers, key=lambda worker: (worker.phase == "ready", -worker.started_at))
    return tuple(worker.name for worker in order[: max(0, len(workers) - wanted)])


def pause_after(crashes: int) -> float:
    """Seconds to wait after this many crashes in a row: none after the first, then doubling
    up to half a minute.
    """
    if crashes <= 1:
        return 0.0
    return BACKOFF.pause(crashes - 1)
