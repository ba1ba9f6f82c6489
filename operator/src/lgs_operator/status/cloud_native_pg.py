"""What a Cluster of CloudNativePG reports: whether it takes commits, and why a service on it
takes no work. Pure.

The fields are those of its API (postgresql.cnpg.io/v1). `phase` alone does not tell: a Cluster that
serves but lacks a standby has a different phase than a healthy one, and a hibernated Cluster has the
phase of a healthy one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lgs_operator.desired.references import CLUSTER_FIELD
from lgs_operator.kube.kinds import Manifest
from lgs_operator.naming import application_secret
from lgs_operator.status.diagnosis import Diagnosis

HIBERNATION: Final = "cnpg.io/hibernation"
"""The annotation that asks for hibernation, and the condition that reports it."""
FENCING: Final = "cnpg.io/fencedInstances"
"""The annotation that names the instances whose PostgreSQL is to stay down."""
_PROMOTING: Final = "Promoting to primary cluster"
"""The phase of a replica cluster that is being promoted: its primary is still a standby
of another Cluster."""


def not_serving(name: str, namespace: str, cluster: Manifest | None) -> Diagnosis | None:
    """Why replicas that start now could commit nothing; None if they could. `cluster` is None if there is no
    Cluster of this name."""
    if cluster is None:
        words = f"there is no Cluster of CloudNativePG of this name in namespace {namespace}"
        way = "create it; for one elsewhere, name a Secret with its address in uriSecret"
        return Diagnosis("ClusterNotFound", f"{CLUSTER_FIELD}: {name}: {words}; {way}")
    if (asleep := _hibernation(cluster)) is not None:
        way = f"to go on: kubectl annotate cluster.postgresql.cnpg.io {name} {HIBERNATION}-"
        return Diagnosis("ClusterHibernated", f"Cluster {name} of CloudNativePG: {asleep}; {way}")
    if _follows_another(name, cluster):
        words = "it is a replica cluster, which takes no writes (spec.replica): promote it, or name another"
        return Diagnosis("ClusterReadOnly", f"Cluster {name} of CloudNativePG: {words}")
    if "deletionTimestamp" in cluster["metadata"] or not _has_primary(cluster):
        return _not_ready(name, cluster, _of_primary(cluster))
    return _without_standbys(name, cluster)


def cluster_problem(
    name: str, namespace: str, cluster: Manifest | None, *, lacks_secret: bool
) -> Diagnosis | None:
    """Why the Cluster keeps every replica of a service from taking work; None if it is healthy.
    `lacks_secret` says that the application's Secret can't be used."""
    if cluster is not None and lacks_secret and (never := _makes_no_secret(name, cluster)) is not None:
        return never
    if (found := not_serving(name, namespace, cluster)) is not None or cluster is None:
        return found
    return None if _condition(cluster, "Ready").get("status") == "True" else _not_ready(name, cluster)


def _has_primary(cluster: Manifest) -> bool:
    """Whether it has a primary that is to stay primary and whose pod is ready. During a switchover the target
    is another instance."""
    status = _status(cluster)
    primary = status.get("currentPrimary")
    return (
        bool(primary)
        and primary == status.get("targetPrimary")
        and primary in _healthy(cluster)
        and status.get("phase") != _PROMOTING
    )


def _of_primary(cluster: Manifest) -> str:
    """What about the primary keeps commits from being answered, in words. With a fenced primary the phase is
    that of a healthy Cluster (https://github.com/cloudnative-pg/cloudnative-pg/issues/882)."""
    status = _status(cluster)
    primary = status.get("currentPrimary")
    if not primary:
        return ", and none is its primary yet"
    if primary != status.get("targetPrimary"):
        return f", and another one is to be the primary in place of {primary}"
    if primary in _healthy(cluster):
        return ""
    fenced = str((cluster["metadata"].get("annotations") or {}).get(FENCING) or "")
    is_fenced = f'"{primary}"' in fenced or '"*"' in fenced
    return f", and its primary {primary} is not" + (f": it is fenced ({FENCING})" if is_fenced else "")


def _without_standbys(name: str, cluster: Manifest) -> Diagnosis | None:
    """The diagnosis if commits wait for standbys that are not there. Standbys outside of the Cluster can't be
    counted here, and with `preferred`, as with `minSyncReplicas`, commits do not wait."""
    synchronous = (cluster["spec"].get("postgresql") or {}).get("synchronous") or {}
    outside = synchronous.get("standbyNamesPre") or synchronous.get("standbyNamesPost")
    wanted = int(synchronous.get("number", 0))
    if synchronous.get("dataDurability") == "preferred" or outside or len(_healthy(cluster)) > wanted:
        return None
    return _not_ready(name, cluster, f", and a commit waits for {wanted} besides the primary")


def _makes_no_secret(name: str, cluster: Manifest) -> Diagnosis | None:
    """The diagnosis if CloudNativePG will never create the application's Secret. It does not name the Secret
    that the Cluster uses: not everyone who may write a manifest may read Clusters."""
    bootstrap = cluster["spec"].get("bootstrap") or {}
    secret = application_secret(name)
    given = next(
        (each for each in ("recovery", "pg_basebackup", "initdb") if _secret_of(bootstrap, each)), None
    )
    if given is not None and _secret_of(bootstrap, given) != secret:
        why = f"takes the application's user from a Secret of its own (spec.bootstrap.{given}.secret)"
    elif _imports_all(bootstrap):
        why = "imports databases as they are (spec.bootstrap.initdb.import.type: monolith)"
    else:
        return None
    way = "put the address into a Secret and name that in spec.persistence.postgres.uriSecret"
    words = f"this Cluster {why}, so CloudNativePG makes no Secret {secret}: {way}"
    return Diagnosis("SecretNotFound", f"{CLUSTER_FIELD}: {name}: {words}")


def _secret_of(bootstrap: Mapping[str, Any], method: str) -> str:
    found = ((bootstrap.get(method) or {}).get("secret") or {}).get("name")
    return str(found or "")


def _imports_all(bootstrap: Mapping[str, Any]) -> bool:
    begins = bootstrap.get("initdb") or {}
    is_whole = (begins.get("import") or {}).get("type") == "monolith"
    return is_whole and not begins.get("database")


def _hibernation(cluster: Manifest) -> str | None:
    """The progress of hibernation in CloudNativePG's words; None if not asked for, or not begun."""
    if (cluster["metadata"].get("annotations") or {}).get(HIBERNATION) != "on":
        return None
    told = _condition(cluster, HIBERNATION)
    return None if not told else str(told.get("message") or told.get("reason"))


def _follows_another(name: str, cluster: Manifest) -> bool:
    """Whether it replicates another Cluster: by `enabled`, or else by the name of the primary Cluster."""
    replica = cluster["spec"].get("replica")
    if not replica:
        return False
    if (enabled := replica.get("enabled")) is not None:
        return bool(enabled)
    return bool((replica.get("self") or name) != replica.get("primary"))


def _not_ready(name: str, cluster: Manifest, more: str = "") -> Diagnosis:
    status = _status(cluster)
    found = [str(each) for each in (status.get("phase"), status.get("phaseReason")) if each]
    phase = ": ".join(found) or "it has no status yet: CloudNativePG's operator has not seen it"
    if "deletionTimestamp" in cluster["metadata"]:
        phase = "it is being deleted"
    wanted = cluster["spec"].get("instances", 1)
    count = f"{status.get('readyInstances', 0)} of {wanted} instances are ready"
    return Diagnosis("ClusterNotReady", f"Cluster {name} of CloudNativePG: {phase}; {count}{more}")


def _healthy(cluster: Manifest) -> list[str]:
    return (_status(cluster).get("instancesStatus") or {}).get("healthy") or []


def _condition(cluster: Manifest, kind: str) -> Mapping[str, Any]:
    told = _status(cluster).get("conditions") or []
    return next((each for each in told if each.get("type") == kind), {})


def _status(cluster: Manifest) -> Mapping[str, Any]:
    return cluster.get("status") or {}
