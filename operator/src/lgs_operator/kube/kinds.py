"""The kinds of objects that the operator uses, and where the API server serves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from lgs_crds import API_VERSION, KIND, PLURAL

Manifest = dict[str, Any]
EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class Kind:
    """A kind and its place in the API."""

    api_version: str
    name: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
        """The URL path of one object, of a namespace's objects, or of all."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        parts = (*(("namespaces", namespace) if namespace else ()), self.plural, name, sub)
        # A name may come from a manifest: quoted, it names one object, and never a path to another.
        return "/".join([root, *(quote(part, safe="") for part in parts if part)])


@dataclass(frozen=True)
class Key:
    """Names one object."""

    kind: Kind
    namespace: str
    name: str


class ServiceKey(NamedTuple):
    """Names a service."""

    namespace: str
    name: str


SERVICE_OF_OURS = Kind(API_VERSION, KIND, PLURAL)
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
CONTROLLER_REVISION = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
SERVICE = Kind("v1", "Service", "services")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
SECRET = Kind("v1", "Secret", "secrets")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs")
JOB = Kind("batch/v1", "Job", "jobs")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
CNPG_CLUSTER = Kind("postgresql.cnpg.io/v1", "Cluster", "clusters")
POD_MONITOR = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")
PROMETHEUS_RULE = Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

OWNED = (
    SECRET,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    CLAIM,
    SERVICE_ACCOUNT,
    SERVICE,
    NETWORK_POLICY,
    STATEFUL_SET,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    CRON_JOB,
    JOB,
)
MONITORS = (POD_MONITOR, PROMETHEUS_RULE)
ROUTES = (INGRESS, HTTP_ROUTE)
OPTIONAL = (*MONITORS, *ROUTES)
"""Kinds that belong to a service, too, if the cluster has them and the operator may make them."""
_BY_NAME = {kind.name: kind for kind in (*OWNED, *OPTIONAL, POD, SERVICE_OF_OURS)}


def key_of(manifest: Mapping[str, Any]) -> Key:
    """The key of an object that carries its kind, namespace and name."""
    metadata = manifest["metadata"]
    return Key(_BY_NAME[manifest["kind"]], metadata["namespace"], metadata["name"])
