"""A whole play of the centre: the service comes up, its customers come, things happen to it, and what was
measured is gathered."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.centre.account import Account, Turn, contradict, interrupted
from bench.centre.happenings import Happening, logged, records, replaced, scaled, told
from bench.centre.phases import phases, steady
from bench.centre.players import Play
from bench.centre.service import Centre, Size, centre
from bench.centre.story import Act, Story, acts
from bench.centre.watch import Watch
from bench.load import Sessions
from bench.processes import beside

SHOWS: Final = "{online} customers online, {running} turns under way, {turns} ended, {wrong} of them wrong"
"""How it goes, while it is played."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is played. `rate`: turns a second in the steady phase."""

    customers: int
    rate: float
    seconds: float
    seed: int
    size: Size
    eventful: bool = True
    fresh: bool = False
    """No question is asked twice."""

    @property
    def think(self) -> float:
        """Mean seconds between two turns of a customer in the steady phase."""
        return self.customers / self.rate


def begins(customers: int, questions: int, seconds: float) -> str:
    """What is said before it is played: the panel counts more turns than there are questions."""
    return (
        f"{customers} customers ask {questions} questions in {seconds:.0f} s; what a person answers, to "
        "whom one was handed over, is a turn too"
    )


def play(asked: Asked) -> Account:
    """Plays it, with everything that happens to the service."""
    with ExitStack() as stack:
        service = stack.enter_context(centre(asked.size))
        return played(stack, service, asked, acts(service, phases(asked.seconds)))


def played(stack: ExitStack, service: Centre, asked: Asked, todo: Sequence[Act]) -> Account:
    """Plays against a service that is up."""
    out = service.folder.with_suffix(".turns.jsonl")
    job = Play(
        "127.0.0.1", service.port, asked.customers, asked.rate, asked.seconds, str(out), str(service.folder),
        asked.seed, asked.eventful, asked.fresh,
    )  # fmt: skip
    sessions = Sessions(stack, job, "bench.centre.players", SHOWS)
    opened = sessions.until("open")
    print(begins(opened["customers"], opened["questions"], asked.seconds), flush=True)

    began, clock = time.monotonic(), time.time()
    watch = Watch(service, sessions.pid, began)
    story = Story(todo, lambda line: print(line, flush=True), watch.count)
    with beside(watch.watch), story.told(began):
        sessions.tell("go")
        done = sessions.until("done")
    over = Over(out, watch, done["most_online"], time.monotonic() - began, clock)
    watch.look()
    return account(service, asked, over)


@dataclass(frozen=True, slots=True)
class Over:
    """A play that is over. `out`: the file of its turns; `clock`: when it began, seconds since the epoch."""

    out: Path
    watch: Watch
    most_online: int
    seconds: float
    clock: float


def account(service: Centre, asked: Asked, over: Over) -> Account:
    """What it came to."""
    clock, watch = over.clock, over.watch
    turns = [Turn(**json.loads(line)) for line in over.out.read_text().splitlines()]
    model = service.model_seconds()
    for turn in turns:
        turn.model = model.get(turn.run_id or "", 0.0)
    contradict(turns)
    lines = [line for name, log in service.logs().items() for line in logged(name, log)]
    finished_by = {line.told["run_id"]: line.replica for line in lines if line.event == "run.finished"}
    history = records(service.history.read_text().splitlines())
    happened = [*scaled(history), *replaced(service.said.read_text().splitlines(), clock), *told(lines)]
    lookups = watch.lookups()
    held = [(each.run_id, each.replica, each.how) for each in service.held]
    return Account(
        customers=asked.customers,
        most_online=over.most_online,
        seconds=over.seconds,
        plan=(phases if asked.eventful else steady)(asked.seconds),
        turns=turns,
        samples=watch.samples,
        cores=len(os.sched_getaffinity(0)),
        hits=sum(hits for hits, _ in lookups.values()),
        misses=sum(misses for _, misses in lookups.values()),
        interrupted=interrupted(held, service.statuses(), finished_by, turns),
        happenings=[
            Happening(each.at - clock, each.text)
            for each in sorted(happened, key=lambda each: each.at)
            if each.at >= clock
        ],
        hits_by=lookups,
    )
