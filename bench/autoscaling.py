"""`make simulate`: the scaling law beside others, written into docs/autoscaling.md with its pictures.

Nothing is measured here that depends on the machine: the same code gives the same page.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.page import put

from lgs_operator.scaling import Policy
from lgs_operator.simulate import drawing
from lgs_operator.simulate.advice import Target, advise
from lgs_operator.simulate.candidates import KPA, OURS, Candidate, compared, ours, varied
from lgs_operator.simulate.comparison import Outcome, Players, quantile
from lgs_operator.simulate.conditions import WORDS, Conditions, Fault
from lgs_operator.simulate.front import Point, front
from lgs_operator.simulate.loads import Load, Named, named, poisson
from lgs_operator.simulate.record import Job
from lgs_operator.simulate.report import HEAD, cells, changes, losses, manifest_lines
from lgs_operator.simulate.service import Simulation
from lgs_operator.simulate.trace import read_trace

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGE = DOCS / "autoscaling.md"
TRACE = ROOT / "tests" / "scaling" / "traces" / "azure_llm_conversation_2023.csv"
CONVERSATIONS = "conversations"
POLICY = Policy(max_replicas=30, slots=8)
FINE = Policy(max_replicas=60, slots=2, utilization=1.0)
"""Small replicas and no bound but the wait that is allowed, so that it is seen what that does."""
USUAL = Conditions()
FRONTS = (Named.SPIKE, Named.FLASH, Named.BURSTS, Named.SHORT_BURSTS, Named.LONG_TAIL, CONVERSATIONS)
DRAWN = (Named.SPIKE, Named.BURSTS, CONVERSATIONS)
CLEAR = 1.1
"""Ahead of us is who is better in one measure and not worse by more than a tenth in the other."""
NONE_LOST = "Nobody, on these loads."
HOLDS = (15.0, 30.0, 60.0, 120.0, 300.0)
OVERSHOOTS = (1.0, 1.5, 2.0, 3.0, 6.0)
WAITS = (0.05, 0.2, 0.5, 1.0, 3.0, 10.0)
LATENCIES = (None, 12.0, 8.0, 6.0, 5.0, 4.2)
RUN_SECONDS = 3.9
WARM_SECONDS = 300.0
ADVICES = ((Named.BURSTS, "p99 wait 5s"), (CONVERSATIONS, "p99 wait 2s"))


def loads() -> Iterator[tuple[str, Load]]:
    """The built-in ones, and the published conversation trace."""
    for name in Named:
        yield name, named(name, POLICY)
    yield CONVERSATIONS, read_trace(TRACE)


@dataclass(slots=True)
class Page:
    """The rows of the page's tables, as they come."""

    comparison: list[str] = field(default_factory=lambda: [COMPARISON_HEAD])
    lost: list[str] = field(default_factory=list)
    fronts: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=lambda: [HOLDS_HEAD])
    overshoots: list[str] = field(default_factory=lambda: [OVERSHOOTS_HEAD])


def row(*parts: str) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(parts)} |"


def ahead(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that are better than ours in late runs or in price, and not worse by more than a tenth in the
    other.
    """
    mine = next(each for each in outcomes if each.law == OURS)
    return [each for each in outcomes if each is not mine and _is_ahead(each, mine)]


def _is_ahead(one: Outcome, other: Outcome) -> bool:
    late, hours = (one.late(5), other.late(5)), (one.replica_hours, other.replica_hours)
    return _beats(late, hours) or _beats(hours, late)


def _beats(measure: tuple[float, float], rest: tuple[float, float]) -> bool:
    return measure[0] * CLEAR < measure[1] and rest[0] <= CLEAR * rest[1]


def lost_in_words(name: str, outcomes: Sequence[Outcome]) -> str | None:
    """Where a law is ahead of ours."""
    mine = next(each for each in outcomes if each.law == OURS)
    told = [
        f"{each.law} {100 * each.late(5):.2f} % at {each.replica_hours:.2f} h" for each in ahead(outcomes)
    ]
    if not told:
        return None
    return f"- **{name}**: ours {100 * mine.late(5):.2f} % at {mine.replica_hours:.2f} h; {', '.join(told)}"


def front_row(name: str, points: Sequence[Point]) -> str:
    """How many points of each law nobody beats."""
    laws = dict.fromkeys(each.outcome.law for each in points)
    numbers = (
        f"{sum(each.is_on_front for each in points if each.outcome.law == law)} of "
        f"{sum(each.outcome.law == law for each in points)}"
        for law in laws
    )
    return row(name, *numbers)


COMPARISON_HEAD: str = "\n".join([row("load", "law", *HEAD), row("---", "---", *["---:"] * len(HEAD))])
HOLDS_HEAD: str = "\n".join(
    [row("load", *(f"{each:g} s" for each in HOLDS), KPA), row("---", *["---:"] * (len(HOLDS) + 1))]
)
OVERSHOOTS_HEAD: str = "\n".join(
    [row("load", *(f"{each:g}" for each in OVERSHOOTS)), row("---", *["---:"] * len(OVERSHOOTS))]
)


def holds_row(name: str, players: Players) -> str:
    """Late runs and price of our law with each hold, and of Knative's."""
    knative = next(each for each in compared(POLICY) if each.name == KPA)
    return _priced(name, players, [*(ours(replace(POLICY, hold_seconds=each)) for each in HOLDS), knative])


def overshoots_row(name: str, players: Players) -> str:
    """The same with each overshoot."""
    return _priced(name, players, [ours(replace(POLICY, overshoot=each)) for each in OVERSHOOTS])


def _priced(name: str, players: Players, candidates: Sequence[Candidate]) -> str:
    played = players.play(candidates)
    return row(name, *(f"{100 * each.late(5):.1f} %, {each.replica_hours:.2f} h" for each in played))


def faults(players_of: Callable[[Load, Conditions], Players]) -> str:
    """The spike with each thing that can go wrong."""
    load = named(Named.SPIKE, POLICY)
    lines = [row("spike, and", "law", *HEAD), row("---", "---", *["---:"] * len(HEAD))]
    for fault in Fault:
        with players_of(load, replace(USUAL, faults=frozenset({fault}))) as players:
            lines += [row(WORDS[fault], each.law, *cells(each)) for each in players.play(compared(POLICY))]
    return "\n".join(lines)


def waits_table() -> str:
    """A steady load under each allowed wait: what was asked, what came, what it cost."""
    load = Load("steady", tuple(poisson(lambda _: 20.0, 1800, 2.0, seed=1, most=20.0)), 1800)
    candidates = [ours(replace(FINE, queue_wait_seconds=each)) for each in WAITS]
    lines = [
        row("`queueWaitSeconds`", "waited longer", "p99 wait", "replica-hours"),
        row("---:", *["---:"] * 3),
    ]
    for asked, (waits, hours) in zip(WAITS, _settled(candidates, load), strict=True):
        late = sum(each > asked for each in waits) / len(waits)
        lines.append(
            row(f"{asked:g} s", f"{100 * late:.2f} %", f"{quantile(waits, 0.99):.2f} s", f"{hours:.2f}")
        )
    return "\n".join(lines)


def latencies_table() -> str:
    """A steady load of runs that all take 3.9 s, under each latency target."""
    jobs = [Job(job.at, RUN_SECONDS) for job in poisson(lambda _: 12.0, 1800, RUN_SECONDS, seed=1, most=12.0)]
    load = Load("steady", tuple(jobs), 1800)
    candidates = [
        ours(replace(FINE, queue_wait_seconds=30.0, p95_latency_seconds=each)) for each in LATENCIES
    ]
    lines = [
        row("`p95LatencySeconds`", "p95 latency", "p99 latency", "replica-hours"),
        row("---:", *["---:"] * 3),
    ]
    for asked, (waits, hours) in zip(LATENCIES, _settled(candidates, load), strict=True):
        reached = (f"{RUN_SECONDS + quantile(waits, share):.2f} s" for share in (0.95, 0.99))
        lines.append(row("none" if asked is None else f"{asked:g} s", *reached, f"{hours:.2f}"))
    return "\n".join(lines)


def _settled(candidates: Sequence[Candidate], load: Load) -> Iterator[tuple[list[float], float]]:
    """The waits of the runs that came after the first minutes, ascending, and the price."""
    first = sum(job.at < WARM_SECONDS for job in load.jobs)
    for each in candidates:
        simulation = Simulation(
            each.policy, each.law, each.memory, startup_seconds=20, tick=each.interval, explained=False
        )
        record = simulation.play(load.jobs, load.seconds)
        yield sorted([*record.waits[first:], *record.still_waiting]), record.replica_seconds / 3600


def advice_text(name: str, load: Load, words: str, players: Players) -> str:
    """What the manifest would have to say."""
    found = advise(POLICY, Target.parse(words), players.play)
    if found.best is None:
        return f"{name}: `{words}` can't be met"
    now, best = found.now.outcome, found.best.outcome
    changed = changes(found.now.policy, found.best.policy)
    yaml = ", ".join(f"`{line}`" for line in manifest_lines(changed)) or "as it is"
    return row(
        name,
        f"`--want '{words}'`",
        f"{found.target.reached(now):.1f} s at {now.replica_hours:.2f} h",
        yaml,
        f"{found.target.reached(best):.1f} s at {best.replica_hours:.2f} h",
    )


def main() -> int:
    """Writes the page."""
    processes = os.cpu_count() or 1
    page = Page()
    advised = [row("load", "wanted", "as the manifest is", "numbers found", "with them"), row(*["---"] * 5)]
    for name, load in loads():
        print(f"{name}: {load.title}", file=sys.stderr)
        with Players(load, USUAL, processes) as players:
            outcomes = players.play(compared(POLICY))
            page.comparison += [row(name, each.law, *cells(each)) for each in outcomes]
            if (words := lost_in_words(name, outcomes)) is not None:
                page.lost.append(words)
            if name in DRAWN:
                (DOCS / f"autoscaling-{name}.svg").write_text(drawing.timeline(load, outcomes), "utf-8")
            if name in FRONTS:
                points = front(players.play(varied(POLICY)))
                if not page.fronts:
                    laws = list(dict.fromkeys(each.outcome.law for each in points))
                    page.fronts += [row("load", *laws), row("---", *["---:"] * len(laws))]
                page.fronts.append(front_row(name, points))
                page.against.append(f"- **{name}**: {losses(points)}.")
                page.holds.append(holds_row(name, players))
                page.overshoots.append(overshoots_row(name, players))
                if name in DRAWN:
                    (DOCS / f"autoscaling-{name}-front.svg").write_text(drawing.front(points), "utf-8")
            advised += [advice_text(name, load, words, players) for known, words in ADVICES if known == name]
    put("comparison", "\n".join(page.comparison), PAGE)
    put("losses", "\n".join(page.lost) or NONE_LOST, PAGE)
    put("fronts", "\n".join([*page.fronts, "", *page.against]), PAGE)
    put("holds", "\n".join(page.holds), PAGE)
    put("overshoots", "\n".join(page.overshoots), PAGE)
    put("faults", faults(lambda load, conditions: Players(load, conditions, processes)), PAGE)
    put("waits", waits_table(), PAGE)
    put("latencies", latencies_table(), PAGE)
    put("advice", "\n".join(advised), PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
