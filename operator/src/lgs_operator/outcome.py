"""The result of a reconciliation, from which the status is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lgs_crds.status import DatabaseStatus, status_before
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.exposure import ExposureView
from lgs_operator.status.monitoring import MonitoringView
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.restore import RestoreView

AT_ONCE: Final = 0.0
UNSETTLED_SECONDS: Final = 3.0
KEPT_SECONDS: Final = 10.0
RETRY_REFUSED_SECONDS: Final = 15.0
LATER_SECONDS: Final = 60.0
"""Seconds until a look at what changes without an event: a backup that is due, a copy that is no longer
mounted."""


@dataclass(frozen=True)
class Outcome:
    """The result of a reconciliation: among other things, what was refused, and what could not be read
    while the service goes on."""

    missing: tuple[MissingReference, ...]
    refused: str | None = None
    unmet: Diagnosis | None = None
    database: DatabaseStatus | None = None
    again: float | None = None
    """Seconds for which replicas wait for the database; then the service is reconciled again."""
    restore: RestoreView = field(default_factory=RestoreView)
    awaited: Diagnosis | None = None
    """What new pods wait for at a CloudNativePG Cluster."""
    taken_back: int | None = None
    """The released revision that failed and is not run."""
    canary: int | None = None
    """The released revision that runs as a canary beside the previous one."""
    released: int | None = None
    """The revision that the replicas, other than a canary, are to run."""
    monitoring: MonitoringView | None = None
    """What watches the service; None: not looked at."""
    exposure: ExposureView | None = None
    """What leads clients outside of the cluster to the service; None: not looked at."""
    stock_waits: str | None = None
    """Why the service does not go over to another stock image yet."""
    keeps: bool = False
    """Old revisions are kept, each until its time is over."""
    later: bool = False
    """Something still in use must be cleaned up later."""


def stopped(
    missing: tuple[MissingReference, ...], refused: str, before: Mapping[str, Any], restore: RestoreView
) -> Outcome:
    """The result of a reconciliation that ended early: keeps what was known about the database."""
    return Outcome(missing, refused, database=status_before(before).database, restore=restore)


def seconds_until_again(outcome: Outcome, observed: ObservedService) -> float | None:
    """Seconds until the service is reconciled again although nothing of it changes; None: only on a
    change."""
    is_refused = outcome.refused is not None or any(each.is_refused for each in outcome.missing)
    beside = (each.lacking for each in (outcome.monitoring, outcome.exposure) if each is not None)
    is_refused = is_refused or any(each.is_refused for each in beside if each is not None)
    if is_refused or outcome.unmet is not None:
        return RETRY_REFUSED_SECONDS
    if outcome.again is not None:
        return outcome.again
    moves = not observed.settled or outcome.canary is not None
    if moves or outcome.missing or outcome.restore.waits or outcome.awaited:
        return UNSETTLED_SECONDS
    if outcome.keeps:
        return KEPT_SECONDS
    is_later = outcome.later or outcome.stock_waits is not None or observed.backup is not None
    return LATER_SECONDS if is_later else None
