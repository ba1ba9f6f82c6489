"""What happened, computed from what was written down: the players' runs, the graph's steps, the decisions.

Pure: records in, numbers out. Times are seconds since the epoch.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """The numbers of the demo; durations in seconds."""

    sent: int
    acknowledged: int
    finished: int
    lost: int
    wrong: int
    sessions: tuple[int, int]
    """Sessions of many steps: those that ended as they should, each step in their state, and all."""
    moved: int
    """Runs that went on in another replica than the one they began in."""
    steps: int
    cut: int
    """Steps that began, were cut short with their replica, and were begun again."""
    twice: int
    """Steps that ran to their end more than once."""
    p50: float
    p95: float
    waits: dict[str, tuple[int, float, float]]
    """Of each priority: runs, median and 95th percentile of the wait for a slot."""

    @property
    def is_good(self) -> bool:
        """Nothing that was acknowledged is missing, and no run ended otherwise than it should."""
        return self.lost == 0 and self.wrong == 0 and self.acknowledged == self.sent > 0


def read(path: Path) -> list[Record]:
    """The JSON lines of a file; none if it was never written."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def account(runs: list[Record], sessions: list[Record], steps: list[Record]) -> Account:
    """The numbers behind the players' records (`runs` of the load, and `sessions` of many steps) and the
    graph's (`steps`)."""
    intact = [each for each in sessions if each["status"] == "success" and not each["wrong_state"]]
    runs = [*runs, *sessions]
    acknowledged = [run for run in runs if run["acknowledged_at"] is not None]
    finished = [run for run in acknowledged if run["ended_at"] is not None]
    latencies = sorted(run["ended_at"] - run["acknowledged_at"] for run in finished)
    begun = Counter((step["run_id"], step["step"]) for step in steps if step["phase"] == "start")
    ended = Counter((step["run_id"], step["step"]) for step in steps if step["phase"] == "end")
    replicas: dict[str, set[str]] = defaultdict(set)
    first: dict[str, float] = {}
    for step in steps:
        replicas[step["run_id"]].add(step["replica"])
        first[step["run_id"]] = min(first.get(step["run_id"], step["at"]), step["at"])
    return Account(
        sent=len(runs),
        acknowledged=len(acknowledged),
        finished=len(finished),
        lost=len(acknowledged) - len(finished),
        wrong=sum(run["status"] != "success" or run["wrong_state"] for run in finished),
        sessions=(len(intact), len(sessions)),
        moved=sum(len(names) > 1 for names in replicas.values()),
        steps=len(ended),
        cut=sum(count - ended[step] for step, count in begun.items() if count > max(1, ended[step])),
        twice=sum(count > 1 for count in ended.values()),
        p50=share_of(latencies, 0.5),
        p95=share_of(latencies, 0.95),
        waits=_waits(acknowledged, first),
    )


def _waits(runs: list[Record], first: dict[str, float]) -> dict[str, tuple[int, float, float]]:
    waits: dict[str, list[float]] = {}
    for priority in ("high", "normal", "low"):
        found = [run for run in runs if run["priority"] == priority and run["run_id"] in first]
        waits[priority] = sorted(max(0.0, first[run["run_id"]] - run["acknowledged_at"]) for run in found)
    return {name: (len(each), share_of(each, 0.5), share_of(each, 0.95)) for name, each in waits.items()}


def share_of(ordered: list[float], share: float) -> float:
    """The value below which `share` of the ascending values lie; 0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
