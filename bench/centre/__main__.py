"""`make centre`: the customer-service centre under load and faults, and its panel; `capacity`; `judged`.

`python -m bench.centre [options]` plays `examples/customer_service` under `lgs up` on a PostgreSQL and a
Redis of its own: steady, a spike, a replica killed and one restarted, a model that is slow, fails, and is
well again, Redis away. The exit code is 1 when a target was missed. `python -m bench.centre capacity`
measures what a turn costs and works out from it what a larger service needs; `judged` how well it answers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import page
from bench.centre import capacity
from bench.centre.account import Account, targets
from bench.centre.course import course
from bench.centre.panel import missed, panel, short
from bench.centre.play import Asked, play
from bench.centre.service import Size
from bench.machine import facts
from bench.replicas import ROOT, stop_on_signals

PACKAGES = ("langgraph", "fastapi", "uvloop", "asyncpg", "redis")
OUT = ROOT / "bench" / "results" / "centre.json"
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "capacity.md"
PICTURE = ROOT / "docs" / "capacity-course.svg"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. The defaults are what a busy machine of two cores holds within the targets."""
    parser = argparse.ArgumentParser(prog="bench.centre", description=__doc__)
    parser.add_argument("--customers", type=int, default=200, help="who are online at once, up to 10,000")
    parser.add_argument(
        "--rate", type=float, default=2.5, help="turns a second of all of them, but for the spike"
    )
    parser.add_argument("--minutes", type=float, default=5.5)
    parser.add_argument("--least", type=int, default=2, help="replicas")
    parser.add_argument("--most", type=int, default=4, help="replicas")
    parser.add_argument("--slots", type=int, default=16, help="runs at a time in one replica")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=OUT, help="file for all that was measured")
    parser.add_argument("--docs", action="store_true", help="write it into the pages, if all held")
    return parser.parse_args(argv)


def about(asked: Asked, machine: dict[str, str]) -> str:
    """What was played, and where."""
    size = asked.size
    told = "; ".join(f"{name} {value}" for name, value in machine.items())
    return (
        f"{asked.customers} customers with a turn each {asked.think:.0f} s, {asked.seconds:.0f} s, "
        f"{size.least} to {size.most} replicas of {size.slots} slots, seed {asked.seed}. Machine: {told}."
    )


def as_json(asked: Asked, account: Account, machine: dict[str, str]) -> dict[str, Any]:
    """All that was measured, but for each single turn."""
    kept = asdict(replace(account, turns=[]))
    wrong = sorted({turn.problem for turn in account.wrong if turn.problem})
    return {
        "asked": asdict(asked),
        "machine": machine,
        "panel": panel(account).splitlines(),
        "targets": [asdict(target) for target in targets(account)],
        "turns": len(account.turns),
        "problems": wrong[:20],
        **{name: value for name, value in kept.items() if name != "turns"},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["capacity"]:
        return capacity.main(given[1:])
    if given[:1] == ["judged"]:
        from bench.centre import judged  # noqa: PLC0415 - imports the example itself

        return judged.main(given[1:])
    options = arguments(given)
    stop_on_signals()
    machine = facts(PACKAGES)
    size = Size(options.least, options.most, options.slots)
    asked = Asked(options.customers, options.rate, 60 * options.minutes, options.seed, size)
    account = play(asked)
    return shown(asked, account, machine, options)


def shown(asked: Asked, account: Account, machine: dict[str, str], options: argparse.Namespace) -> int:
    """Prints and keeps the panel; the exit code."""
    told = about(asked, machine)
    print(f"\n{panel(account)}\n\n{told}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(as_json(asked, account, machine), indent=1) + "\n")
    print(f"\nfigures in {options.json}")
    for problem in sorted({turn.problem for turn in account.wrong if turn.problem})[:10]:
        print(f"error: {problem}")
    late = missed(account)
    for target in late:
        print(f"target missed: {target.name}: {target.wanted}; measured: {target.measured}")
    if options.docs and not late:
        page.put("centre", short(account), README)
        page.put("centre", f"{panel(account)}\n\n{told}", PAGE)
        PICTURE.write_text(course(account), "utf-8")
    return int(bool(late))


if __name__ == "__main__":
    sys.exit(main())
