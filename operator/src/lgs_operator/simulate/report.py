"""Prints a comparison, a front and an advice: as tables, as a text picture of load and replicas, and as
JSON. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lgs_operator.scaling.policy import Policy
from lgs_operator.simulate.advice import Advice
from lgs_operator.simulate.comparison import QUANTILES, Outcome
from lgs_operator.simulate.drawing import arrivals, most_ready, name, spans
from lgs_operator.simulate.front import Point, rivals, unmatched
from lgs_operator.simulate.loads import Load

BLOCKS = " ▁▂▃▄▅▆▇█"
COLUMNS = 50
RATE = "runs/s"
LEGEND = (
    "late: runs that waited longer; hours: replica-hours; most: replicas asked for at a time\n"
    "HPA: Kubernetes, on slots in use; KEDA: on all runs; queue: KEDA on runs that wait, 5 a replica; "
    "platform: LangGraph's own, 10 a replica each 30 s; KPA: Knative, on concurrency\n"
)
HEAD = ("late 1 s", "late 5 s", "p95 wait", "p99 wait", "hours", "most", "changes")
FIELDS = {
    "min_replicas": "minReplicas",
    "max_replicas": "maxReplicas",
    "queue_wait_seconds": "target.queueWaitSeconds",
    "overshoot": "overshoot",
    "hold_seconds": "scaleDown.holdSeconds",
}
"""The fields under `spec.scaling` that an advice may change, by their names in a policy."""


def show(console: Console, load: Load, outcomes: Sequence[Outcome]) -> None:
    """Prints the comparison."""
    console.print(_table(outcomes))
    console.print(LEGEND)
    for line in picture(load, outcomes):
        console.print(escape(line))


def cells(outcome: Outcome) -> list[str]:
    """The numbers of one law for a row of a table."""
    return [
        f"{100 * outcome.late(1):.1f} %",
        f"{100 * outcome.late(5):.1f} %",
        f"{outcome.wait(0.95):.1f} s",
        f"{outcome.wait(0.99):.1f} s",
        f"{outcome.replica_hours:.2f}",
        str(outcome.most),
        str(outcome.changes),
    ]


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("law", no_wrap=True)
    for each in HEAD:
        table.add_column(each, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(name(outcome), *cells(outcome))
    return table


def picture(load: Load, outcomes: Sequence[Outcome]) -> list[str]:
    """Lines that show the arrivals and each law's ready replicas, in columns of equal time (at least a
    second); all laws have the same scale.
    """
    columns, width = spans(load, COLUMNS)
    rates = arrivals(load, columns, width)
    ready = [most_ready(each, columns, width) for each in outcomes]
    most = max((value for line in ready for value in line), default=0.0)
    pad = max(len(each) for each in (RATE, *map(name, outcomes)))
    lines = [f"{RATE:<{pad}}  {bars(rates, max(rates))}  up to {max(rates):.1f}"]
    lines += [
        f"{name(each):<{pad}}  {bars(line, most)}  up to {max(line):.0f} ready"
        for each, line in zip(outcomes, ready, strict=True)
    ]
    return [*lines, f"{'':<{pad}}  one column is {width:.0f} s"]


def bars(values: Sequence[float], largest: float) -> str:
    """One character for each value, a full block for `largest`; every value above zero is visible."""
    if largest <= 0:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[max(1, round(8 * value / largest))] if value > 0 else BLOCKS[0] for value in values)


def show_front(console: Console, points: Sequence[Point]) -> None:
    """Prints the points in the order given, and where our law loses."""
    table = Table(box=SIMPLE_HEAD, title="share of the runs that wait > 5 s, against replica-hours")
    for each in ("law", "its number", "late 5 s", "replica-hours", "on the front"):
        table.add_column(each, justify="left" if each == "law" else "right")
    for point in points:
        table.add_row(
            point.outcome.law,
            f"{point.outcome.target:g}",
            f"{100 * point.late:.2f} %",
            f"{point.hours:.2f}",
            "yes" if point.is_on_front else "",
        )
    console.print(table)
    console.print(losses(points))


def losses(points: Sequence[Point]) -> str:
    """Where our law loses, in a sentence."""
    left, of = unmatched(points), len(rivals(points))
    if not left:
        return f"for each of {of} points of the others there is one of ours that is no later and no dearer"
    laws = dict.fromkeys(each.outcome.law for each in left)
    exceptions = "; ".join(
        f"{law} at {', '.join(f'{each.outcome.target:g}' for each in left if each.outcome.law == law)}"
        for law in laws
    )
    return (
        f"for {of - len(left)} of {of} points of the others there is one of ours that is no later and no "
        f"dearer; not for {exceptions}"
    )


def show_advice(console: Console, advice: Advice) -> None:
    """Prints the numbers that the manifest should have, and what they achieve."""
    now, best = advice.now.outcome, advice.best
    console.print(
        f"wanted: {advice.target}; as the manifest is: {advice.target.reached(now):.1f} s "
        f"at {now.replica_hours:.2f} replica-hours"
    )
    if best is None:
        console.print("no number of replicas meets that: the runs themselves take longer")
        return
    changed = changes(advice.now.policy, best.policy)
    reached = f"{advice.target.reached(best.outcome):.1f} s at {best.outcome.replica_hours:.2f} replica-hours"
    if not changed:
        console.print(f"nothing cheaper was found in {advice.plays} plays: leave it as it is")
        return
    console.print(f"the cheapest found in {advice.plays} plays, {reached}:\n")
    console.print("spec:\n  scaling:")
    for line in manifest_lines(changed):
        console.print(f"    {line}")


def changes(before: Policy, after: Policy) -> dict[str, float]:
    """The fields under `spec.scaling` that differ, and their new values."""
    return {
        field: getattr(after, known)
        for known, field in FIELDS.items()
        if getattr(before, known) != getattr(after, known)
    }


def manifest_lines(changed: dict[str, float]) -> list[str]:
    """`changed` as YAML."""
    lines: list[str] = []
    for field, value in changed.items():
        outer, _, inner = field.rpartition(".")
        lines.append(f"{outer}: {{{inner}: {value:g}}}" if outer else f"{inner}: {value:g}")
    return lines


def as_json(
    load: Load,
    policy: Policy,
    outcomes: Sequence[Outcome],
    points: Sequence[Point] | None,
    advice: Advice | None,
) -> dict[str, Any]:
    """The whole report for programs; times in seconds, shares from 0 to 1."""
    report: dict[str, Any] = {
        "load": {"title": load.title, "runs": len(load.jobs), "seconds": load.seconds},
        "policy": {field: getattr(policy, known) for known, field in FIELDS.items()}
        | {"slots": policy.slots},
        "laws": [_numbers(each) for each in outcomes],
    }
    if points is not None:
        report["front"] = [
            {**_numbers(each.outcome), "onFront": each.is_on_front, "matched": each.is_matched}
            for each in points
        ]
    if advice is not None:
        best = advice.best
        report["advice"] = {
            "want": str(advice.target),
            "now": {"seconds": advice.target.reached(advice.now.outcome), **_numbers(advice.now.outcome)},
            "best": best
            and {
                "scaling": {field: getattr(best.policy, known) for known, field in FIELDS.items()},
                "seconds": advice.target.reached(best.outcome),
                **_numbers(best.outcome),
            },
            "plays": advice.plays,
        }
    return report


def _numbers(outcome: Outcome) -> dict[str, Any]:
    return {
        "law": outcome.law,
        "target": outcome.target,
        "late": {"1": outcome.late(1), "5": outcome.late(5)},
        "wait": {known: outcome.wait(share) for known, share in QUANTILES.items()},
        "latency": {known: outcome.latency(share) for known, share in QUANTILES.items()},
        "replicaHours": outcome.replica_hours,
        "most": outcome.most,
        "changes": outcome.changes,
    }
