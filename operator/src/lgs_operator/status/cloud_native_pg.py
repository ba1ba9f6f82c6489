"""Why a database of CloudNativePG can't be used yet, by what its Cluster says of itself. Pure."""

from __future__ import annotations

from lgs_operator.kube.kinds import Manifest
from lgs_operator.status.diagnosis import Diagnosis


def cluster_trouble(name: str, namespace: str, cluster: Manifest | None) -> Diagnosis | None:
    """None for a Cluster that says that it is ready. `cluster` is None where there is none of this name."""
    if cluster is None:
        words = f"there is no Cluster of CloudNativePG of this name in namespace {namespace}; create it"
        return Diagnosis("ClusterNotFound", f"spec.persistence.postgres.cloudNativePG: {name}: {words}")
    status = cluster.get("status") or {}
    if any(
        each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions", [])
    ):
        return None
    found = [str(each) for each in (status.get("phase"), status.get("phaseReason")) if each]
    phase = ": ".join(found) or "it has no status yet: CloudNativePG's operator has not seen it"
    wanted = (cluster.get("spec") or {}).get("instances", 1)
    count = f"{status.get('readyInstances', 0)} of {wanted} instances are ready"
    return Diagnosis("ClusterNotReady", f"Cluster {name} of CloudNativePG: {phase}; {count}")
