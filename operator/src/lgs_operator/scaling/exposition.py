"""Parses a replica's metrics page (Prometheus text) into a sample. Names: docs/architecture.md.

Only the lines that the law reads are parsed. A series' name and labels are parsed once and cached for all
pages, since replicas differ only in the values. Where the absence of a series means something, it is None,
never 0. Pure; a page that is not one of ours raises `NotOurMetrics`, and so does one with impossible numbers,
which would otherwise distort the scaling of the whole service.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from itertools import islice
from math import inf, isfinite
from typing import Final, NamedTuple

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
"""1 for the state that a circuit is in. Its labels hold names that people choose: a line that can't be read
is ignored and is no error."""
_NAMES: Final = frozenset(
    (*GAUGES, *COUNTERS, *(f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")))
)
PINNED: Final = ("lgs_pinned_threads", "lgs_pinned_runs")
"""What is pinned to each revision: few series, on pages of services that pin threads."""
READ: Final = tuple(sorted((*_NAMES, CIRCUITS, *PINNED)))
"""The names of all series that the law reads."""
CACHE: Final = "lgs_cache_operations_total"
TOKENS: Final = "lgs_model_tokens_total"
BUDGET: Final = "lgs_budget_left"
USAGE: Final = (CACHE, TOKENS, BUDGET)
"""Further series, for alerts and budgets. They are requested only where there are some."""
_TOLD_APART: Final = {CACHE: "result", BUDGET: "budget"}
"""The label by which the sums of a series are kept apart."""
_USAGE: Final = re.compile(
    rf"^({'|'.join(USAGE)})\{{([^\r\n]*)\}} (\d+(?:\.\d+)?(?:e[+-]\d+)?)\r?$", re.MULTILINE
)
_OURS: Final = re.compile(rf"(?:{'|'.join(sorted(_NAMES))})(?=[ {{])[^\r\n]*")
_WHOLE: Final = ("_total", "_bucket", "_count")
MOST_SERIES: Final = 2000
MOST: Final = 1e12
"""The largest value of any series; sums of such values stay finite."""
_CIRCUIT: Final = re.compile(rf"{CIRCUITS}\{{([^\r\n]*)\}} 1(?:\.0)?\r?")
_PINNED: Final = re.compile(
    r'(lgs_pinned_(?:threads|runs))\{revision="(\d{1,10})"\} (\d{1,12}(?:\.\d{1,12})?(?:e\+?\d{1,2})?)\r?'
)
_LABEL: Final = re.compile(r'(?<!\w)(\w+)="((?:[^"\\]|\\.)*)"')
"""Matches only where a word begins: otherwise a very long label would delay the scaling of all services."""
LONGEST_NAME: Final = 253
LONGEST_SERIES: Final = 300
"""Characters of a name with labels that is cached at most; those of a replica are shorter."""
_PREFIXES: Final = ("lgs_", "process_")
_SERIES: Final = re.compile(r"([a-z_]+)(?:\{([^}]*)\})?")
_LINE: Final = re.compile(r"([a-z_]+)(?:\{([^}]*)\})? (\S+)(?: -?\d+)?(?: #.*)?")
_BY_PRIORITY: Final = frozenset(("lgs_queue_depth", "lgs_queue_oldest_seconds", "lgs_runs_arrived_total"))
_PRIORITY: Final = re.compile(r'(?:^|,) *priority="([^"]*)"')
_FAILED: Final = re.compile(r'(?:^|,) *status="(?:error|timeout)"')
_BOUND: Final = re.compile(r'(?:^|,) *le="([^"]*)"')


class NotOurMetrics(ValueError):
    """The page is no Prometheus text, or lacks `lgs_slots`, which every replica has."""


class _Series(NamedTuple):
    """The series of a line. `bound` is the upper bound of a bucket, if `name` is a histogram."""

    name: str
    bound: float | None
    priority: str | None
    is_failure: bool
    is_whole: bool


class _Page:
    """The values of a page by series. Raises `NotOurMetrics`."""

    def __init__(self, text: str, replica: str) -> None:
        self.totals: dict[str, float] = {}
        self.largest: dict[str, float] = {}
        self.failed = 0.0
        self._by_priority: dict[str, dict[str, float]] = defaultdict(dict)
        self._buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        self.circuits: dict[tuple[str, str], str] = {}
        self.pinned: dict[str, dict[str, int]] = {}
        self._read(text, replica)
        if "lgs_slots" not in self.totals:
            raise NotOurMetrics(f"metrics of {replica} lack lgs_slots; is it a LangGraphService runtime?")

    def _read(self, text: str, replica: str) -> None:
        """Reads the page by lines: a line feed ends a line, and what follows a carriage return is ignored."""
        count = circuits = 0
        for whole in text.split("\n"):
            if not whole.startswith(_PREFIXES):
                continue
            if whole.startswith(CIRCUITS):
                circuits += self._add_circuit(whole) if circuits < MOST_SERIES else 0
                continue
            if whole.startswith(PINNED) and len(self.pinned) < MOST_SERIES:
                self._add_pinned(whole)
                continue
            line = whole.partition("\r")[0] if "\r" in whole else whole
            name, _, number = line.rpartition(" ")
            series = _series(name) if len(name) <= LONGEST_SERIES else None
            if series is not None and self._take(series, number):
                count += 1
            elif (ours := _OURS.match(line)) is not None:
                count += 1
                self._add(ours[0], replica)
            if count > MOST_SERIES:
                raise NotOurMetrics(f"metrics of {replica}: more than {MOST_SERIES} series of ours")

    def _take(self, series: _Series, number: str) -> bool:
        """Takes a plain line with a possible number; False for any other, which `_add` then judges."""
        name, bound, priority, is_failure, is_whole = series
        try:
            value = float(number)
        except ValueError:
            return False
        if not 0 <= value <= MOST or (is_whole and not value.is_integer()) or number != number.strip():
            return False
        if bound is not None:
            self._buckets[name][bound] += value
            return True
        if priority is not None:
            self._by_priority[name][priority] = value
        if is_failure:
            self.failed += value
        totals, largest = self.totals, self.largest
        totals[name] = totals.get(name, 0.0) + value
        if value >= largest.get(name, 0.0):
            largest[name] = value
        return True

    def _add_circuit(self, line: str) -> bool:
        """Takes the state of a circuit, by its kind and name; whether the line could be read."""
        found = _CIRCUIT.fullmatch(line)
        if found is None:
            return False
        of = dict(_LABEL.findall(found[1]))
        if of.keys() >= {"kind", "circuit", "state"}:
            self.circuits[of["kind"], of["circuit"][:LONGEST_NAME]] = of["state"]
        return True

    def _add_pinned(self, line: str) -> None:
        """Takes what is pinned to a revision. Revisions that are no numbers are not the operator's."""
        if (found := _PINNED.fullmatch(line)) is not None:
            self.pinned.setdefault(found[2], {})[found[1]] = int(min(float(found[3]), MOST))

    def _add(self, line: str, replica: str) -> None:
        name = line[: _end_of_name(line)]
        found = _LINE.fullmatch(line)
        value = _number(found[3] if found else "", line, replica)
        if not isfinite(value):
            return
        _must_be_possible(name, value, line, replica)
        if name.endswith("_bucket"):
            self._buckets[name.removesuffix("_bucket")][_bound(found, line, replica)] += value
            return
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
        """The values of `name` by priority; None if the page has no such series."""
        found = self._by_priority.get(name)
        if not found:
            return None
        high, normal, low = (found.get(each, 0.0) for each in PRIORITIES)
        return high, normal, low


def parse(text: str, replica: str, at: float) -> ReplicaSample:
    """The sample in `text`, given by `replica` at `at` (seconds since the epoch). Raises `NotOurMetrics`."""
    page = _Page(text, replica)
    found, circuits = _usage(text), page.circuits
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
        pinned=_pinned(page.pinned),
        used_up=_used_up(found),
        waiting_by=page.by_priority("lgs_queue_depth"),
        oldest_by=page.by_priority("lgs_queue_oldest_seconds"),
        arrived_by=page.by_priority("lgs_runs_arrived_total"),
    )


def _not_closed(circuits: dict[tuple[str, str], str]) -> frozenset[str]:
    """The graphs whose circuits are open or half-open."""
    return frozenset(
        name for (kind, name), state in circuits.items() if kind == "graph" and state in ("open", "half-open")
    )


def _pinned(found: dict[str, dict[str, int]]) -> tuple[tuple[str, int, int], ...] | None:
    """By revision, how many threads and runs are pinned to it; None if the page says nothing about it."""
    threads, runs = PINNED
    return tuple((name, each.get(threads, 0), each.get(runs, 0)) for name, each in found.items()) or None


def _usage(text: str) -> dict[tuple[str, str], float]:
    """The sums of the series in `USAGE`. Their labels, like those of circuits, hold names
    that people choose."""
    sums: dict[tuple[str, str], float] = {}
    if not any(name in text for name in USAGE):
        return sums
    for line in islice(_USAGE.finditer(text), MOST_SERIES):
        label = _TOLD_APART.get(line[1])
        result = "" if label is None else dict(_LABEL.findall(line[2])).get(label, "")[:LONGEST_NAME]
        value = float(line[3])
        if value <= MOST:
            sums[line[1], result] = sums.get((line[1], result), 0.0) + value
    return sums


@lru_cache(maxsize=4096)
def _series(text: str) -> _Series | None:
    """The series of a name with labels; None if it is not one of ours, or not plain enough to be cached."""
    found = _SERIES.fullmatch(text)
    if found is None or found[1] not in _NAMES:
        return None
    name, labels = found[1], found[2] or ""
    is_whole = name.endswith(_WHOLE)
    if name.endswith("_bucket"):
        within = _BOUND.search(labels)
        try:
            bound = float(within[1]) if within else -1.0
        except ValueError:
            return None
        is_bound = 0 <= bound <= MOST or bound == inf
        return _Series(name.removesuffix("_bucket"), bound, None, False, is_whole) if is_bound else None
    of = _PRIORITY.search(labels) if name in _BY_PRIORITY else None
    failed = name == "lgs_runs_finished_total" and _FAILED.search(labels) is not None
    return _Series(name, None, of[1] if of else None, failed, is_whole)


def _used_up(found: dict[tuple[str, str], float]) -> frozenset[str] | None:
    """The budgets of which nothing is left; None if the page shows no budgets."""
    left = {budget: value for (name, budget), value in found.items() if name == BUDGET}
    return frozenset(budget for budget, value in left.items() if not value) if left else None


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
