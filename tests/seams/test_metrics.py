"""What a replica's `/metrics` renders is what the operator reads, name by name."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lgs_operator.alerting.measures import MEASURES
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.monitoring.service_board import service_board
from lgs_operator.monitoring.slo_alerts import BOUNDS
from lgs_operator.scaling import Memory, Observation, Policy, decide
from lgs_operator.scaling.exposition import (
    BUDGET,
    CACHE,
    CIRCUITS,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    READ,
    TOKENS,
    USAGE,
    parse,
)
from lgs_operator.scaling.samples import pinned_of
from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.exposition import CircuitSeries
from lgs_runtime.breaker.policy import Policy as BreakerPolicy
from lgs_runtime.breaker.state_machine import Result
from lgs_runtime.cache.exposition import RESULTS, CacheCollector
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.metrics import RUN_BUCKETS, Metrics
from lgs_runtime.model import Pinned, Priority, PriorityDepth, QueueDepth
from lgs_runtime.model_usage import ModelUsage, Tokens

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
FULL = QueueDepth(
    high=PriorityDepth(1, 0.5),
    normal=PriorityDepth(2, 1.5),
    low=PriorityDepth(4, 9.0),
    blocked=3,
    next_due_seconds=90.0,
)


class Queue:
    """A queue that reports its depth, or can't."""

    def __init__(self, depth: QueueDepth | None) -> None:
        self.shown = depth

    async def depth(self) -> QueueDepth:
        if self.shown is None:
            raise StorageUnavailable("the database is away")
        return self.shown


async def page_of(metrics: Metrics) -> str:
    return (await metrics.render()).decode()


async def test_the_operator_reads_every_number_that_a_replica_shows() -> None:
    metrics = Metrics(concurrency=8, depth=Queue(FULL))
    for priority in Priority:
        metrics.arrived(priority)
        metrics.claimed(priority, wait_seconds=0.3)
    metrics.rejected(Priority.LOW)
    metrics.finished("success", execution_seconds=2.0, latency_seconds=2.3)
    metrics.finished("error", execution_seconds=4.0, latency_seconds=4.3)
    metrics.watch_slots(lambda: 5)
    metrics.draining()

    sample = parse(await page_of(metrics), "pod-1", at=datetime.now(UTC).timestamp())

    assert (sample.slots, sample.in_use, sample.draining) == (8, 5, True)
    assert (sample.waiting, sample.oldest_seconds, sample.blocked) == (7, 9.0, 3)
    assert sample.next_due_seconds == 90.0
    metrics_of_runs = (sample.arrived, sample.rejected, sample.finished, sample.failed)
    assert metrics_of_runs == (3, 1, 2, 1)
    assert (sample.wait.count, sample.wait.total) == (3, pytest.approx(0.9))
    assert (sample.execution.count, sample.execution.total) == (2, pytest.approx(6.0))
    assert (sample.latency.count, sample.latency.total) == (2, pytest.approx(6.6))
    assert sample.execution.quantile(0.5) == pytest.approx(2.0, abs=1.0)
    assert sample.started_at is not None and sample.started_at > 0


async def test_a_replica_shows_every_series_that_the_operator_reads() -> None:
    page = await page_of(Metrics(concurrency=8, depth=Queue(FULL)))

    shown = {re.split(r"[{ ]", line)[0] for line in page.splitlines() if not line.startswith("#")}

    read = {
        *GAUGES,
        *COUNTERS,
        *(f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")),
    }
    assert read <= shown


async def test_each_series_that_is_asked_for_is_read_and_each_field_of_a_sample_has_its_series() -> None:
    metrics = Metrics(concurrency=8, depth=Queue(FULL))
    for status in ("success", "error"):
        metrics.finished(status, execution_seconds=2.0, latency_seconds=2.3)
    metrics.pins.set([Pinned("1", 0, 0)])
    circuit = f'{CIRCUITS}{{circuit="agent",kind="graph",state="open"}} 0.0\n'
    cache = "".join(f'{CACHE}{{namespace="n",result="{each}"}} 0.0\n' for each in ("hit", "miss"))
    page = await page_of(metrics) + circuit + cache + f'{TOKENS}{{graph="g"}} 0.0\n'
    page += f'{BUDGET}{{budget="b"}} 0.0\n'
    before = asdict(parse(page, "pod-1", at=100.0))

    changed = {}
    for name in (*READ, *USAGE):
        after = asdict(parse(with_one_more(page, name), "pod-1", at=100.0))
        changed[name] = {field for field in before if after[field] != before[field]}

    assert [name for name, fields in changed.items() if not fields] == [], "parse() leaves it out"
    assert set().union(*changed.values()) == before.keys() - {"replica", "at"}, (
        "GAUGES, COUNTERS or HISTOGRAMS of exposition.py lack the series that parse() makes the field of"
    )


async def test_the_operator_knows_what_is_pinned_to_each_revision_and_what_it_is_not_told() -> None:
    metrics = Metrics(concurrency=8)
    assert parse(await page_of(metrics), "pod-1", at=100.0).pinned is None, "nothing is ever pinned"

    metrics.pins.set([Pinned("7", 3, 1), Pinned("8", 0, 120_000), Pinned("mine", 1, 1)])
    told = parse(await page_of(metrics), "pod-1", at=100.0)
    assert pinned_of([told]) == {7: (3, 1), 8: (0, 120_000)}, "the operator's revisions have numbers"

    metrics.pins.set(())
    silent = parse(await page_of(metrics), "pod-1", at=100.0)
    assert pinned_of([silent]) is None
    assert pinned_of([silent, told, replace(told, pinned=(("7", 1, 2),))]) == {7: (3, 2), 8: (0, 120_000)}


async def test_a_number_so_large_that_a_page_writes_it_with_an_exponent_is_not_nothing() -> None:
    """Else the replicas of a revision with a million waiting threads would end as idle."""
    metrics = Metrics(concurrency=8)
    metrics.pins.set([Pinned("7", 1_000_000, 0), Pinned("8", 1_234_567, 98_765_432)])

    told = parse(await page_of(metrics), "pod-1", at=100.0)

    assert pinned_of([told]) == {7: (1_000_000, 0), 8: (1_234_567, 98_765_432)}


def with_one_more(page: str, name: str) -> str:
    """The page with one added to each value of a series."""
    return re.sub(
        rf"^({name}(?:{{.*}})?) (\S+)$", lambda line: f"{line[1]} {float(line[2]) + 1}", page, flags=re.M
    )


def test_the_series_that_the_operator_reads_are_documented() -> None:
    table = PAGE.read_text("utf-8").split("## Metrics that the autoscaler reads")[1].split("## State")[0]

    documented = set(re.findall(r"`(lgs_\w+)`", table))

    assert {name for name in (*GAUGES, *COUNTERS, *HISTOGRAMS) if name.startswith("lgs_")} <= documented


def test_objectives_of_latency_are_read_between_the_bounds_that_the_histogram_has() -> None:
    assert BOUNDS == RUN_BUCKETS


def test_dashboards_and_alerts_ask_the_cache_for_results_that_it_has() -> None:
    of = Replicas("team", "support")
    panels = [
        query.expression for row in service_board(of).rows for each in row.panels for query in each.queries
    ]

    asked = [
        result
        for expression in (*panels, *(each.query(of) for each in MEASURES.values()))
        for found in re.findall(rf'{CACHE}{{[^}}]*result=~?"([a-z|]+)"', expression)
        for result in found.split("|")
    ]

    assert len(asked) > 3
    assert set(asked) <= RESULTS.keys()


async def test_a_queue_that_no_replica_can_tell_is_no_empty_one() -> None:
    sample = parse(await page_of(Metrics(concurrency=8, depth=Queue(None))), "pod-1", at=100.0)
    policy = Policy(min_replicas=1, max_replicas=9, slots=8)
    before = Memory(replicas=5)

    decided = decide(policy, Observation(at=100.0, samples=(sample,), ready=5), before, 100.0)
    later = decide(policy, Observation(at=400.0, samples=(sample,), ready=5), decided.memory, 400.0)

    assert (sample.waiting, sample.oldest_seconds, sample.blocked) == (None, None, None)
    assert (sample.waiting_by, sample.oldest_by) == (None, None)
    assert (later.replicas, later.code, later.queue) == (5, "NoData", None)
    assert "how many runs wait" in later.reason


async def test_what_a_queue_was_like_before_the_database_fell_silent_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lgs_runtime.queue_metrics.DEPTH_SECONDS", 0.0)
    queue = Queue(FULL)
    metrics = Metrics(concurrency=8, depth=queue)

    pages = []
    for shown in (FULL, None, FULL):
        queue.shown = shown
        pages.append(await page_of(metrics))
    samples = [parse(page, "pod-1", at=100.0) for page in pages]

    told = [(each.waiting, each.oldest_seconds, each.blocked, each.next_due_seconds) for each in samples]
    assert told == [(7, 9.0, 3, 90.0), (None, None, None, None), (7, 9.0, 3, 90.0)]
    assert ["lgs_queue_depth_errors_total 1.0" in page for page in pages] == [False, True, True]


async def test_a_time_and_a_graph_that_no_run_waits_for_any_more_are_shown_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lgs_runtime.queue_metrics.DEPTH_SECONDS", 0.0)
    queue = Queue(replace(FULL, unserved={"gone": 2}))
    metrics = Metrics(concurrency=8, depth=queue)
    before = await page_of(metrics)

    queue.shown = replace(FULL, next_due_seconds=None, unserved={"other": 1})
    page = await page_of(metrics)

    assert 'lgs_queue_unserved{graph="gone"} 2.0' in before
    assert [line for line in page.splitlines() if line.startswith("lgs_queue_unserved")] == [
        'lgs_queue_unserved{graph="other"} 1.0'
    ]
    assert parse(page, "pod-1", at=100.0).next_due_seconds is None


async def test_the_database_is_asked_for_its_queue_no_more_often_however_often_the_page_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lgs_runtime.queue_metrics.DEPTH_SECONDS", 3600.0)
    queue = Queue(FULL)
    metrics = Metrics(concurrency=8, depth=queue)
    await page_of(metrics)
    queue.shown = None

    sample = parse(await page_of(metrics), "pod-1", at=100.0)

    assert sample.waiting == 7


async def test_a_run_that_took_too_long_has_failed_and_one_that_was_interrupted_has_not() -> None:
    metrics = Metrics(concurrency=8, depth=Queue(FULL))
    for status in ("success", "error", "timeout", "interrupted"):
        metrics.finished(status, execution_seconds=1.0, latency_seconds=1.0)

    sample = parse(await page_of(metrics), "pod-1", at=100.0)

    assert (sample.finished, sample.failed) == (4, 2)


def test_what_a_page_does_not_have_is_unknown_and_not_zero() -> None:
    sample = parse("lgs_slots 8\n", "pod-1", at=100.0)

    assert (sample.started_at, sample.next_due_seconds, sample.waiting) == (None, None, None)
    assert (sample.waiting_by, sample.oldest_by, sample.arrived_by) == (None, None, None)


async def test_a_time_that_is_not_to_come_is_not_shown() -> None:
    nothing = Metrics(concurrency=8, depth=Queue(replace(FULL, next_due_seconds=None)))

    sample = parse(await page_of(nothing), "pod-1", at=100.0)

    assert (sample.waiting, sample.next_due_seconds) == (7, None)


async def test_the_operator_reads_which_graphs_have_open_circuits_whatever_others_are_called() -> None:
    policy = BreakerPolicy(minimum_calls=1, recovery_timeout=0.001, probes=2)
    circuits = [
        Circuit(name, policy, kind=kind)
        for name, kind in (
            ("closed", "graph"),
            ('odd "} 1\n', "graph"),
            ("half", "graph"),
            ("model", "code"),
            ("}", "code"),
        )
    ]
    for circuit in circuits[1:]:
        circuit.report(circuit.acquire(), Result.FAILURE)
    await asyncio.sleep(0.002)
    circuits[2].acquire()
    metrics = Metrics(concurrency=8, depth=Queue(FULL))
    metrics.show(CircuitSeries(lambda: circuits))

    sample = parse(await page_of(metrics), "pod-1", at=100.0)

    assert [circuit.phase for circuit in circuits] == ["closed", "open", "half-open", "open", "open"]
    assert len(sample.open_circuits) == 2
    assert "half" in sample.open_circuits
    assert sample.broken is not None
    assert len(sample.broken) == 3, "those of code, too, and none that is half-open"
    assert ("code", "model") in sample.broken


async def test_a_replica_without_circuits_shows_no_series_of_them() -> None:
    metrics = Metrics(concurrency=8, depth=Queue(FULL))
    metrics.show(CircuitSeries(list))

    page = await page_of(metrics)

    assert CIRCUITS not in page
    sample = parse(page, "pod-1", at=100.0)
    assert (sample.open_circuits, sample.broken) == (frozenset(), None)


async def test_what_the_cache_and_models_count_is_read_whatever_people_call_their_names() -> None:
    metrics = Metrics(concurrency=8, depth=Queue(FULL))
    cache, usage = CacheManager("support"), ModelUsage()
    for name in ("plain", 'odd "} 1\n{', "}"):
        counts = cache.statistics.of(name)
        counts.hits, counts.misses, counts.sets = 3, 1, 1
        usage.ended(name, name, "success", Tokens(input=40, output=2))
    metrics.show(CacheCollector(cache))
    before = parse(await page_of(metrics), "pod-1", at=100.0)
    metrics.show(usage)

    sample = parse(await page_of(metrics), "pod-1", at=100.0)

    assert before.tokens is None
    assert (sample.cache_hits, sample.cache_misses, sample.tokens) == (9, 3, 126)
