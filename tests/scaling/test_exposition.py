"""A page of a replica is read as the library's own parser reads it."""

from __future__ import annotations

from collections import defaultdict
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lgs_operator.scaling.exposition import LONGEST_SERIES, MOST_SERIES, NotOurMetrics, parse
from lgs_operator.scaling.samples import PRIORITIES, ReplicaSample
from lgs_operator.scaling.scrape import MOST_BYTES
from support.drawn_manifests import examples

BUCKETS = (0.005, 0.1, 1.0, 2.5, 60.0)
HISTOGRAMS = ("lgs_run_wait_seconds", "lgs_run_execution_seconds", "lgs_run_latency_seconds")
GAUGES = ("lgs_queue_blocked", "lgs_slots", "lgs_slots_in_use", "lgs_draining", "process_start_time_seconds")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\\\\'), max_size=12)
"""Of graphs and functions; what is written otherwise than it is, is kept as it is written."""
COUNTS = st.integers(0, 10**9)
SECONDS = st.floats(0, 1e6)


@st.composite
def pages(draw: st.DrawFn) -> str:
    """Pages as the library writes them, with an application's own series and names that people choose."""
    registry = CollectorRegistry()
    for name in GAUGES:
        Gauge(name, draw(NAMES), registry=registry).set(draw(COUNTS))
    depth = Gauge("lgs_queue_depth", "d", ["priority"], registry=registry)
    oldest = Gauge("lgs_queue_oldest_seconds", "o", ["priority"], registry=registry)
    arrived = Counter("lgs_runs_arrived", "a", ["priority"], registry=registry)
    finished = Counter("lgs_runs_finished", "f", ["status"], registry=registry)
    for priority in draw(st.lists(st.sampled_from(PRIORITIES), unique=True)):
        depth.labels(priority).set(draw(COUNTS))
        oldest.labels(priority).set(draw(SECONDS))
        arrived.labels(priority).inc(draw(COUNTS))
    for status in draw(
        st.lists(st.sampled_from(["success", "error", "timeout", "interrupted"]), unique=True)
    ):
        finished.labels(status).inc(draw(COUNTS))
    for name in HISTOGRAMS:
        observed = Histogram(name, "h", ["priority"], buckets=BUCKETS, registry=registry)
        for priority in draw(st.lists(st.sampled_from(PRIORITIES), unique=True)):
            for seconds in draw(st.lists(st.floats(0, 100), max_size=3)):
                observed.labels(priority).observe(seconds)
    circuits = Gauge("lgs_circuit_state", "c", ["kind", "circuit", "state"], registry=registry)
    named = st.tuples(st.sampled_from(["graph", "model"]), NAMES)
    for kind, name in draw(st.lists(named, max_size=3, unique=True)):
        circuits.labels(kind, name, draw(st.sampled_from(["open", "closed", "half-open"]))).set(1)
    own = Counter("app_calls", "theirs", ["what"], registry=registry)
    for what in draw(st.lists(NAMES, max_size=3)):
        own.labels(what).inc()
    return generate_latest(registry).decode()


def as_the_library_reads(page: str) -> dict[str, Any]:
    """What of a sample can be read from all of its series, one by one."""
    values: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(page):
        for each in family.samples:
            values[each.name].append((each.labels, each.value))

    def total(name: str) -> float:
        return sum(value for _, value in values[name])

    def by_priority(name: str) -> tuple[float, ...] | None:
        found = {labels["priority"]: value for labels, value in values[name]}
        return tuple(found.get(each, 0.0) for each in PRIORITIES) if found else None

    found: dict[str, Any] = {
        "slots": total("lgs_slots"),
        "in_use": total("lgs_slots_in_use"),
        "blocked": total("lgs_queue_blocked"),
        "waiting": total("lgs_queue_depth") if values["lgs_queue_depth"] else None,
        "oldest_seconds": max((value for _, value in values["lgs_queue_oldest_seconds"]), default=None),
        "arrived": total("lgs_runs_arrived_total"),
        "finished": total("lgs_runs_finished_total"),
        "failed": sum(
            value
            for labels, value in values["lgs_runs_finished_total"]
            if labels["status"] in ("error", "timeout")
        ),
        "draining": total("lgs_draining") > 0,
        "started_at": total("process_start_time_seconds"),
        "waiting_by": by_priority("lgs_queue_depth"),
        "oldest_by": by_priority("lgs_queue_oldest_seconds"),
        "arrived_by": by_priority("lgs_runs_arrived_total"),
        "open_circuits": frozenset(
            labels["circuit"]
            for labels, value in values["lgs_circuit_state"]
            if labels["kind"] == "graph" and labels["state"] != "closed" and value == 1
        ),
    }
    for field, name in zip(("wait", "execution", "latency"), HISTOGRAMS, strict=True):
        buckets: dict[float, float] = defaultdict(float)
        for labels, value in values[f"{name}_bucket"]:
            buckets[float(labels["le"])] += value
        found[f"{field}.counts"] = tuple(count for _, count in sorted(buckets.items()))
        found[f"{field}.total"] = total(f"{name}_sum")
        found[f"{field}.count"] = total(f"{name}_count")
    return found


def read(sample: ReplicaSample, field: str) -> Any:
    value: Any = sample
    for part in field.split("."):
        value = getattr(value, part)
    return value


@examples(150)
@given(pages(), st.sampled_from(["\n", "\r\n"]))
def test_a_page_says_what_the_librarys_parser_reads_of_it(page: str, ending: str) -> None:
    expected = as_the_library_reads(page)

    for _ in range(2):  # what a series is is kept from one page to the next
        sample = parse(page.replace("\n", ending), "pod-1", at=1.0)

        for field, value in expected.items():
            told = read(sample, field)
            assert told == (pytest.approx(value) if isinstance(value, float) else value), field


@pytest.mark.parametrize(
    ("line", "total"),
    [
        ('lgs_runs_arrived_total{priority="high"} 3 1700000000000', 3),
        ('lgs_runs_arrived_total{priority="high"} 3 # {trace_id="a b"} 1', 3),
        ('lgs_runs_arrived_total{a="b c",priority="high"} 3', 3),
        (f'lgs_runs_arrived_total{{a="{"x" * LONGEST_SERIES}",priority="high"}} 3', 3),
        ("lgs_runs_arrived_total 3\rlgs_runs_arrived_total 4", 3),
        ("lgs_runs_arrived_totals 3", 0),
        ("lgs_runs_arrived_total NaN", 0),
        ("\tlgs_runs_arrived_total 3", 0),
    ],
)
def test_a_line_with_more_or_less_to_it_counts_as_well(line: str, total: float) -> None:
    for _ in range(2):
        assert parse(f"lgs_slots 5\n{line}\n", "pod-1", at=1.0).arrived == total


@pytest.mark.parametrize(
    "line",
    [
        "lgs_runs_arrived_total 3\x0b",
        "lgs_runs_arrived_total  3",
        "lgs_runs_arrived_total 3 ",
        "lgs_runs_arrived_total ",
        'lgs_runs_arrived_total{a="b"}',
        'lgs_runs_arrived_total{a="}"} 3',
        "lgs_runs_arrived_total 0.5",
        "lgs_runs_arrived_total -1",
        "lgs_runs_arrived_total 1e13",
        'lgs_run_wait_seconds_bucket{le="-1"} 1',
        'lgs_run_wait_seconds_bucket{le="x"} 1',
        "lgs_run_wait_seconds_bucket 1",
    ],
)
def test_a_line_that_no_replica_writes_is_named(line: str) -> None:
    for _ in range(2):
        with pytest.raises(NotOurMetrics, match="pod-1"):
            parse(f"lgs_slots 5\n{line}\n", "pod-1", at=1.0)


def test_no_more_series_are_read_than_a_replica_has() -> None:
    lines = [f'lgs_runs_arrived_total{{a="{number}"}} 1' for number in range(MOST_SERIES - 1)]

    assert parse("\n".join(["lgs_slots 5", *lines]), "pod-1", at=1.0).arrived == MOST_SERIES - 1
    with pytest.raises(NotOurMetrics, match="more than"):
        parse("\n".join(["lgs_slots 5", *lines, "lgs_slots 1"]), "pod-1", at=1.0)


@pytest.mark.parametrize("name", ["lgs_circuit_state", "lgs_cache_operations_total", "lgs_budget_left"])
@pytest.mark.parametrize("word", ["a", 'a="', 'a="\\', "a=", 'a="b",', "} 1"])
def test_a_line_as_long_as_a_page_holds_nobody_up(name: str, word: str) -> None:
    """Where each letter of it is looked at anew for each before it, this takes a quarter of an hour."""
    labels = word * (MOST_BYTES // len(word) - 10)

    assert parse(f"lgs_slots 5\n{name}{{{labels}}} 1\n", "pod-1", at=1.0).slots == 5


def test_the_last_bucket_is_without_bound() -> None:
    page = 'lgs_slots 5\nlgs_run_wait_seconds_bucket{le="+Inf"} 2\nlgs_run_wait_seconds_bucket{le="1"} 1\n'

    assert parse(page, "pod-1", at=1.0).wait.bounds == (1.0, inf)
