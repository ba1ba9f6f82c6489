"""The alerts about one service, from what its replicas count. Pure.

For what only the operator knows (how many replicas there should be, backups) there are its own alerts
(`operator_alerts.py`). A bound in the manifest is also the alert's: the targets for latency and for waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lgs_crds import Spec
from lgs_operator.monitoring.alerts import Alert
from lgs_operator.monitoring.selecting import BY_SERVICE, SERVICE, Replicas
from lgs_operator.monitoring.slo_alerts import slo_alerts

LONGEST_WAIT_SECONDS: Final = 60.0
"""Seconds that a run may wait before an alert, unless the manifest lets runs wait longer."""
PRIORITIES: Final = ("high", "normal", "low")
FAILED_SHARE: Final = 0.1
BUDGET_MINUTES: Final = 10
"""Minutes for which a budget must have been used up: under load a used-up budget has a little left, and then
none again, each time that a part of the hour is over."""
_WHO: Final = "{{ $labels.namespace }}/{{ $labels." + SERVICE + " }}"


def service_alerts(replicas: Replicas, spec: Spec) -> tuple[Alert, ...]:
    """The alerts that can fire for a service of this spec."""
    return (
        queue_full(replicas),
        queue_waits_long(replicas, spec),
        *latency_over_target(replicas, spec),
        runs_fail(replicas),
        runs_unserved(replicas),
        database_silent(replicas),
        *redis_away(replicas, spec),
        circuit_open(replicas),
        leases_lost(replicas),
        replicas_not_scraped(replicas),
        *budget_used_up(replicas, spec),
        *slo_alerts(replicas, spec),
    )


def queue_full(of: Replicas) -> Alert:
    """The alert that the queue is full: requests are answered 429."""
    return Alert(
        "LGSQueueFull",
        "critical",
        f"sum by ({BY_SERVICE}, priority) (increase({of('lgs_runs_rejected_total')}[5m])) > 0",
        "5m",
        f"{_WHO} refuses runs: its queue is full",
        "{{ $value | humanize }} runs of priority {{ $labels.priority }} were answered 429 in five minutes.",
    )


def queue_waits_long(of: Replicas, spec: Spec) -> Alert:
    """The alert that runs wait much longer than the manifest aims at. One alert covers the bounds
    of all priorities."""
    bounds: dict[float, list[str]] = {}
    for priority in PRIORITIES:
        bounds.setdefault(longest_wait(spec, priority), []).append(priority)
    waits = [_waits(of, seconds, priorities) for seconds, priorities in bounds.items()]
    return Alert(
        "LGSQueueWaitsLong",
        "warning",
        " or ".join(waits),
        "5m",
        f"Runs of {_WHO} wait long",
        "The oldest run of priority {{ $labels.priority }} has waited for {{ $value | humanizeDuration }}.",
    )


def longest_wait(spec: Spec, priority: str) -> float:
    """Seconds that a run of a priority may wait before an alert."""
    target = spec.scaling.target
    own = getattr(target.by_priority, priority)
    aim = target.queue_wait_seconds if own is None else own.queue_wait_seconds
    return max(LONGEST_WAIT_SECONDS, 2 * aim)


def _waits(of: Replicas, seconds: float, priorities: Iterable[str]) -> str:
    series = of("lgs_queue_oldest_seconds", f'priority=~"{"|".join(priorities)}"')
    return f"max by ({BY_SERVICE}, priority) ({series}) > {seconds:g}"


def latency_over_target(of: Replicas, spec: Spec) -> tuple[Alert, ...]:
    """The alert that latency is over its target; none if the manifest has no target."""
    target = spec.scaling.target.p95_latency_seconds
    if target is None:
        return ()
    rate = f"rate({of('lgs_run_latency_seconds_bucket')}[10m])"
    return (
        Alert(
            "LGSLatencyOverTarget",
            "warning",
            f"histogram_quantile(0.95, sum by ({BY_SERVICE}, le) ({rate})) > {target:g}",
            "10m",
            f"Runs of {_WHO} take longer than their target",
            "95 of 100 runs take up to {{ $value | humanizeDuration }}; the manifest's target is "
            + f"{target:g} s.",
        ),
    )


def runs_fail(of: Replicas) -> Alert:
    """The alert that too large a share of the runs fails, and enough of them that it is no accident."""
    failed = f"sum by ({BY_SERVICE}) (increase({of('lgs_runs_finished_total', _FAILED)}[15m]))"
    ended = f"sum by ({BY_SERVICE}) (increase({of('lgs_runs_finished_total')}[15m]))"
    return Alert(
        "LGSRunsFail",
        "critical",
        f"{failed} / {ended} > {FAILED_SHARE:g} and {failed} >= 5",
        "5m",
        f"Runs of {_WHO} fail",
        "{{ $value | humanizePercentage }} of the runs of a quarter of an hour failed or took too long.",
    )


_FAILED: Final = 'status=~"error|timeout"'


def runs_unserved(of: Replicas) -> Alert:
    """The alert that runs wait for a graph that no replica takes."""
    return Alert(
        "LGSRunsUnserved",
        "warning",
        f"max by ({BY_SERVICE}, graph) ({of('lgs_queue_unserved')}) > 0",
        "10m",
        f"Runs of {_WHO} wait for a graph that no replica takes",
        "{{ $value }} runs wait for the graph {{ $labels.graph }}.",
    )


def database_silent(of: Replicas) -> Alert:
    """The alert that replicas can't ask their database for the queue: then no run is claimed either."""
    return Alert(
        "LGSDatabaseSilent",
        "critical",
        f"sum by ({BY_SERVICE}) (increase({of('lgs_queue_depth_errors_total')}[5m])) > 3",
        "5m",
        f"The database of {_WHO} does not answer",
        "{{ $value | humanize }} questions for the queue had no answer in time, in five minutes.",
    )


def redis_away(of: Replicas, spec: Spec) -> tuple[Alert, ...]:
    """The alert that replicas do not reach Redis; none if the service has no Redis."""
    if spec.cache.redis is None:
        return ()
    return (
        Alert(
            "LGSRedisAway",
            "warning",
            f"count by ({BY_SERVICE}) ({of('lgs_cache_redis_up')} == 0) > 0",
            "5m",
            f"Replicas of {_WHO} do not reach Redis",
            "{{ $value }} replicas work without it: results are computed anew, live events stay in one.",
        ),
    )


def circuit_open(of: Replicas) -> Alert:
    """The alert that a circuit is open: calls are refused without being tried."""
    series = of("lgs_circuit_state", 'state="open"')
    return Alert(
        "LGSCircuitOpen",
        "warning",
        f"sum by ({BY_SERVICE}, kind, circuit) ({series}) > 0",
        "5m",
        f"A circuit of {_WHO} is open",
        "The circuit {{ $labels.circuit }} ({{ $labels.kind }}) is open in {{ $value }} replicas.",
    )


def budget_used_up(of: Replicas, spec: Spec) -> tuple[Alert, ...]:
    """The alert that a budget is used up; none if the service has no budget of its own."""
    if spec.budgets is None or all(each.of == "User" for each in spec.budgets.limits):
        return ()
    return (
        Alert(
            "LGSBudgetUsedUp",
            "warning",
            f"max by ({BY_SERVICE}, budget) (min_over_time({of('lgs_budget_left')}[{BUDGET_MINUTES}m])) == 0",
            "0m",
            f"A budget of {_WHO} is used up",
            "{{ $value }} is left of the budget {{ $labels.budget }}: new runs are answered 429.",
        ),
    )


def leases_lost(of: Replicas) -> Alert:
    """The alert that leases are lost: one loss may be a machine that paused, several are not."""
    return Alert(
        "LGSLeasesLost",
        "warning",
        f"sum by ({BY_SERVICE}) (increase({of('lgs_leases_lost_total')}[15m])) >= 2",
        "0m",
        f"Replicas of {_WHO} lose their leases",
        "{{ $value | humanize }} leases ran out in a quarter of an hour: others began those runs again.",
    )


def replicas_not_scraped(of: Replicas) -> Alert:
    """The alert that replicas are not scraped, about which the other alerts would be silent."""
    return Alert(
        "LGSReplicaNotScraped",
        "warning",
        f"count by ({BY_SERVICE}) ({of('up')} == 0) > 0",
        "15m",
        f"Prometheus can't read replicas of {_WHO}",
        "{{ $value }} replicas do not answer Prometheus at /metrics.",
    )
