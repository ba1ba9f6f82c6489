"""The dashboard of one service. Pure.

Counters are those of each replica, and are summed. Each replica reports the queue's gauges for the
whole service, so the largest counts. `[5m]` covers at least four scrapes at the longest interval
that a manifest may set.
"""

from __future__ import annotations

import hashlib
from typing import Final

from lgs_operator.monitoring.panels import Board, Panel, Query, Row, Unit
from lgs_operator.monitoring.selecting import Replicas

_CACHED: Final = "exported_namespace"
"""The label with the cache's namespace: Prometheus renames it, as `namespace` is the cluster's."""
QUANTILES: Final = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def service_board(of: Replicas) -> Board:
    """The dashboard of a service."""
    name = f"{of.namespace}/{of.name}"
    return Board(
        uid="lgs-" + hashlib.sha256(name.encode()).hexdigest()[:16],
        title=f"LangGraphService {name}",
        text="Made by the operator of LangGraphService: docs/monitoring.md says what each panel is for.",
        tags=("langgraphservice",),
        rows=(_load(of), _replicas(of), _failures(of), _models(of), _process(of)),
    )


def rate(series: str, *by: str) -> str:
    """PromQL for how much a counter grows a second, over all replicas."""
    return f"sum by ({', '.join(by)}) (rate({series}[5m]))" if by else f"sum(rate({series}[5m]))"


def quantiles(buckets: str) -> tuple[Query, ...]:
    """Queries for `QUANTILES` of a histogram, over all replicas. Without observations they give nothing."""
    return tuple(
        Query(f"histogram_quantile({share}, {rate(buckets, 'le')})", name) for share, name in QUANTILES
    )


def _load(of: Replicas) -> Row:
    waits = f"histogram_quantile(0.95, {rate(of('lgs_run_wait_seconds_bucket'), 'le', 'priority')})"
    return Row(
        "Load",
        (
            Panel(
                "Runs",
                "Runs a second that came, ended, and were refused because the queue is full (429).",
                (
                    Query(rate(of("lgs_runs_arrived_total")), "arrived"),
                    Query(rate(of("lgs_runs_finished_total")), "ended"),
                    Query(rate(of("lgs_runs_rejected_total")), "refused"),
                ),
                "cps",
            ),
            Panel(
                "Latency",
                "From due to ended: half of the runs, 95 and 99 of 100 take no longer.",
                quantiles(of("lgs_run_latency_seconds_bucket")),
                "s",
            ),
            Panel(
                "Wait (p95)",
                "From due to claimed, by priority: 95 of 100 runs wait no longer.",
                (Query(waits, "{{priority}}"),),
                "s",
            ),
            _of_queue(of, "Queue", "Runs that wait and could be claimed now.", "lgs_queue_depth"),
            _of_queue(of, "Oldest run", "Age of the oldest of them.", "lgs_queue_oldest_seconds", "s"),
            Panel(
                "Requests",
                "Requests a second by status.",
                (Query(rate(of("lgs_http_requests_total"), "status"), "{{status}}"),),
                "reqps",
                is_stacked=True,
            ),
        ),
    )


def _of_queue(of: Replicas, title: str, text: str, metric: str, unit: Unit = "short") -> Panel:
    return Panel(title, text, (Query(f"max by (priority) ({of(metric)})", "{{priority}}"),), unit)


def _replicas(of: Replicas) -> Row:
    return Row(
        "Replicas",
        (
            Panel(
                "Replicas",
                "Wanted, ready and the most there may be, by the operator; and those that Prometheus reads.",
                (
                    Query(f"max({of.of_operator('lgs_operator_service_desired_replicas')})", "wanted"),
                    Query(f"max({of.of_operator('lgs_operator_service_ready_replicas')})", "ready"),
                    Query(f"max({of.of_operator('lgs_operator_service_max_replicas')})", "maximum"),
                    Query(f"sum({of('up')})", "read"),
                ),
            ),
            Panel(
                "Slots",
                "Runs that execute, and how many may at a time.",
                (
                    Query(f"sum({of('lgs_slots_in_use')})", "in use"),
                    Query(f"sum({of('lgs_slots')})", "slots"),
                ),
            ),
            Panel(
                "Scaling",
                "Changes of the number of replicas in an hour, by what decided.",
                (
                    Query(
                        "sum by (code) (increase("
                        f"{of.of_operator('lgs_operator_service_scaling_changes_total')}[1h]))",
                        "{{code}}",
                    ),
                ),
            ),
        ),
    )


def _failures(of: Replicas) -> Row:
    errors = rate(of("lgs_graph_errors_total"), "graph", "node", "error")
    circuits = of("lgs_circuit_state", 'state!="closed"')
    return Row(
        "Failures",
        (
            Panel(
                "Ends of runs",
                "Runs a second by how they ended.",
                (Query(rate(of("lgs_runs_finished_total"), "status"), "{{status}}"),),
                "cps",
                is_stacked=True,
            ),
            Panel(
                "Errors",
                "Runs a second that failed, by the node that raised and what.",
                (Query(errors, "{{graph}} {{node}} {{error}}"),),
                "cps",
            ),
            Panel(
                "Recovery",
                "In five minutes: leases that ran out, runs taken from the dead, runs that went on.",
                (
                    Query(f"sum(increase({of('lgs_leases_lost_total')}[5m]))", "leases lost"),
                    Query(f"sum(increase({of('lgs_runs_reaped_total')}[5m]))", "taken from the dead"),
                    Query(f"sum(increase({of('lgs_runs_resumed_total')}[5m]))", "resumed"),
                ),
            ),
            Panel(
                "Circuits",
                "Replicas in which a circuit is open, or tries again.",
                (Query(f"sum by (circuit, state) ({circuits}) > 0", "{{circuit}} {{state}}"),),
            ),
            Panel(
                "Database and Redis",
                "In five minutes: questions for the queue without an answer, events that Redis did not take. "
                "Replicas that reach Redis.",
                (
                    Query(
                        f"sum(increase({of('lgs_queue_depth_errors_total')}[5m]))", "database did not answer"
                    ),
                    Query(f"sum(increase({of('lgs_stream_errors_total')}[5m]))", "events not published"),
                    Query(f"sum({of('lgs_cache_redis_up')})", "with Redis"),
                ),
            ),
            Panel(
                "Unserved runs",
                "Runs that wait for a graph that no replica takes.",
                (Query(f"max by (graph) ({of('lgs_queue_unserved')})", "{{graph}}"),),
            ),
        ),
    )


def _models(of: Replicas) -> Row:
    found = rate(of("lgs_cache_operations_total", 'result="hit"'), _CACHED)
    asked = rate(of("lgs_cache_operations_total", 'result=~"hit|miss"'), _CACHED)
    tokens = rate(of("lgs_model_tokens_total"), "model", "direction")
    calls = rate(of("lgs_model_calls_total"), "model", "result")
    return Row(
        "Models and cache",
        (
            Panel(
                "Tokens",
                "Tokens a second by model.",
                (Query(tokens, "{{model}} {{direction}}"),),
                "cps",
            ),
            Panel(
                "Calls of models",
                "Calls a second by model and result.",
                (Query(calls, "{{model}} {{result}}"),),
                "cps",
            ),
            Panel(
                "Cache hits",
                "Share of what was asked of the cache that it had.",
                (Query(f"{found} / {asked}", f"{{{{{_CACHED}}}}}"),),
                "percentunit",
            ),
        ),
    )


def _process(of: Replicas) -> Row:
    return Row(
        "Replicas' processes",
        (
            Panel(
                "Memory",
                "Resident memory of each replica.",
                (Query(of("process_resident_memory_bytes"), "{{pod}}"),),
                "bytes",
            ),
            Panel(
                "Processor",
                "Processor seconds in a second, of each replica.",
                (Query(f"rate({of('process_cpu_seconds_total')}[5m])", "{{pod}}"),),
                "none",
            ),
            Panel(
                "Event loop",
                "Largest lag of the last five seconds: code that blocks holds up all runs of a replica.",
                (Query(of("lgs_event_loop_lag_seconds"), "{{pod}}"),),
                "s",
            ),
        ),
    )
