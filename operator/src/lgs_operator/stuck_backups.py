"""Finds backup Jobs that block the following ones. A pod that can't start blocks them for as long as its Job
may take, even after the manifest was mended, because a Job keeps the template that it was made from. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from lgs_operator.desired.backup import TEMPLATE_ANNOTATION
from lgs_operator.kube.kinds import CRON_JOB, JOB, Key, Manifest, key_of
from lgs_operator.kube.pods import is_ended, is_going, seconds_since_created
from lgs_operator.reconcile_plan import owner_uid
from lgs_operator.status.backup import BUDGET
from lgs_operator.status.diagnosis import diagnose_pod

BY_HAND: Final = "cronjob.kubernetes.io/instantiate"
"""Annotation of a Job that somebody made from a CronJob with kubectl: it is theirs, and blocks nothing."""
PODLESS_SECONDS: Final = 60.0
"""A Job without a pod for this many seconds gets none, for instance because a ResourceQuota is used up."""


def stuck_backups(
    wanted: Collection[Manifest], live: Mapping[Key, Manifest], pods: Collection[Manifest], now: datetime
) -> list[Manifest]:
    """The Jobs that the schedule made from another template than the `wanted` one, and whose pods can't
    start. `pods` are those of the service's backups."""
    cron_job = next((each for each in wanted if each["kind"] == CRON_JOB.name), None)
    there = live.get(key_of(cron_job)) if cron_job is not None else None
    if cron_job is None or there is None:
        return []
    digest = _template(cron_job["spec"]["jobTemplate"])
    mine = (
        job for key, job in live.items() if key.kind == JOB and owner_uid(job) == there["metadata"].get("uid")
    )
    return [each for each in mine if _template(each) != digest and _is_stuck(each, pods, now)]


def _is_stuck(job: Manifest, pods: Collection[Manifest], now: datetime) -> bool:
    if BY_HAND in _annotations(job) or is_going(job) or _is_over(job):
        return False
    its = [pod for pod in pods if owner_uid(pod) == job["metadata"].get("uid")]
    if not its:
        return seconds_since_created(job, now.timestamp()) > PODLESS_SECONDS
    # a pod that ended is replaced a few times at most
    tried = [pod for pod in its if not is_ended(pod)]
    return bool(tried) and all(map(_can_not_start, tried))


def _can_not_start(pod: Manifest) -> bool:
    return pod.get("status", {}).get("phase") == "Pending" and diagnose_pod(pod, BUDGET) is not None


def _is_over(job: Manifest) -> bool:
    conditions = job.get("status", {}).get("conditions") or []
    return any(
        each.get("type") in {"Complete", "Failed"} and each.get("status") == "True" for each in conditions
    )


def _template(manifest: Manifest) -> str | None:
    found: str | None = _annotations(manifest).get(TEMPLATE_ANNOTATION)
    return found


def _annotations(manifest: Manifest) -> Mapping[str, str]:
    return manifest["metadata"].get("annotations") or {}
