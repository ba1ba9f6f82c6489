"""The state of a managed database's backups: the last one that was kept, and whether new ones are made. Pure.

The result of a backup is read from its pod. The last one is remembered in the status when its pod is gone,
and at the claim of the database's volume when the service is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from lgs_crds.model.backup import Backup
from lgs_crds.schedules import next_time, times
from lgs_crds.status import BackupStatus, Condition, condition, status_before, timestamp, timestamp_of
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import created_at, result_of
from lgs_operator.status.diagnosis import Budget, Told, diagnose

NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
SKEW: Final = timedelta(hours=1)
"""How far a node's clock may be ahead of the operator's, or behind the API server's."""
BUDGET: Final = Budget("spec.persistence.postgres.managed.backup.resources")


@dataclass(frozen=True)
class BackupView:
    """What was observed of the backups: the CronJob, and its Jobs and pods that still exist."""

    spec: Backup
    cron_job: Manifest | None = None
    jobs: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    noted: str | None = None
    """The last backup as `noted_of` wrote it at the claim of the database's volume."""
    told: Told = field(default_factory=dict)
    """Why nodes can't start the containers of pods, by the pod's name."""


def last_backup(view: BackupView, before: Mapping[str, Any], now: datetime) -> BackupStatus | None:
    """The newest backup that was kept: one that a pod reports, or the remembered one. Among those reported it
    is the one of the pod created last, whatever the nodes' clocks said: a name may lie years ahead, and later
    names at the same destination follow it."""
    pods = sorted(view.pods, key=created_at)
    reported = [each for pod in pods if (each := described(_told(pod))) is not None]
    names = {each.name for each in reported}
    kept = (status_before(before).backup, described(_read(view.noted)))
    remembered = [each for each in kept if each is not None and each.name and each.name not in names]
    if not remembered:
        return reported[-1] if reported else None
    known = max(remembered, key=_order)
    if reported and (_is_ahead(known, now) or _order(known) < _order(reported[-1])):
        return reported[-1]
    return known


def _order(each: BackupStatus) -> tuple[datetime, str]:
    return _moment(each.time) or datetime.min.replace(tzinfo=UTC), each.name or ""


def _is_ahead(last: BackupStatus | None, now: datetime) -> bool:
    """Whether the backup claims a time still to come, so that its node's clock was wrong."""
    made = _moment(last.time) if last else None
    return made is not None and made > now + SKEW


def _told(pod: Manifest) -> Mapping[str, Any]:
    """What a pod reports, begun no earlier than the pod was created. If it reports an earlier time, its
    node's clock is behind, and the backup would count as overdue and as older than others that failed."""
    result, made = result_of(pod), _made(pod)
    began = _moment(timestamp_of(result.get("began")))
    if began is None or made is None or began >= made - SKEW:
        return result
    return result | {"began": timestamp(made)}


def noted_of(last: BackupStatus | None) -> str | None:
    """What is noted of a backup at the claim, in the form in which a pod reports it; None without one."""
    if last is None or last.name is None:
        return None
    told = {"name": last.name, "began": last.time, "bytes": last.bytes, "threads": last.threads}
    return json.dumps(told, sort_keys=True)


def _read(noted: str | None) -> Mapping[str, Any]:
    try:
        told = json.loads(noted or "{}")
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def described(result: Mapping[str, Any]) -> BackupStatus | None:
    """The backup that a pod reports; None for what can't be one. The pod runs the user's image, so its
    report is checked."""
    name = result.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return None
    return BackupStatus(
        name=name,
        time=timestamp_of(result.get("began")),
        bytes=_count(result.get("bytes")),
        threads=_count(result.get("threads")),
    )


def backup_ready(view: BackupView, last: BackupStatus | None, now: datetime) -> Condition:
    """The condition BackupReady: whether backups are made as often as the manifest says."""
    kept_until = _moment(last.time) if last else None
    is_ahead = _is_ahead(last, now)
    problem = _problem(view, None if is_ahead else kept_until)
    if problem is not None:
        since = f"; the last backup is {last.name}" if last else "; there is no backup yet"
        return condition("BackupReady", "False", "BackupFailed", f"{problem}{since}")
    if last is not None and is_ahead:
        words = (
            f"backup {last.name} says that it was made at {last.time}, which is to come: set the clock of "
        )
        words += "its node; how old it is nobody can tell until the next one"
        return condition("BackupReady", "False", "BackupOverdue", words)
    due = next_time(view.spec.schedule, now)
    if due is None:
        return condition("BackupReady", "False", "BackupOverdue", _never(view.spec.schedule))
    # a service that is created again continues with backups that are older than its CronJob
    base = max((each for each in (kept_until, _made(view.cron_job)) if each is not None), default=now)
    if base < two_periods_before(view.spec.schedule, now):
        words = f"no backup for two periods of {view.spec.schedule!r}, since {timestamp(base)}"
        where = f"cronjob/{view.cron_job['metadata']['name']}" if view.cron_job else "cronjob"
        return condition(
            "BackupReady", "False", "BackupOverdue", f"{words}; `kubectl describe {where}` tells why"
        )
    following = f"the next is due at {timestamp(due)}"
    if last is None:
        return condition("BackupReady", "Unknown", "BackupPending", f"no backup yet; {following}")
    return condition(
        "BackupReady",
        "True",
        "BackedUp",
        f"{last.name}: {last.threads} threads, {last.bytes} bytes; {following}",
    )


def _never(schedule: str) -> str:
    return (
        f"spec.persistence.postgres.managed.backup.schedule: {schedule}: no day that it names comes, so no "
        "backup is made; name another"
    )


def two_periods_before(schedule: str, now: datetime) -> datetime:
    """The last time but one of a schedule before `now`; the earliest possible time if it has none."""
    return next(
        islice(times(schedule, now.astimezone(UTC), reverse=True), 1, None), datetime.min.replace(tzinfo=UTC)
    )


def _problem(view: BackupView, kept_until: datetime | None) -> str | None:
    """Why backups begun after the last one that was kept fail, in words; None if none does."""

    def is_newer(each: Manifest) -> bool:
        made = _made(each)
        return kept_until is None or made is None or made > kept_until

    found = diagnose([pod for pod in view.pods if is_newer(pod)], BUDGET, view.told)
    if found is not None:
        return found.message
    failed = [(job, words) for job in view.jobs if is_newer(job) and (words := _failure(job)) is not None]
    if not failed:
        return None
    job, words = max(failed, key=lambda each: created_at(each[0]))
    return f"job {job['metadata']['name']}: {words}"


def _failure(job: Manifest) -> str | None:
    for each in job.get("status", {}).get("conditions", []):
        if each.get("type") == "Failed" and each.get("status") == "True":
            return str(each.get("message") or each.get("reason") or "it failed")
    return None


def _made(manifest: Manifest | None) -> datetime | None:
    return _moment(created_at(manifest)) if manifest else None


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _count(number: Any) -> int | None:
    is_one = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63
    return number if is_one else None
