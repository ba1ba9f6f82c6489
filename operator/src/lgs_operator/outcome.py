"""The result of a reconciliation, from which its status is made. Pure."""

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
RETRY_REFUSED_SECONDS: Final = 15.0
LATER_SECONDS: Final = 60.0
"""Until what nothing tells of is looked at again: a backup that is due, a copy that is mounted no more."""


@dataclass(frozen=True)
class Outcome:
    """The result of a reconciliation: what was refused, and what could not be read while the service goes
    on."""

    missing: tuple[MissingReference, ...]
    refused: str | None = None
    unmet: Diagnosis | None = None
    database: DatabaseStatus | None = None
    again: float | None = None
    """Seconds for which replicas wait for the database, after which it is to be done again."""
    restore: RestoreView = field(default_factory=RestoreView)
    awaited: Diagnosis | None = None
    """What of a Cluster of CloudNativePG pods wait for that are to be made."""
    taken_back: int | None = None
    """The revision that was released, which failed and is not run."""
    canary: int | None = None
    """The revision that was released, which runs beside the one before it."""
    released: int | None = None
    """The one that replicas are to run otherwise."""
    monitoring: MonitoringView | None = None
    """What watches it; None: that was not looked at."""
    exposure: ExposureView | None = None
    """What leads clients outside of the cluster to it; None: that was not looked at."""
    stock_waits: str | None = None
    """Why it does not go over to another stock image yet."""
    later: bool = False
    """Something is to be cleaned up that is still in use."""


def stopped(
    missing: tuple[MissingReference, ...], refused: str, before: Mapping[str, Any], restore: RestoreView
) -> Outcome:
    """The result of a reconciliation that ended early: what was known of the database is kept."""
    return Outcome(missing, refused, database=status_before(before).database, restore=restore)


def seconds_until_again(outcome: Outcome, observed: ObservedService) -> float | None:
    """After which the service is to be reconciled though nothing of it changes; None: only when it does."""
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
    is_later = outcome.later or outcome.stock_waits is not None or observed.backup is not None
    return LATER_SECONDS if is_later else None
