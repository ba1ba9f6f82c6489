"""The state of a new service's restore, from its Job and the pods of that. Pure.

It is over for good once the status has its result. Until then the first replica waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lgs_crds.model.backup import RestoreFrom
from lgs_crds.status import (
    BackupStatus,
    Condition,
    ConditionType,
    RestoreStatus,
    Truth,
    condition,
    status_before,
)
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import created_at, result_of
from lgs_operator.status.backup import BUDGET, described
from lgs_operator.status.diagnosis import NOTHING_TOLD, Diagnosis, Told, diagnose

GRACE_SECONDS: Final = 10.0
"""Seconds by which the end of a pod may be observed later than that of its Job."""
_WAY_OUT: Final = (
    "It is tried again; mend spec.persistence.postgres.managed.restoreFrom, or take it away to begin empty"
)


@dataclass(frozen=True)
class RestoreView:
    """The state of a restore. `waits`: the first replica must not start yet; `result` once it is known."""

    waits: bool = False
    source: RestoreFrom | None = None
    result: RestoreStatus | None = None
    diagnosis: Diagnosis | None = None


def restore_of(
    source: RestoreFrom | None,
    before: Mapping[str, Any],
    *,
    has_replicas: bool,
    jobs: Iterable[Manifest],
    pods: Iterable[Manifest],
    generation: int,
    now: datetime,
    told: Told = NOTHING_TOLD,
) -> RestoreView:
    """The state of the restore from `source`. `before` is the status as it was, `told` why nodes can't start
    the containers of pods. A service that already has a Deployment restores nothing."""
    known = status_before(before).restore
    if known is not None:
        return RestoreView(source=source, result=known)
    if source is None:
        return RestoreView()
    if has_replicas:
        return RestoreView(source=source, result=RestoreStatus(result="Skipped"))
    there = sorted(pods, key=created_at, reverse=True)
    result = next((each for pod in there if (each := result_of(pod))), None)
    if result is not None or any(_is_long_over(job, now) for job in jobs):
        return RestoreView(source=source, result=_result(result or {}))
    return RestoreView(True, source, None, _diagnosis(there, told) or _said_before(before, generation))


def restoring(view: RestoreView, kind: ConditionType) -> Condition | None:
    """The condition of this kind for a service that waits for its restore; None if it does not wait."""
    if not view.waits or view.source is None:
        return None
    what = f"backup {view.source.name} of {view.source.service}"
    if view.diagnosis is None:
        moves: Truth = "True" if kind == "Progressing" else "False"
        return condition(
            kind, moves, "Restoring", f"{what} is being restored; replicas start when it is there"
        )
    if view.diagnosis.reason == "RestoreFailed":
        return condition(kind, "False", "RestoreFailed", view.diagnosis.message)
    return condition(
        kind, "False", view.diagnosis.reason, f"{what} can't be restored: {view.diagnosis.message}"
    )


def _diagnosis(pods: list[Manifest], told: Told) -> Diagnosis | None:
    found = diagnose(pods, BUDGET, told)
    if found is None or found.reason != "CrashLoopBackOff":
        return found
    return Diagnosis("RestoreFailed", f"the restore failed: {found.message}. {_WAY_OUT}")


def _said_before(before: Mapping[str, Any], generation: int) -> Diagnosis | None:
    """The failure of the last try, which stands until the next one as long as the manifest is the same."""
    for each in before.get("conditions", []):
        if each.get("type") == "Ready" and each.get("reason") == "RestoreFailed":
            same = each.get("observedGeneration") == generation
            return Diagnosis("RestoreFailed", str(each.get("message", ""))) if same else None
    return None


def _result(given: Mapping[str, Any]) -> RestoreStatus:
    found = described(given) or BackupStatus()
    return RestoreStatus(
        result="Skipped" if given.get("result") == "Skipped" else "Restored",
        name=found.name,
        time=found.time,
        threads=found.threads,
    )


def _is_long_over(job: Manifest, now: datetime) -> bool:
    status = job.get("status", {})
    done = any(
        each.get("type") == "Complete" and each.get("status") == "True"
        for each in status.get("conditions", [])
    )
    ended = status.get("completionTime")
    return bool(done and ended and (now - datetime.fromisoformat(ended)).total_seconds() > GRACE_SECONDS)
