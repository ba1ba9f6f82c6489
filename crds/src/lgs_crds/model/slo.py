"""`spec.observability.slo`: what the service promises, over how many days."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from lgs_crds.model.base import Part
from lgs_crds.texts import Days

LONGEST_P95_SECONDS: Final = 3600
"""Runs that take longer are not told apart in the metrics."""


class Slo(Part):
    """Objectives of the service. Each has an error budget, which runs that fail or take too long use up."""

    availability: float | None = Field(
        default=None,
        ge=0.9,
        le=0.99999,
        description="Share of the runs that must end well: neither in error or timeout, nor be refused "
        "because the queue is full. Such as 0.999. Not set: no such objective.",
    )
    p95_seconds: float | None = Field(
        default=None,
        ge=0.01,
        le=LONGEST_P95_SECONDS,
        description="Seconds that 95 of 100 runs may take at most, from due to ended. Not set: no such "
        "objective.",
    )
    window: Days = Field(
        default="30d", description="Over how many days the objectives must hold, from 7d to 90d."
    )

    @property
    def days(self) -> int:
        """The window."""
        return int(self.window[:-1])
