"""The measures that a rule may name, each in two forms: read from the replicas' answers by the operator, and
in PromQL. Pure. docs/monitoring.md has a line for each.

Missing data is None, for which no comparison is true. The same holds in PromQL, where a rate of
nothing has no series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, get_args

from lgs_crds.model.alerts import AlertMetric
from lgs_operator.alerting.history import History
from lgs_operator.alerting.window import Counts, Window
from lgs_operator.monitoring.selecting import BY_SERVICE, Replicas
from lgs_operator.scaling.samples import Observation

_BY: Final = f"by ({BY_SERVICE})"
_OPEN: Final = 'state="open"'
_FAILED: Final = 'status=~"error|timeout"'


@dataclass(frozen=True)
class Seen:
    """What is measured: the last answers of the replicas, what they counted in five minutes, and the earlier
    outcomes of runs, if there are objectives."""

    observation: Observation
    window: Window
    history: History = field(default_factory=History)

    @property
    def lately(self) -> Counts:
        """What was counted in the window; zeros if there is nothing to compare with."""
        return self.window.change


@dataclass(frozen=True)
class Measure:
    """A measure: `read` gives the value, `query` its PromQL. `usage`: it needs series that the scaling law
    does not read. `of_events`: it has no value if nothing happened in the last minutes; an alert is then
    over, as when a series ends."""

    read: Callable[[Seen], float | None]
    query: Callable[[Replicas], str]
    usage: bool = False
    of_events: bool = False


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _by_minute(count: Callable[[Counts], float]) -> Callable[[Seen], float | None]:
    def read(seen: Seen) -> float | None:
        return count(seen.lately) * 60 / seen.window.seconds if seen.window.seconds > 0 else None

    return read


def _largest(values: Iterable[float | None]) -> float | None:
    return max((each for each in values if each is not None), default=None)


def _queue_depth(seen: Seen) -> float | None:
    return _largest(each.waiting for each in seen.observation.samples)


def _runs_open(seen: Seen) -> float | None:
    waiting, blocked = _queue_depth(seen), _largest(each.blocked for each in seen.observation.samples)
    if waiting is None or blocked is None:
        return None
    return waiting + blocked + sum(each.in_use for each in seen.observation.samples)


def _slot_utilization(seen: Seen) -> float | None:
    samples = seen.observation.samples
    return _share(sum(each.in_use for each in samples), sum(each.slots for each in samples))


def _circuits_open(seen: Seen) -> float | None:
    shown = [each.broken for each in seen.observation.samples if each.broken is not None]
    return float(len(frozenset[tuple[str, str]]().union(*shown))) if shown else None


def _tokens(seen: Seen) -> float | None:
    if all(each.tokens is None for each in seen.observation.samples):
        return None
    return _by_minute(lambda counts: counts.tokens)(seen)


def _increase(series: str) -> str:
    return f"sum {_BY} (increase({series}[5m]))"


def _ratio(part: str, whole: str) -> str:
    """PromQL for `part` over `whole`; a part that has no series yet counts as 0."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"


def _quantile(share: float, histogram: str) -> Callable[[Replicas], str]:
    def query(of: Replicas) -> str:
        buckets = f"sum by ({BY_SERVICE}, le) (rate({of(f'{histogram}_bucket')}[5m]))"
        return f"histogram_quantile({share}, {buckets}) and {_increase(of(f'{histogram}_count'))} > 0"

    return query


def _depth_query(of: Replicas) -> str:
    return f"max {_BY} (sum without (priority) ({of('lgs_queue_depth')}))"


def _error_query(of: Replicas) -> str:
    name = "lgs_runs_finished_total"
    return _ratio(_increase(of(name, _FAILED)), _increase(of(name)))


def _rejection_query(of: Replicas) -> str:
    rejected, arrived = (_increase(of(f"lgs_runs_{each}_total")) for each in ("rejected", "arrived"))
    return _ratio(rejected, f"({arrived} + {rejected})")


def _hit_query(of: Replicas) -> str:
    name = "lgs_cache_operations_total"
    return _ratio(_increase(of(name, 'result="hit"')), _increase(of(name, 'result=~"hit|miss"')))


MEASURES: Final[Mapping[AlertMetric, Measure]] = {
    "arrivalsPerMinute": Measure(
        _by_minute(lambda counts: counts.arrived),
        lambda of: f"60 * sum {_BY} (rate({of('lgs_runs_arrived_total')}[5m]))",
    ),
    "cacheHitRate": Measure(
        lambda seen: _share(seen.lately.cache_hits, seen.lately.cache_hits + seen.lately.cache_misses),
        _hit_query,
        usage=True,
        of_events=True,
    ),
    "circuitsOpen": Measure(
        _circuits_open,
        lambda of: f"sum {_BY} (max by ({BY_SERVICE}, kind, circuit) ({of('lgs_circuit_state', _OPEN)}))",
    ),
    "errorRate": Measure(
        lambda seen: _share(seen.lately.failed, seen.lately.finished), _error_query, of_events=True
    ),
    "oldestWaitSeconds": Measure(
        lambda seen: _largest(each.oldest_seconds for each in seen.observation.samples),
        lambda of: f"max {_BY} ({of('lgs_queue_oldest_seconds')})",
    ),
    "p95LatencySeconds": Measure(
        lambda seen: seen.lately.latency.quantile(0.95),
        _quantile(0.95, "lgs_run_latency_seconds"),
        of_events=True,
    ),
    "p95WaitSeconds": Measure(
        lambda seen: seen.lately.wait.quantile(0.95),
        _quantile(0.95, "lgs_run_wait_seconds"),
        of_events=True,
    ),
    "p99LatencySeconds": Measure(
        lambda seen: seen.lately.latency.quantile(0.99),
        _quantile(0.99, "lgs_run_latency_seconds"),
        of_events=True,
    ),
    "queueDepth": Measure(_queue_depth, _depth_query),
    "rejectionRate": Measure(
        lambda seen: _share(seen.lately.rejected, seen.lately.arrived + seen.lately.rejected),
        _rejection_query,
        of_events=True,
    ),
    "runsOpen": Measure(
        _runs_open,
        lambda of: (
            f"sum {_BY} ({of('lgs_slots_in_use')}) + {_depth_query(of)} "
            f"+ max {_BY} ({of('lgs_queue_blocked')})"
        ),
    ),
    "slotUtilization": Measure(
        _slot_utilization,
        lambda of: f"sum {_BY} ({of('lgs_slots_in_use')}) / (sum {_BY} ({of('lgs_slots')}) > 0)",
    ),
    "tokensPerMinute": Measure(
        _tokens,
        lambda of: f"60 * sum {_BY} (rate({of('lgs_model_tokens_total')}[5m]))",
        usage=True,
    ),
}
assert MEASURES.keys() == set(get_args(AlertMetric))
