"""What a play of the centre comes to: figures, targets, and what became of interrupted sessions. Pure.

The time of a turn runs from its request to the end of its answer. What the service adds is that time less the
model's own, which the model itself measures; waiting for a slot, checkpoints, lookups, a busy
machine, streams that were cut and sessions that were recovered are all in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final

from bench.centre.happenings import Happening
from bench.centre.phases import Phase
from bench.figures import percentile

WINDOW_SECONDS: Final = 10
P95_SECONDS: Final = 2.0
SUCCESS: Final = 0.999
ERRORS: Final = 0.001
RECOVERED: Final = 1.0
HIT_RATE: Final = 0.85


@dataclass(slots=True)
class Turn:
    """One turn as its customer saw it. `at`: seconds from the begin of the play; `model`: seconds of it that
    the model took, None where no answer had it; `first`: until the first piece of text."""

    at: float
    intent: str
    priority: str
    thread_id: str = ""
    run_id: str | None = None
    total: float = 0.0
    first: float | None = None
    model: float | None = None
    question: str = ""
    opening: bool = False
    """The first turn of its session: its answer depends on nothing that was said before."""
    answer: str = ""
    fallback: bool = False
    """Answered without the model, as the example does when its breaker is open."""
    handed_over: bool = False
    """To a person."""
    refusals: int = 0
    cuts: int = 0
    problem: str | None = None

    @property
    def added(self) -> float | None:
        """What the service adds; None where the model's own time is not known."""
        return None if self.model is None else self.total - self.model


@dataclass(frozen=True, slots=True)
class Sample:
    """A measurement of the service, at a time of the play. Processor time in seconds since the play began;
    memory in MiB; `machine`: what all of the machine's processes used."""

    at: float
    ready: int
    cpu: Mapping[str, float]
    machine: float
    memory: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A session whose replica was taken away under a run. `recovered`: that run ended as it should, and its
    customer has the right answer. `how`: what was done to the replica."""

    run_id: str
    how: str
    recovered: bool


@dataclass(frozen=True, slots=True)
class Account:
    """All that was measured in a play of `seconds`."""

    customers: int
    most_online: int
    seconds: float
    plan: Sequence[Phase]
    turns: Sequence[Turn]
    samples: Sequence[Sample]
    cores: int
    hits: int
    misses: int
    interrupted: Sequence[Interrupted]
    happenings: Sequence[Happening]
    """Times of the play."""
    hits_by: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Hits and misses by namespace of the cache."""

    @property
    def right(self) -> list[Turn]:
        """Turns with their right answer."""
        return [turn for turn in self.turns if turn.problem is None]

    @property
    def wrong(self) -> list[Turn]:
        """The others."""
        return [turn for turn in self.turns if turn.problem is not None]

    @property
    def added(self) -> list[float]:
        """What the service added to each right answer whose model's time is known."""
        return [turn.added for turn in self.right if turn.added is not None]

    @property
    def recovered(self) -> int:
        """Sessions that were interrupted and went on to their right answer."""
        return sum(each.recovered for each in self.interrupted)


@dataclass(frozen=True, slots=True)
class Target:
    """What was aimed at. `measured` is None where nothing was: then it is not held."""

    name: str
    wanted: str
    measured: float | None
    held: bool


def targets(account: Account) -> list[Target]:
    """The targets of the centre. One without a measurement is missed: a play without an interrupted session
    has shown nothing of recovery."""
    asked = len(account.turns)
    lookups = account.hits + account.misses
    p95 = percentile(account.added, 95) if account.added else None
    success = len(account.right) / asked if asked else None
    errors = len(account.wrong) / asked if asked else None
    interrupted = len(account.interrupted)
    recovered = account.recovered / interrupted if interrupted else None
    hit_rate = account.hits / lookups if lookups else None
    return [
        Target("the service adds", "p95 < 2 s", p95, p95 is not None and p95 < P95_SECONDS),
        Target("success", "≥ 99.9 %", success, success is not None and success >= SUCCESS),
        Target("errors", "< 0.1 %", errors, errors is not None and errors < ERRORS),
        Target("sessions recovered", "100 %", recovered, recovered is not None and recovered >= RECOVERED),
        Target("cache hit rate", "≥ 85 %", hit_rate, hit_rate is not None and hit_rate >= HIT_RATE),
    ]


def interrupted(
    held: Sequence[tuple[str, str, str]],
    statuses: Mapping[str, str],
    finished_by: Mapping[str, str],
    turns: Sequence[Turn],
) -> list[Interrupted]:
    """The sessions that were interrupted, and whether they were recovered.

    `held`: run, replica, and what was done to the replica, which had the run under way then; `statuses`: of
    runs at the end; `finished_by`: the replica that ended a run. A replica that is asked to end finishes what
    it can: only what went on elsewhere was interrupted.
    """
    answered = {turn.run_id for turn in turns if turn.problem is None}
    found: list[Interrupted] = []
    for run_id, replica, how in held:
        if how != "killed" and finished_by.get(run_id) == replica:
            continue
        ended = statuses.get(run_id) in ("success", "interrupted")
        found.append(Interrupted(run_id, how, ended and run_id in answered))
    return found


def contradict(turns: Sequence[Turn]) -> None:
    """Marks as wrong what differs from the answer that most customers had to the same words at the beginning
    of a session: the example's model gives one answer to one question. Those that it gave without its model
    are others."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    alike = [turn for turn in turns if turn.opening and turn.problem is None and not turn.fallback]
    for turn in alike:
        answers[turn.question][turn.answer] += 1
    for turn in alike:
        usual = answers[turn.question].most_common(1)[0][0]
        if turn.answer != usual:
            turn.problem = f"to {turn.question!r} the answer was {turn.answer[:80]!r}, not {usual[:80]!r}"


def rate(account: Account) -> float:
    """Turns a second, over the whole play."""
    return len(account.turns) / account.seconds


def busiest(account: Account) -> float:
    """Turns a second in the busiest window of ten seconds."""
    windows = Counter(int(turn.at // WINDOW_SECONDS) for turn in account.turns)
    return max(windows.values(), default=0) / WINDOW_SECONDS


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and percentiles; empty of nothing."""
    if not values:
        return {}
    return {"mean": fmean(values), **{f"p{share}": percentile(values, share) for share in (50, 95, 99)}}


def cores_used(account: Account) -> dict[str, float]:
    """Cores that were busy on average, by who used them."""
    if not account.samples:
        return {}
    last = account.samples[-1]
    used = {name: seconds / last.at for name, seconds in last.cpu.items()}
    return {**used, "others": max(0.0, last.machine / last.at - sum(used.values()))}


def most_memory(account: Account) -> dict[str, float]:
    """MiB at most, by who had them."""
    names = {name for sample in account.samples for name in sample.memory}
    return {name: max(sample.memory.get(name, 0.0) for sample in account.samples) for name in sorted(names)}


def added_replicas(account: Account) -> tuple[int, int, int]:
    """Replicas that were ready at the start, at most, and how many the service added on the way: each rise of
    their number beyond the most there had been."""
    ready = [sample.ready for sample in account.samples]
    if not ready:
        return 0, 0, 0
    return ready[0], max(ready), max(ready) - ready[0]
