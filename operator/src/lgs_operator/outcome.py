"""The result of a reconciliation, from which its status is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lgs_crds.status import DatabaseStatus, status_before
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.monitoring import MonitoringView
from lgs_operator.status.restore import RestoreView


@dataclass(frozen=True)
class Outcome:
    """The result of a reconciliation: what was refused, and what could not be read while the service goes
    on."""

    missing: tuple[MissingReference, ...]
    refused: str | None = None
    unmet: Diagnosis | None = None
    database: DatabaseStatus | None = None
    again: float | None = None
    restore: RestoreView = field(default_factory=RestoreView)
    awaited: Diagnosis | None = None
    """What of a Cluster of CloudNativePG pods wait for that are to be made."""
    taken_back: int | None = None
    """The revision that was released, which failed and is not run."""
    monitoring: MonitoringView | None = None
    """What watches it; None: that was not looked at."""
    later: bool = False
    """Something is to be cleaned up that is still in use."""


def stopped(
    missing: tuple[MissingReference, ...], refused: str, before: Mapping[str, Any], restore: RestoreView
) -> Outcome:
    """The result of a reconciliation that ended early: what was known of the database is kept."""
    return Outcome(missing, refused, database=status_before(before).database, restore=restore)
