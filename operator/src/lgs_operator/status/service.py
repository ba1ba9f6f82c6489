"""The status of a service from what was seen of it. Pure; conditions by the Kubernetes conventions.

`Ready` means that at least one replica takes work. A reason names the first thing to mend, its message where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lgs_crds import LangGraphService, Problem
from lgs_crds.status import Condition, DatabaseStatus, Status, condition, merged
from lgs_operator.desired.service import endpoint
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_ended, is_ready
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.naming import selector
from lgs_operator.status.backup import BackupView, backup_ready, last_backup
from lgs_operator.status.database import (
    DATABASE_REASONS,
    ended_at_another,
    ended_at_database,
    of_database,
)
from lgs_operator.status.diagnosis import Budget, Diagnosis, diagnose
from lgs_operator.status.restore import RestoreView, restoring
from lgs_operator.status.rollout import refused_pods, refused_server, seconds_past
from lgs_operator.status.scaling import ScalingView

Reports = Mapping[str, Mapping[str, str]]
_FINE = "ok"
_CLUSTER_FIELD = "spec.persistence.postgres.cloudNativePG"


@dataclass(frozen=True)
class ObservedService:
    """What was seen of a service. `reports` are the `checks` of `/ready` of pods that don't take work."""

    service: LangGraphService
    deployment: Manifest | None = None
    pods: tuple[Manifest, ...] = ()
    postgres: Manifest | None = None
    postgres_pods: tuple[Manifest, ...] = ()
    postgres_refused: str | None = None
    redis: Manifest | None = None
    redis_pods: tuple[Manifest, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    refused: str | None = None
    reports: Reports = field(default_factory=dict)
    unmet: Diagnosis | None = None
    """What of the manifest could not be had while the service goes on."""
    database: DatabaseStatus | None = None
    backup: BackupView | None = None
    restore: RestoreView = field(default_factory=RestoreView)
    cluster: Diagnosis | None = None
    """What keeps the database of CloudNativePG, where the service waits."""

    @property
    def ready(self) -> int:
        """Replicas that take work."""
        return sum(1 for pod in self.pods if is_ready(pod))

    @property
    def desired(self) -> int:
        """Replicas that are wanted now."""
        return int((self.deployment or {}).get("spec", {}).get("replicas", 0))


def status_of(
    view: ObservedService, scaling: ScalingView, before: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """The whole status, as it is to be applied. `before` is the status as it was."""
    metadata = view.service.metadata
    backup = last_backup(view.backup, before) if view.backup else None
    conditions = (
        *((backup_ready(view.backup, backup, now),) if view.backup else ()),
        ready(view),
        progressing(view),
        reconciled(view),
        persistence_ready(view),
        cache_ready(view),
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
        selector=",".join(f"{k}={v}" for k, v in selector(metadata.name, "runtime").items()),
        endpoint=endpoint(metadata.name, metadata.namespace or "default"),
        queue=scaling.queue,
        p95=scaling.p95,
        scaling=scaling.status,
        database=view.database,
        backup=backup,
        restore=view.restore.result,
    )
    return as_json(status)


def invalid_message(problems: tuple[Problem, ...]) -> str:
    """All problems of a manifest in one message."""
    return "; ".join(str(problem) for problem in problems)


def ready(view: ObservedService) -> Condition:
    """At least one replica takes work."""
    if view.refused is not None:
        return condition("Ready", "False", "Refused", view.refused)
    if view.ready:
        return condition("Ready", "True", "Serving", _count(view))
    found = _blocker(view) or _diagnose_servers(view)
    waits = restoring(view.restore, "Ready")
    if found is None and waits is not None:
        return waits
    found = found or _idle(view) or _report(view)
    if found is None:
        return condition("Ready", "False", "Starting", _count(view))
    return condition("Ready", "False", found.reason, found.message)


def progressing(view: ObservedService) -> Condition:
    """The pods are on their way to what the manifest says."""
    if view.refused is not None:
        return condition("Progressing", "False", "Refused", view.refused)
    stuck, late = _blocker(view), seconds_past(view.deployment)
    if late is not None and not view.missing:
        why = stuck or _diagnose_servers(view) or _report(view)
        words = why.message if why else "pods run and don't get ready; `kubectl describe pod` tells more"
        words = f"for {late} s nothing came closer to what the manifest says: {words}"
        return condition("Progressing", "False", "ProgressDeadlineExceeded", words)
    if stuck is not None:
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
    """All objects of the service are as its manifest says."""
    if view.refused is not None:
        return condition("Reconciled", "False", "Refused", view.refused)
    if (lacking := _lacking(view)) is not None:
        return condition("Reconciled", "False", lacking.reason, lacking.message)
    if view.unmet is not None:
        return condition("Reconciled", "False", view.unmet.reason, view.unmet.message)
    return condition("Reconciled", "True", "Done", "all objects are as the manifest says")


def persistence_ready(view: ObservedService) -> Condition:
    """Sessions and runs can be kept."""
    postgres = view.service.spec.persistence.postgres
    if postgres is None:
        return condition(
            "PersistenceReady", "True", "Embedded", "SQLite in the one replica: sessions go with its pod"
        )
    missing = _missing_of(view, "spec.persistence.")
    found = view.cluster or missing or _diagnose_postgres(view)
    if found is not None:
        return condition("PersistenceReady", "False", found.reason, found.message)
    if (waits := restoring(view.restore, "PersistenceReady")) is not None:
        return waits
    if view.ready:
        return condition("PersistenceReady", "True", "Connected", "replicas reach the database")
    failing = _diagnose_database(view)
    if failing is not None:
        return condition("PersistenceReady", "False", failing.reason, failing.message)
    return condition("PersistenceReady", "Unknown", "NoReplica", "no replica has reached the database yet")


def cache_ready(view: ObservedService) -> Condition:
    """The cache and the streams between replicas can work."""
    redis = view.service.spec.cache.redis
    if redis is None:
        return condition("CacheReady", "True", "InMemory", "each replica caches in its own memory")
    missing = _missing_of(view, "spec.cache.")
    if missing is not None:
        return condition("CacheReady", "False", missing.reason, missing.message)
    if redis.managed is not None:
        server = _diagnose_redis(view)
        if server is not None:
            return condition("CacheReady", "False", server.reason, server.message)
        return condition("CacheReady", "True", "Running", "the managed Redis takes connections")
    return condition("CacheReady", "True", "Configured", f"Redis by the Secret {_redis_secret(view)}")


def as_json(status: Status) -> dict[str, Any]:
    """As Kubernetes writes it; what is not known is left out."""
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")


def _diagnose_servers(view: ObservedService) -> Diagnosis | None:
    return view.cluster or _diagnose_postgres(view) or _diagnose_redis(view)


def _diagnose_postgres(view: ObservedService) -> Diagnosis | None:
    postgres = view.service.spec.persistence.postgres
    if postgres is None or postgres.managed is None:
        return None
    budget = Budget("spec.persistence.postgres.managed.resources", postgres.managed.resources)
    if view.postgres_refused and not view.postgres_pods:
        found = refused_server(view.postgres_refused, budget.field)
        return Diagnosis(found.reason, f"the managed database: {found.message}")
    return _managed(view.postgres, view.postgres_pods, "the managed database", budget)


def _diagnose_redis(view: ObservedService) -> Diagnosis | None:
    redis = view.service.spec.cache.redis
    if redis is None or redis.managed is None:
        return None
    budget = Budget("spec.cache.redis.managed.resources", redis.managed.resources)
    return _managed(view.redis, view.redis_pods, "the managed Redis", budget)


def _managed(
    server: Manifest | None, pods: tuple[Manifest, ...], what: str, budget: Budget
) -> Diagnosis | None:
    if server is not None and server.get("status", {}).get("readyReplicas"):
        return None
    found = refused_pods(server, budget.field) or diagnose(pods, budget)
    if found is not None:
        return Diagnosis(found.reason, f"{what}: {found.message}")
    if server is not None and not pods:
        where = f"{server.get('kind', 'object').lower()} {server['metadata']['name']}"
        return Diagnosis("Starting", f"{what} has no pod yet; `kubectl describe {where}` tells why")
    return Diagnosis("Starting", f"{what} is starting")


def _diagnose_database(view: ObservedService) -> Diagnosis | None:
    report = _report(view)
    if report is not None and report.reason in DATABASE_REASONS:
        return report
    return ended_at_database(view.service, view.database, diagnose(view.pods, _budget(view)))


def _report(view: ObservedService) -> Diagnosis | None:
    for pod, checks in view.reports.items():
        failing = {name: said for name, said in checks.items() if said != _FINE}
        if "database" in failing:
            return of_database(view.service, view.database, f"pod {pod}: database: {failing['database']}")
        if failing:
            words = ", ".join(f"{name}: {said}" for name, said in sorted(failing.items()))
            return Diagnosis("NotReady", f"pod {pod}: {words}")
    return None


def _blocker(view: ObservedService) -> Diagnosis | None:
    if (lacking := _lacking(view)) is not None:
        return lacking
    # pods that are refused are newer than any that is there
    budget = _budget(view)
    found = refused_pods(view.deployment, budget.field) or diagnose(view.pods, budget)
    return ended_at_another(view.service, view.database, found)


def _budget(view: ObservedService) -> Budget:
    return Budget(given=view.service.spec.pod.resources)


def _lacking(view: ObservedService) -> Diagnosis | None:
    """What the manifest names that is not there. The Secret of a Cluster comes with it: nobody makes it."""
    others = [each for each in view.missing if each.reference.field != _CLUSTER_FIELD]
    if view.cluster is not None and not others:
        return view.cluster if view.missing else None
    if not view.missing:
        return None
    words = "; ".join(dict.fromkeys(each.message for each in view.missing))
    return Diagnosis(view.missing[0].reason, words)


def _idle(view: ObservedService) -> Diagnosis | None:
    if view.deployment is None or view.desired:
        return None
    return Diagnosis("ScaledToZero", "spec.replicas is 0")


def _missing_of(view: ObservedService, prefix: str) -> MissingReference | None:
    return next((each for each in view.missing if each.reference.field.startswith(prefix)), None)


def _redis_secret(view: ObservedService) -> str:
    redis = view.service.spec.cache.redis
    return redis.uri_secret.name if redis is not None and redis.uri_secret is not None else ""


def _count(view: ObservedService) -> str:
    return f"{view.ready} of {view.desired} replicas take work"
