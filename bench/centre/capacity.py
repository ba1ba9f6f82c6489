"""`make centre CENTRE_ARGS="capacity --docs"`: what a turn costs, measured, and what a larger service needs.

First the replicas are left alone; then there is a stretch of common questions and one in which no question is
asked twice: from these three come the costs. Then three sizes are played whose cores were worked out before,
and what came of it stands beside that. At last a size that this machine can't hold.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Final

import psycopg
from bench import page
from bench.centre.account import Account
from bench.centre.costs import Costs, Measured, check_table, cost_table, costs, need, need_table
from bench.centre.play import Asked, played
from bench.centre.service import Centre, Size, centre
from bench.machine import facts
from bench.replicas import ROOT, stop_on_signals

PACKAGES: Final = ("langgraph", "fastapi", "uvloop", "asyncpg", "redis")
OUT: Final = ROOT / "bench" / "results" / "capacity.json"
PAGE: Final = ROOT / "docs" / "capacity.md"
RATE, CUSTOMERS = 1247, 12_847
"""What the table is about."""
CONNECTIONS: Final = 10
"""At most, of one replica to PostgreSQL (docs/durability.md)."""
SLOTS: Final = 40


def measure(size: int, rate: float, seconds: float, *, fresh: bool = False, seed: int = 1) -> Measured:
    """A stretch of steady load on a service of its own, of `size` replicas."""
    asked = Asked(round(rate * 40), rate, seconds, seed, Size(size, size, SLOTS), False, fresh)
    with ExitStack() as stack:
        service = stack.enter_context(centre(asked.size))
        before = written(service)
        account = played(stack, service, asked, ())
        after = written(service)
    wal, stored, commits = (now - then for now, then in zip(after, before, strict=True))
    return replace(measured(account, size), wal=wal, stored=stored, commits=commits)


def measured(account: Account, size: int) -> Measured:
    """What an account says of costs. Raises `RuntimeError` when it has wrong answers: those cost less."""
    if account.wrong:
        raise RuntimeError(f"{len(account.wrong)} wrong answers, such as: {account.wrong[0].problem}")
    last = account.samples[-1]
    return Measured(
        seconds=last.at,
        turns=len(account.turns),
        replicas=size,
        hit_rate=account.hits / max(1, account.hits + account.misses),
        cpu=last.cpu,
        answer=fmean(turn.total for turn in account.turns),
        memory=max(sample.memory["largest replica"] for sample in account.samples),
    )


def written(service: Centre) -> tuple[int, int, int]:
    """Bytes of PostgreSQL's log so far, bytes of the database, commits."""
    asked = (
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, pg_database_size(current_database()),"
        " xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    with psycopg.connect(service.database_uri) as connection:
        row = connection.execute(asked).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def idle(seconds: float) -> float:
    """Cores of a replica that nobody asks anything."""
    with centre(Size(2, 2, SLOTS)) as service:
        time.sleep(5.0)  # What a start leaves to be done is not rest.
        before, began = service.cpu()["replicas"], time.monotonic()
        time.sleep(seconds)
        return (service.cpu()["replicas"] - before) / (time.monotonic() - began) / 2


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.centre capacity", description=__doc__)
    parser.add_argument("--rates", type=float, nargs=3, default=(2.0, 4.0, 7.0), help="turns a second")
    parser.add_argument("--replicas", type=int, nargs=3, default=(1, 2, 3), help="at each of them")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each stretch")
    parser.add_argument("--json", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/capacity.md")
    return parser.parse_args(argv)


def text_of(cost: Costs, common: Measured, fresh: Measured, sizes: Sequence[Measured]) -> dict[str, str]:
    """The tables of the page, by their marks."""
    like = sizes[-1]
    needs = [need(each, round(each * CUSTOMERS / RATE), cost, like, CONNECTIONS) for each in (10, 100, RATE)]
    from_ = (
        f"From {common.turns} turns of which {100 * common.hit_rate:.0f} % of the look-ups were found, and "
        f"{fresh.turns} of which {100 * fresh.hit_rate:.0f} % were."
    )
    return {
        "costs": f"{cost_table(cost)} {from_}",
        "check": check_table(cost, sizes),
        "need": need_table(needs),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints, and keeps it as JSON; 0."""
    options = arguments(argv)
    stop_on_signals()
    machine = facts(PACKAGES)
    at_rest = idle(options.seconds / 3)
    middle = options.rates[1]
    common = measure(1, middle, options.seconds)
    fresh = measure(1, middle / 2, options.seconds, fresh=True)
    cost = costs(at_rest, common, fresh)
    print(f"\n{cost_table(cost)}\n", flush=True)
    # Another seed: what is checked is not what was measured.
    sizes = [
        measure(replicas, rate, options.seconds, seed=2)
        for rate, replicas in zip(options.rates, options.replicas, strict=True)
    ]
    told = "; ".join(f"{name} {value}" for name, value in machine.items())
    tables = text_of(cost, common, fresh, sizes)
    tables["check"] += f"\n\n{options.seconds:.0f} s each. Machine: {told}."
    print("\n\n".join(tables.values()))
    kept = {"machine": machine, "costs": asdict(cost), "common": asdict(common), "fresh": asdict(fresh)}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({**kept, "sizes": [asdict(each) for each in sizes]}, indent=1) + "\n")
    if options.docs:
        for name, text in tables.items():
            page.put(name, text, PAGE)
    return 0
