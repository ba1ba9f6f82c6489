"""Shows a comparison: a table, and load against replicas as a picture in text. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lgs_operator.simulate.comparison import Outcome
from lgs_operator.simulate.loads import Load

BLOCKS = " ▁▂▃▄▅▆▇█"
COLUMNS = 50
RATE = "runs/s"
LEGEND = (
    "late: runs that waited longer; most: replicas asked for at a time\n"
    "HPA: Kubernetes, on slots in use; KEDA: on all runs; pending: on runs that wait, 10 a replica; "
    "KPA: Knative, on concurrency\n"
)


def show(console: Console, load: Load, outcomes: Sequence[Outcome]) -> None:
    """Prints everything."""
    console.print(escape(load.title))
    console.print(_table(outcomes))
    console.print(LEGEND)
    for line in picture(load, outcomes):
        console.print(escape(line))


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table()
    table.add_column("law")
    for name in ("late 1 s", "late 5 s", "p95 wait", "replica-hours", "most", "changes"):
        table.add_column(name, justify="right")
    for each in outcomes:
        table.add_row(
            each.law,
            f"{100 * each.late(1):.1f} %",
            f"{100 * each.late(5):.1f} %",
            f"{each.p95_wait:.1f} s",
            f"{each.replica_hours:.2f}",
            str(each.record.most_replicas()),
            str(each.changes),
        )
    return table


def picture(load: Load, outcomes: Sequence[Outcome]) -> list[str]:
    """Arrivals, and each law's ready replicas, in columns of equal time (a second or more); the laws have one
    scale.
    """
    columns = max(1, min(COLUMNS, int(load.seconds)))
    width = load.seconds / columns
    rates = [0.0] * columns
    for job in load.jobs:
        rates[min(columns - 1, int(job.at / width))] += 1 / width
    ready = [_ready(each, columns, width) for each in outcomes]
    most = max((value for line in ready for value in line), default=0.0)
    pad = max(len(name) for name in (RATE, *(each.law for each in outcomes)))
    lines = [f"{RATE:<{pad}}  {bars(rates, max(rates))}  up to {max(rates):.1f}"]
    lines += [
        f"{each.law:<{pad}}  {bars(line, most)}  up to {max(line):.0f} ready"
        for each, line in zip(outcomes, ready, strict=True)
    ]
    return [*lines, f"{'':<{pad}}  one column is {width:.0f} s"]


def bars(values: Sequence[float], largest: float) -> str:
    """One character a value, `largest` a full block; whatever is above zero can be seen."""
    if largest <= 0:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[max(1, round(8 * value / largest))] if value > 0 else BLOCKS[0] for value in values)


def _ready(outcome: Outcome, columns: int, width: float) -> list[float]:
    """The most ready replicas in each column."""
    found = [0.0] * columns
    for each in outcome.record.rounds:
        column = min(columns - 1, int(each.at / width))
        found[column] = max(found[column], float(each.ready))
    return found
