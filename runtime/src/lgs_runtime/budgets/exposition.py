"""Budgets at `/metrics`. There is no label for users: what each of them has spent is not shown."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lgs_runtime.budgets.ledger import Ledger


class BudgetSeries(Collector):
    """The series of a replica's ledger. What is used and left is absent for a budget by user, and while it is
    not known."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        """The metrics by `budget`, such as `tokens-per-hour`."""
        of = ["budget"]
        most = GaugeMetricFamily("lgs_budget_limit", "What may be spent of it.", labels=of)
        spent = GaugeMetricFamily("lgs_budget_used", "What all runs have spent of it.", labels=of)
        left = GaugeMetricFamily("lgs_budget_left", "What is left of it for all runs.", labels=of)
        refused = CounterMetricFamily("lgs_budget_refused", "Runs refused: it is used up.", labels=of)
        for limit in self._ledger.budgets.limits:
            most.add_metric([limit.name], limit.most)
            refused.add_metric([limit.name], self._ledger.refused[limit.name])
            if not limit.by_user and (used := self._ledger.used(limit)) is not None:
                spent.add_metric([limit.name], used)
                left.add_metric([limit.name], max(0.0, limit.most - used))
        return [most, spent, left, refused]
