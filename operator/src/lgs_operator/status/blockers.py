"""What keeps a service from working, by what was observed of it. Pure; `diagnosis.py` reads one pod."""

from __future__ import annotations

from lgs_operator.desired.references import CLUSTER_FIELD
from lgs_operator.desired.revision import revision_of
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_ready
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.status.database import (
    DATABASE_REASONS,
    ended_at_database,
    of_database,
)
from lgs_operator.status.diagnosis import Budget, Diagnosis, diagnose, not_ready_beside
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.rollout import refused_pods, refused_server, seconds_past

_FINE = "ok"
_TEMPLATE_HASH = "controller-revision-hash"
"""The label of a StatefulSet's pods that says which of its templates they were made from."""


def of_servers(view: ObservedService) -> Diagnosis | None:
    """What keeps the managed servers from working, or the Cluster of CloudNativePG that is waited for."""
    return view.cluster or of_postgres(view) or of_redis(view)


def of_postgres(view: ObservedService) -> Diagnosis | None:
    """What keeps the managed database from working."""
    postgres = view.service.spec.persistence.postgres
    if postgres is None or postgres.managed is None:
        return None
    budget = Budget("spec.persistence.postgres.managed.resources", postgres.managed.resources)
    if view.postgres_refused and not view.postgres_pods:
        found = refused_server(view.postgres_refused, budget.field)
        return Diagnosis(found.reason, f"the managed database: {found.message}")
    return _managed(view, view.postgres, view.postgres_pods, "the managed database", budget)


def of_redis(view: ObservedService) -> Diagnosis | None:
    """What keeps the managed Redis from working."""
    redis = view.service.spec.cache.redis
    if redis is None or redis.managed is None:
        return None
    budget = Budget("spec.cache.redis.managed.resources", redis.managed.resources)
    return _managed(view, view.redis, view.redis_pods, "the managed Redis", budget)


def _managed(
    view: ObservedService, server: Manifest | None, pods: tuple[Manifest, ...], what: str, budget: Budget
) -> Diagnosis | None:
    if server is not None and server.get("status", {}).get("readyReplicas"):
        return None
    found = refused_pods(server, budget.field) or diagnose(pods, budget, view.told)
    if found is not None:
        return Diagnosis(found.reason, f"{what}: {found.message}{_left_behind(server, pods)}")
    if server is not None and not pods:
        where = f"{server.get('kind', 'object').lower()} {server['metadata']['name']}"
        return Diagnosis("Starting", f"{what} has no pod yet; `kubectl describe {where}` tells why")
    return Diagnosis("Starting", f"{what} is starting")


def _left_behind(server: Manifest | None, pods: tuple[Manifest, ...]) -> str:
    """What to do about a pod of an older template, if Kubernetes keeps it until it is ready."""
    if server is None or server.get("spec", {}).get("podManagementPolicy") != "OrderedReady":
        return ""
    newest = server.get("status", {}).get("updateRevision")
    old = [pod for pod in pods if pod["metadata"].get("labels", {}).get(_TEMPLATE_HASH) != newest]
    if not newest or not old:
        return ""
    return f". It is of an older manifest: kubectl delete pod {old[0]['metadata']['name']} has it made anew"


def of_database_by_replicas(view: ObservedService) -> Diagnosis | None:
    """What is wrong with the database, according to the replicas' checks or their last words."""
    report = of_reports(view)
    if report is not None and report.reason in DATABASE_REASONS:
        return report
    return ended_at_database(view.service, view.database, diagnose(view.all_pods, _budget(view)))


def waits_for_database(view: ObservedService) -> bool:
    """Whether the database, not the release, is to blame that no replica is ready: its server says so, or
    replicas of more than one revision do."""
    if (view.deployment or {}).get("status", {}).get("readyReplicas"):
        return False
    if any(map(is_ready, view.all_pods)):
        # a replica became ready since the Deployment was observed: the database has come back
        return True
    if view.cluster is not None or of_postgres(view) is not None:
        return True
    is_common = len({revision_of(pod) for pod in view.all_pods}) > 1
    return is_common and of_database_by_replicas(view) is not None


def of_reports(view: ObservedService) -> Diagnosis | None:
    """What the first replica that takes no work reports about itself."""
    for pod, checks in view.reports.items():
        failing = {name: said for name, said in checks.items() if said != _FINE}
        if "database" in failing:
            return of_database(view.service, view.database, f"pod {pod}: database: {failing['database']}")
        if failing:
            words = ", ".join(f"{name}: {said}" for name, said in sorted(failing.items()))
            return Diagnosis("NotReady", f"pod {pod}: {words}")
    return _of_others(view)


def _of_others(view: ObservedService) -> Diagnosis | None:
    """The container beside the runtime's that keeps a pod unready although its runtime is ready."""
    for pod in view.all_pods:
        name = pod["metadata"]["name"]
        waiting = not_ready_beside(pod) if name in view.reports else None
        if waiting is not None:
            words = f"pod {name}: its container {waiting} runs and is not ready: its readinessProbe fails"
            return Diagnosis("NotReady", words)
    return None


def of_pods(view: ObservedService) -> Diagnosis | None:
    """What keeps replicas from being created or from working."""
    if (lacking := of_missing_objects(view)) is not None:
        return lacking
    found = _refused_or_failing(view)
    ended = ended_at_database(view.service, view.database, found)
    if ended is None:
        return found
    # What the Cluster or the managed server reports says more than what replicas that can't reach it do.
    server = view.cluster or of_postgres(view)
    return (server or found) if ended.reason == "DatabaseUnreachable" else ended


def _refused_or_failing(view: ObservedService) -> Diagnosis | None:
    """Why pods are refused, or why existing ones fail. Refused pods are newer than any that exists; what
    those lack is told as well, since room for more pods would not help them."""
    budget = _budget(view)
    refused, failing = refused_pods(view.deployment, budget.field), diagnose(view.pods, budget, view.told)
    if refused is None or failing is None:
        return refused or failing
    return Diagnosis(refused.reason, f"{refused.message}. Besides, {failing.message}")


def of_canary(view: ObservedService) -> Diagnosis | None:
    """What keeps replicas of the canary from being created or from working."""
    return None if view.canary is None else _of_those_beside(view.beside, "the canary")


def of_kept(view: ObservedService, number: int) -> Diagnosis | None:
    """What keeps replicas of a kept revision from being created or from working."""
    return _of_those_beside(view.of_kept(number), f"revision {number}")


def _of_those_beside(beside: ObservedService, whose: str) -> Diagnosis | None:
    if beside.ready >= beside.desired:
        return None
    found, late = _refused_or_failing(beside), seconds_past(beside.deployment)
    if found is None and late is not None:
        words = "its pods run and don't get ready; `kubectl describe pod` tells more"
        found = of_reports(beside) or Diagnosis("NotReady", words)
    if found is None:
        return None
    count = f"{beside.ready} of {beside.desired} replicas of {whose} take work"
    return Diagnosis(found.reason, f"{count}: {found.message}")


def _budget(view: ObservedService) -> Budget:
    own = view.service.spec.api.resources
    if own is not None and view.part == "api":
        return Budget("spec.api.resources", own)
    return Budget(given=view.service.spec.pod.resources)


def of_missing_objects(view: ObservedService) -> Diagnosis | None:
    """What the manifest names that is missing, or not there yet. The Secret of a Cluster is no blocker of its
    own while the Cluster has a problem: it comes with the Cluster, and no user creates it."""
    if not view.missing:
        return view.awaited
    others = [each for each in view.missing if each.reference.field != CLUSTER_FIELD]
    if view.cluster is not None and not others:
        return view.cluster
    words = "; ".join(dict.fromkeys(each.message for each in view.missing))
    return Diagnosis(view.missing[0].reason, words)


def of_no_replicas(view: ObservedService) -> Diagnosis | None:
    """The diagnosis if no replicas are wanted; None otherwise."""
    if view.deployment is None or view.desired:
        return None
    return Diagnosis("ScaledToZero", "spec.replicas is 0")


def missing_below(view: ObservedService, prefix: str) -> MissingReference | None:
    """The first missing object that a field starting with `prefix` names."""
    return next((each for each in view.missing if each.reference.field.startswith(prefix)), None)
