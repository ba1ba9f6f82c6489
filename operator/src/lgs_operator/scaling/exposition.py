"""A replica's metrics page, as Prometheus text, to a sample. Names: docs/architecture.md.

Only the lines that the law reads are parsed, and of their labels only `le`: a page takes a tenth of a
millisecond that way, where a parser of the whole format takes several. A series that is absent is None where
absence says something, never 0. Pure; a page that is not one of ours raises `NotOurMetrics`: also one whose
numbers no replica can have, since what comes of them would be the whole service's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import islice
from math import inf, isfinite
from typing import Final

from lgs_operator.scaling.histogram import Histogram
from lgs_operator.scaling.samples import PRIORITIES, ByPriority, ReplicaSample

GAUGES: Final = (
    "lgs_queue_depth",
    "lgs_queue_oldest_seconds",
    "lgs_queue_blocked",
    "lgs_queue_next_due_seconds",
    "lgs_slots",
    "lgs_slots_in_use",
    "lgs_draining",
    "lgs_event_loop_lag_seconds",
    "process_start_time_seconds",
)
COUNTERS: Final = ("lgs_runs_arrived_total", "lgs_runs_rejected_total", "lgs_runs_finished_total")
HISTOGRAMS: Final = ("lgs_run_wait_seconds", "lgs_run_execution_seconds", "lgs_run_latency_seconds")
CIRCUITS: Final = "lgs_circuit_state"
"""1 for the state that a circuit is in. Its labels are names that people choose: what can't be read of them
says nothing, and fails nothing."""
_NAMES: Final = frozenset(
    (*GAUGES, *COUNTERS, *(f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")))
)
READ: Final = tuple(sorted((*_NAMES, CIRCUITS)))
"""The names of all series that the law reads."""
CACHE: Final = "lgs_cache_operations_total"
TOKENS: Final = "lgs_model_tokens_total"
USAGE: Final = (CACHE, TOKENS)
"""What alerts may be about beside those. It is asked for only where one is, since there may be many."""
_USAGE: Final = re.compile(
    rf"^({'|'.join(USAGE)})\{{([^\r\n]*)\}} (\d+(?:\.\d+)?(?:e\+\d+)?)\r?$", re.MULTILINE
)
_OURS: Final = re.compile(rf"^(?:{'|'.join(sorted(_NAMES))})(?=[ {{])[^\r\n]*", re.MULTILINE)
_WHOLE: Final = ("_total", "_bucket", "_count")
MOST_SERIES: Final = 2000
MOST: Final = 1e12
"""Of anything that is counted or measured; sums of such numbers stay numbers."""
_CIRCUIT: Final = re.compile(rf"^{CIRCUITS}\{{([^\r\n]*)\}} 1(?:\.0)?\r?$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
LONGEST_NAME: Final = 253
_LINE: Final = re.compile(r"([a-z_]+)(?:\{([^}]*)\})? (\S+)(?: -?\d+)?(?: #.*)?")
_BY_PRIORITY: Final = frozenset(("lgs_queue_depth", "lgs_queue_oldest_seconds", "lgs_runs_arrived_total"))
_PRIORITY: Final = re.compile(r'(?:^|,) *priority="([^"]*)"')
_FAILED: Final = re.compile(r'(?:^|,) *status="(?:error|timeout)"')
_BOUND: Final = re.compile(r'(?:^|,) *le="([^"]*)"')


class NotOurMetrics(ValueError):
    """The page is no Prometheus text, or lacks `lgs_slots`, which every replica has."""


class _Page:
    """What a page says, series by series. Raises `NotOurMetrics`."""

    def __init__(self, text: str, replica: str) -> None:
        self.totals: dict[str, float] = {}
        self.largest: dict[str, float] = {}
        self.failed = 0.0
        self._by_priority: dict[str, dict[str, float]] = defaultdict(dict)
        self._buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        for count, ours in enumerate(_OURS.finditer(text)):
            if count == MOST_SERIES:
                raise NotOurMetrics(f"metrics of {replica}: more than {MOST_SERIES} series of ours")
            self._add(ours[0], replica)
        if "lgs_slots" not in self.totals:
            raise NotOurMetrics(f"metrics of {replica} lack lgs_slots; is it a LangGraphService runtime?")

    def _add(self, line: str, replica: str) -> None:
        name = line[: _end_of_name(line)]
        found = _LINE.fullmatch(line)
        value = _number(found[3] if found else "", line, replica)
        if not isfinite(value):
            return
        _must_be_possible(name, value, line, replica)
        if name.endswith("_bucket"):
            self._buckets[name.removesuffix("_bucket")][_bound(found, line, replica)] += value
        if name in _BY_PRIORITY and found is not None and (of := _PRIORITY.search(found[2] or "")):
            self._by_priority[name][of[1]] = value
        if name == "lgs_runs_finished_total" and found is not None and _FAILED.search(found[2] or ""):
            self.failed += value
        self.totals[name] = self.totals.get(name, 0.0) + value
        self.largest[name] = max(self.largest.get(name, value), value)

    def histogram(self, name: str) -> Histogram:
        bounds = sorted(self._buckets[name].items()) if name in self._buckets else []
        return Histogram.of(
            bounds, self.totals.get(f"{name}_sum", 0.0), self.totals.get(f"{name}_count", 0.0)
        )

    def by_priority(self, name: str) -> ByPriority | None:
        """None: there is no series of it."""
        found = self._by_priority.get(name)
        if not found:
            return None
        high, normal, low = (found.get(each, 0.0) for each in PRIORITIES)
        return high, normal, low


def parse(text: str, replica: str, at: float) -> ReplicaSample:
    """The sample in `text`, asked of `replica` at `at` (seconds since the epoch). Raises `NotOurMetrics`."""
    page = _Page(text, replica)
    found, circuits = _usage(text), _circuits(text)
    totals, largest = page.totals, page.largest
    return ReplicaSample(
        replica=replica,
        at=at,
        slots=int(totals["lgs_slots"]),
        in_use=int(totals.get("lgs_slots_in_use", 0)),
        waiting=_whole(totals.get("lgs_queue_depth")),
        oldest_seconds=largest.get("lgs_queue_oldest_seconds"),
        blocked=_whole(totals.get("lgs_queue_blocked")),
        next_due_seconds=totals.get("lgs_queue_next_due_seconds"),
        arrived=totals.get("lgs_runs_arrived_total", 0.0),
        rejected=totals.get("lgs_runs_rejected_total", 0.0),
        finished=totals.get("lgs_runs_finished_total", 0.0),
        failed=page.failed,
        wait=page.histogram("lgs_run_wait_seconds"),
        execution=page.histogram("lgs_run_execution_seconds"),
        latency=page.histogram("lgs_run_latency_seconds"),
        loop_lag=largest.get("lgs_event_loop_lag_seconds", 0.0),
        draining=totals.get("lgs_draining", 0.0) > 0,
        started_at=totals.get("process_start_time_seconds"),
        open_circuits=_not_closed(circuits),
        broken=None
        if not circuits
        else frozenset(each for each, state in circuits.items() if state == "open"),
        cache_hits=found.get((CACHE, "hit")),
        cache_misses=found.get((CACHE, "miss")),
        tokens=found.get((TOKENS, "")),
        waiting_by=page.by_priority("lgs_queue_depth"),
        oldest_by=page.by_priority("lgs_queue_oldest_seconds"),
        arrived_by=page.by_priority("lgs_runs_arrived_total"),
    )


def _circuits(text: str) -> dict[tuple[str, str], str]:
    """The state of each circuit, by its kind and name."""
    found = (dict(_LABEL.findall(line[1])) for line in islice(_CIRCUIT.finditer(text), MOST_SERIES))
    return {
        (of["kind"], of["circuit"][:LONGEST_NAME]): of["state"]
        for of in found
        if of.keys() >= {"kind", "circuit", "state"}
    }


def _not_closed(circuits: dict[tuple[str, str], str]) -> frozenset[str]:
    """The graphs whose circuits are open, or half-open."""
    return frozenset(
        name for (kind, name), state in circuits.items() if kind == "graph" and state in ("open", "half-open")
    )


def _usage(text: str) -> dict[tuple[str, str], float]:
    """The sums of what is asked for beside what the law reads. Its labels are names that people choose, as
    those of circuits."""
    sums: dict[tuple[str, str], float] = {}
    if not any(name in text for name in USAGE):
        return sums
    for line in islice(_USAGE.finditer(text), MOST_SERIES):
        result = "" if line[1] == TOKENS else dict(_LABEL.findall(line[2])).get("result", "")
        value = float(line[3])
        if value <= MOST:
            sums[line[1], result] = sums.get((line[1], result), 0.0) + value
    return sums


def _end_of_name(line: str) -> int:
    """Where the name of a series ends: at its labels, or at its value."""
    brace, space = line.find("{"), line.find(" ")
    return brace if 0 <= brace < space else space


def _number(text: str, line: str, replica: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise NotOurMetrics(
            f"metrics of {replica}: {line[:120]!r}: must be a series and its value"
        ) from error


def _bound(found: re.Match[str] | None, line: str, replica: str) -> float:
    within = _BOUND.search(found[2] or "") if found else None
    bound = _number(within[1] if within else "", line, replica)
    if not (0 <= bound <= MOST or bound == inf):
        raise NotOurMetrics(f"metrics of {replica}: {line[:120]!r}: le must be a time in seconds or +Inf")
    return bound


def _must_be_possible(name: str, value: float, line: str, replica: str) -> None:
    if not 0 <= value <= MOST:
        raise NotOurMetrics(f"metrics of {replica}: {line[:120]!r}: must be between 0 and {MOST:g}")
    if name.endswith(_WHOLE) and not value.is_integer():
        raise NotOurMetrics(f"metrics of {replica}: {line[:120]!r}: must be a whole number")


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
