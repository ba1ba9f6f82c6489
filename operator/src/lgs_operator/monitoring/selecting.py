"""Selects the series of a service by the labels that its PodMonitor gives them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SERVICE: Final = "lgs_dev_service"
"""The label `lgs.dev/service` of the pods, as Prometheus writes it."""
BY_SERVICE: Final = f"namespace, {SERVICE}"


@dataclass(frozen=True)
class Replicas:
    """The replicas of one service. `scraped_here` selects what the operator's PodMonitor scrapes, so that no
    replica counts twice if something else scrapes it too."""

    namespace: str
    name: str
    scraped_here: bool = True

    def __call__(self, metric: str, *more: str) -> str:
        """The series of a metric, with more matchers such as `state="open"`."""
        job = [f'job="{self.namespace}/{self.name}"'] if self.scraped_here else []
        return _matching(metric, [*job, f'namespace="{self.namespace}"', f'{SERVICE}="{self.name}"', *more])

    def of_operator(self, metric: str, *more: str) -> str:
        """The series of a metric that the operator reports about the service."""
        return _matching(metric, [f'namespace="{self.namespace}"', f'service="{self.name}"', *more])


def _matching(metric: str, matchers: Iterable[str]) -> str:
    return f"{metric}{{{','.join(matchers)}}}"
