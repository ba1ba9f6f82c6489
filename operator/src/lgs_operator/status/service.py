"""The status of a service from what was observed of it. Pure; conditions follow the Kubernetes conventions.

`Ready` means that at least one replica takes work. A reason names the first thing to mend,
its message says where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lgs_crds import Problem
from lgs_crds.status import (
    ApiStatus,
    CanaryStatus,
    Condition,
    RevisionStatus,
    Status,
    condition,
    merged,
    status_before,
)
from lgs_operator.desired.deployment import percent_of
from lgs_operator.desired.service import endpoint
from lgs_operator.kube.pods import is_ended, is_ready
from lgs_operator.naming import TRACK_LABEL, selector
from lgs_operator.scaling.outcomes import RunCounts
from lgs_operator.status import blockers
from lgs_operator.status.backup import backup_ready, last_backup
from lgs_operator.status.canary import canary_of, stepped
from lgs_operator.status.database import embedded, reached
from lgs_operator.status.exposure import exposed
from lgs_operator.status.health import healthy
from lgs_operator.status.kept import pinned_status
from lgs_operator.status.monitoring import monitoring_ready
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.restore import restoring
from lgs_operator.status.revisions import current_revision, revisions
from lgs_operator.status.rollout import is_rolled_out, seconds_past
from lgs_operator.status.scaling import ScalingView
from lgs_operator.status.variables import database_variable, redis_variable


def status_of(
    view: ObservedService, scaling: ScalingView, before: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """The whole status to apply. `before` is the status as it was."""
    metadata, runtime = view.service.metadata, selector(view.service.metadata.name, "runtime")
    backup = last_backup(view.backup, before, now) if view.backup else None
    told = revisions(
        view, status_before(before), scaling.runs, scaling.durations, pinning=scaling.pinned or (), now=now
    )
    current = current_revision(view.deployment)
    canary = _canary(view, scaling, before, told, now)
    stuck = blockers.of_canary(view)
    words = None if stuck is None else stuck.message
    health = healthy(view.service, current, told, view.taken_back, canary, stuck=words)
    conditions = (
        *((backup_ready(view.backup, backup, now),) if view.backup else ()),
        ready(view),
        progressing(view),
        reconciled(view),
        *((health,) if health else ()),
        persistence_ready(view),
        cache_ready(view),
        *monitoring_ready(view.monitoring, status_before(before)),
        *exposed(view.exposure, status_before(before)),
    )
    status = Status(
        observed_generation=metadata.generation,
        conditions=merged(
            before.get("conditions", []),
            (*conditions, *scaling.conditions),
            generation=metadata.generation,
            at=now,
        ),
        replicas=sum(1 for pod in view.pods if not is_ended(pod)),
        ready_replicas=view.ready,
        desired_replicas=view.desired if scaling.desired is None else scaling.desired,
        selector=",".join((*(f"{k}={v}" for k, v in runtime.items()), f"!{TRACK_LABEL}")),
        revision=current,
        revisions=told,
        canary=canary,
        pinned=pinned_status(view, scaling, status_before(before), now),
        endpoint=endpoint(metadata.name, metadata.namespace or "default"),
        api=api_status(view.api) if view.split else None,
        queue=scaling.queue,
        p95=scaling.p95,
        scaling=scaling.status,
        alerts=list(scaling.alerts) or None,
        slo=scaling.slo,
        database=view.database,
        backup=backup,
        restore=view.restore.result,
    )
    return as_json(status)


def _canary(
    view: ObservedService,
    scaling: ScalingView,
    before: Mapping[str, Any],
    told: Sequence[RevisionStatus],
    now: datetime,
) -> CanaryStatus | None:
    """The state of the canary after its runs so far; None without one."""
    status, current = status_before(before), current_revision(view.deployment)
    known, rollout = status.canary, view.service.spec.rollout
    if view.taken_back is not None:
        return None
    if view.canary is None:
        # after its last step it stays in the status until its rollout to all replicas has begun
        is_next = known is not None and known.revision == view.released != current
        return known if view.released is None or is_next else None
    canary = canary_of(view.service, view.canary, current, status, now)
    if canary is None:
        return known
    own = next((each for each in told if each.revision == view.canary), None)
    there = view.canary_deployment
    is_there = there is not None and percent_of(there) == canary.percent and is_rolled_out(there)
    is_well = own is not None and own.state != "Failed" and is_there
    counts = scaling.runs.get(view.canary) if scaling.canary_step == canary.step else None
    return stepped(canary, rollout, counts or RunCounts(), now, ready=is_well)


def invalid_message(problems: tuple[Problem, ...]) -> str:
    """All problems of a manifest in one message."""
    return "; ".join(str(problem) for problem in problems)


def api_status(view: ObservedService) -> ApiStatus:
    """The counts of the replicas that answer requests, which are the `pods` of this `view`."""
    there = sum(1 for pod in view.pods if not is_ended(pod))
    return ApiStatus(replicas=there, ready_replicas=view.ready, desired_replicas=view.desired)


def ready(view: ObservedService) -> Condition:
    """The condition Ready: at least one replica takes work. With topology Split: some replicas answer
    requests, and nothing keeps those that execute runs from running.
    """
    if view.leads_to_api and view.api.ready and view.refused is None:
        stuck = blockers.of_pods(view) if view.desired and not view.ready else None
        if stuck is not None:
            return condition("Ready", "False", stuck.reason, stuck.message)
        return condition("Ready", "True", "Serving", _count(view))
    return _ready(view.answering)


def _ready(view: ObservedService) -> Condition:
    if view.refused is not None:
        return condition("Ready", "False", "Refused", view.refused)
    if view.ready:
        return condition("Ready", "True", "Serving", _count(view))
    found = blockers.of_pods(view) or blockers.of_servers(view)
    waits = restoring(view.restore, "Ready")
    if found is None and waits is not None:
        return waits
    found = found or blockers.of_no_replicas(view) or blockers.of_reports(view)
    if found is None:
        return condition("Ready", "False", "Starting", _count(view))
    return condition("Ready", "False", found.reason, found.message)


def progressing(view: ObservedService) -> Condition:
    """The condition Progressing: the pods are changing to what the manifest says."""
    if view.split and (first := _progressing(view.api)).reason != "Complete":
        return first
    whole = _progressing(view)
    if whole.reason != "Complete":
        return whole
    return _canary_progressing(view) or _kept_progressing(view) or whole


def _canary_progressing(view: ObservedService) -> Condition | None:
    """The condition Progressing if replicas of a canary can't work; None if they can."""
    stuck, late = blockers.of_canary(view), seconds_past(view.canary_deployment)
    if stuck is None:
        return None
    if late is not None:
        words = f"for {late} s nothing came closer to what the manifest says: {stuck.message}"
        return condition("Progressing", "False", "ProgressDeadlineExceeded", words)
    return condition("Progressing", "False", stuck.reason, stuck.message)


def _kept_progressing(view: ObservedService) -> Condition | None:
    """The condition Progressing if replicas of a kept revision can't work; None if they can."""
    stuck = next((found for number in view.kept if (found := blockers.of_kept(view, number))), None)
    return None if stuck is None else condition("Progressing", "False", stuck.reason, stuck.message)


def _progressing(view: ObservedService) -> Condition:
    if view.refused is not None:
        return condition("Progressing", "False", "Refused", view.refused)
    stuck, late = blockers.of_pods(view), seconds_past(view.deployment)
    if late is not None and not view.missing:
        why = stuck or blockers.of_servers(view) or blockers.of_reports(view)
        words = why.message if why else "pods run and don't get ready; `kubectl describe pod` tells more"
        words = f"for {late} s nothing came closer to what the manifest says: {words}"
        return condition("Progressing", "False", "ProgressDeadlineExceeded", words)
    if stuck is not None and stuck.reason != "Starting":
        return condition("Progressing", "False", stuck.reason, stuck.message)
    waits = restoring(view.restore, "Progressing")
    if waits is not None:
        return waits
    return _moving(view)


def _moving(view: ObservedService) -> Condition:
    deployment = view.deployment or {}
    status = deployment.get("status", {})
    seen = status.get("observedGeneration") == deployment.get("metadata", {}).get("generation")
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    if view.deployment is None or not seen or updated < view.desired:
        return condition("Progressing", "True", "RollingOut", _count(view))
    if total > updated:
        return condition("Progressing", "True", "RollingOut", f"{total - updated} old replicas drain")
    if view.ready < view.desired:
        return condition("Progressing", "True", "Starting", _count(view))
    return condition("Progressing", "False", "Complete", "all replicas are as the manifest says")


def reconciled(view: ObservedService) -> Condition:
    """The condition Reconciled: all objects of the service are as its manifest says."""
    if view.refused is not None:
        return condition("Reconciled", "False", "Refused", view.refused)
    if (lacking := blockers.of_missing_objects(view)) is not None:
        return condition("Reconciled", "False", lacking.reason, lacking.message)
    if view.unmet is not None:
        return condition("Reconciled", "False", view.unmet.reason, view.unmet.message)
    if view.taken_back is not None:
        words = f"revision {view.taken_back} was taken back, and another one runs: Healthy says why"
        return condition("Reconciled", "False", "RolledBack", words)
    return _as_the_manifest_says(view)


def _as_the_manifest_says(view: ObservedService) -> Condition:
    if (pin := view.service.spec.rollout.revision) is not None:
        words = (
            f"replicas run revision {pin} by spec.rollout.revision, whatever else the manifest says of that"
        )
        return condition("Reconciled", "True", "Pinned", words)
    if view.stock_waits is not None:
        return condition("Reconciled", "True", "UpdatePending", view.stock_waits)
    return condition("Reconciled", "True", "Done", "all objects are as the manifest says")


def persistence_ready(view: ObservedService) -> Condition:
    """The condition PersistenceReady: sessions and runs can be stored."""
    spec, named = view.service.spec, database_variable(view.service.spec, view.held)
    if (within := embedded(spec, named)) is not None:
        return condition("PersistenceReady", "True", "Embedded", within)
    missing = blockers.missing_below(view, "spec.persistence.")
    found = view.cluster or missing or blockers.of_postgres(view)
    if found is not None:
        return condition("PersistenceReady", "False", found.reason, found.message)
    if (waits := restoring(view.restore, "PersistenceReady")) is not None:
        return waits
    if any(map(is_ready, view.all_pods)):
        return condition("PersistenceReady", "True", "Connected", reached(spec, named))
    failing = blockers.of_database_by_replicas(view)
    if failing is not None:
        return condition("PersistenceReady", "False", failing.reason, failing.message)
    return condition("PersistenceReady", "Unknown", "NoReplica", "no replica is ready: nobody can tell")


def cache_ready(view: ObservedService) -> Condition:
    """The condition CacheReady: the cache and the streams between replicas can work."""
    redis, named = view.service.spec.cache.redis, redis_variable(view.service.spec, view.held)
    if named is not None:
        words = f"Redis by {named}" + (", not that of spec.cache.redis" if redis is not None else "")
        return condition("CacheReady", "True", "Configured", words)
    if redis is None:
        words = "each replica caches in its own memory"
        if view.split:
            words += "; who streams a run gets its result, and its steps only with cache.redis"
        return condition("CacheReady", "True", "InMemory", words)
    missing = blockers.missing_below(view, "spec.cache.")
    if missing is not None:
        return condition("CacheReady", "False", missing.reason, missing.message)
    if redis.managed is not None:
        server = blockers.of_redis(view)
        if server is not None:
            return condition("CacheReady", "False", server.reason, server.message)
        return condition("CacheReady", "True", "Running", "the managed Redis takes connections")
    return condition("CacheReady", "True", "Configured", f"Redis by the Secret {_redis_secret(view)}")


def as_json(status: Status) -> dict[str, Any]:
    """The status as JSON in the form of Kubernetes; what is not known is left out."""
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")


def _redis_secret(view: ObservedService) -> str:
    redis = view.service.spec.cache.redis
    return redis.uri_secret.name if redis is not None and redis.uri_secret is not None else ""


def _count(view: ObservedService) -> str:
    if view.part == "api":
        return f"{view.ready} of {view.desired} replicas answer requests"
    if view.leads_to_api:
        return f"{_count(view.api)}, {view.ready} of {view.desired} execute runs"
    return f"{view.ready} of {view.desired} replicas take work"
