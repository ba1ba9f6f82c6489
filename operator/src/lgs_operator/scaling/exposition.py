"""A replica's metrics page, as Prometheus text, to a sample. Names: docs/architecture.md.

Only the lines that the law reads are parsed. Pure; a page that is not one of ours raises `NotOurMetrics`.
"""

from __future__ import annotations

from collections import defaultdict
from math import isfinite

from prometheus_client.parser import text_string_to_metric_families

from lgs_operator.scaling.samples import Histogram, ReplicaSample

WANTED = (
    "lgs_runs_arrived_total",
    "lgs_runs_rejected_total",
    "lgs_runs_finished_total",
    "lgs_queue_depth",
    "lgs_queue_oldest_seconds",
    "lgs_queue_blocked",
    "lgs_slots",
    "lgs_draining",
    "lgs_run_wait_seconds",
    "lgs_run_execution_seconds",
    "lgs_run_latency_seconds",
    "lgs_event_loop_lag_seconds",
    "process_start_time_seconds",
)


class NotOurMetrics(ValueError):
    """The page is no Prometheus text, or lacks `lgs_slots`, which every replica has."""


def parse(text: str, replica: str, at: float) -> ReplicaSample:
    """The sample in `text`, asked of `replica` at `at` (seconds since the epoch)."""
    totals: dict[str, float] = defaultdict(float)
    largest: dict[str, float] = defaultdict(float)
    buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    lines = "\n".join(line for line in text.splitlines() if line.startswith(WANTED))
    try:
        for family in text_string_to_metric_families(lines + "\n"):
            for name, labels, value, *_ in family.samples:
                if not isfinite(value):
                    continue
                if name.endswith("_bucket") and "le" in labels:
                    buckets[name.removesuffix("_bucket")][float(labels["le"])] += value
                totals[name] += value
                largest[name] = max(largest[name], value)
    except ValueError as error:
        raise NotOurMetrics(f"metrics of {replica}: {error}") from error
    if "lgs_slots" not in totals:
        raise NotOurMetrics(f"metrics of {replica} lack lgs_slots; is it a LangGraphService runtime?")
    return ReplicaSample(
        replica=replica,
        at=at,
        slots=int(totals["lgs_slots"]),
        in_use=int(totals["lgs_slots_in_use"]),
        waiting=int(totals["lgs_queue_depth"]),
        oldest_seconds=largest["lgs_queue_oldest_seconds"],
        blocked=int(totals["lgs_queue_blocked"]),
        arrived=totals["lgs_runs_arrived_total"],
        rejected=totals["lgs_runs_rejected_total"],
        finished=totals["lgs_runs_finished_total"],
        wait=_histogram("lgs_run_wait_seconds", buckets, totals),
        execution=_histogram("lgs_run_execution_seconds", buckets, totals),
        latency=_histogram("lgs_run_latency_seconds", buckets, totals),
        loop_lag=largest["lgs_event_loop_lag_seconds"],
        draining=totals["lgs_draining"] > 0,
        started_at=totals.get("process_start_time_seconds"),
    )


def _histogram(name: str, buckets: dict[str, dict[float, float]], totals: dict[str, float]) -> Histogram:
    found = buckets.get(name, {})
    return Histogram(tuple(sorted(found.items())), totals[f"{name}_sum"], totals[f"{name}_count"])
