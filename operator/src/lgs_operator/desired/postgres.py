"""The managed database: one PostgreSQL server with a volume, its Service and its Secret.

The image is an official `postgres` one or keeps its contract (POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB,
PGDATA). The volume stays when the pod is replaced and goes when the service is deleted.
"""

from __future__ import annotations

from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.managed import host_of, managed_container, managed_secret, managed_service
from lgs_operator.desired.objects import name_of, owned, pod_security
from lgs_operator.kube.kinds import STATEFUL_SET, Manifest
from lgs_operator.naming import POSTGRES_PORT, labels, selector

_USER = "lgs"
_DATABASE = "lgs"
_MOUNT = "/var/lib/postgresql/data"
_MAX_CONNECTIONS = 500
# A fast shutdown aborts what runs and writes a checkpoint; SIGTERM would wait for every client to leave.
_GRACE_SECONDS = 60


def postgres_secret(inputs: Inputs) -> Wanted:
    """Wanted with a managed database: `password`, and `uri` for the runtime."""
    if not inputs.managed_postgres:
        return None
    host = host_of(inputs, "postgres")
    uri = f"postgres://{_USER}:{inputs.postgres_password}@{host}:{POSTGRES_PORT}/{_DATABASE}"
    return managed_secret(inputs, "postgres", password=inputs.postgres_password, uri=uri)


def postgres_service(inputs: Inputs) -> Wanted:
    """Wanted with a managed database."""
    if not inputs.managed_postgres:
        return None
    return managed_service(inputs, "postgres", POSTGRES_PORT)


def postgres_stateful_set(inputs: Inputs) -> Wanted:
    """Wanted with a managed database."""
    postgres = inputs.service.spec.persistence.postgres
    if postgres is None or postgres.managed is None:
        return None
    claim: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": postgres.managed.storage}},
    }
    if postgres.managed.storage_class_name:
        claim["storageClassName"] = postgres.managed.storage_class_name
    manifest = owned(inputs, STATEFUL_SET, "postgres")
    manifest["spec"] = {
        "replicas": 1,
        "serviceName": name_of(inputs, "postgres"),
        "selector": {"matchLabels": selector(inputs.name, "postgres")},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
        "template": {
            "metadata": {"labels": labels(inputs.name, "postgres")},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": pod_security(inputs.images.postgres_uid),
                "terminationGracePeriodSeconds": _GRACE_SECONDS,
                "containers": [_container(inputs, postgres.managed.resources)],
                "volumes": [
                    {"name": "tmp", "emptyDir": {}},
                    {"name": "run", "emptyDir": {}},
                    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
                ],
            },
        },
        "volumeClaimTemplates": [
            {"metadata": {"name": "data", "labels": selector(inputs.name, "postgres")}, "spec": claim}
        ],
    }
    return manifest


def _container(inputs: Inputs, resources: Manifest | None) -> Manifest:
    password = {"secretKeyRef": {"name": name_of(inputs, "postgres"), "key": "password"}}
    # over TCP: the server that initialises the volume listens on the Unix socket only
    ready = {"exec": {"command": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", _USER, "-d", _DATABASE]}}
    container: Manifest = {
        "name": "postgres",
        "image": inputs.images.postgres,
        "args": ["postgres", "-c", f"max_connections={_MAX_CONNECTIONS}"],
        "ports": [{"name": "postgres", "containerPort": POSTGRES_PORT, "protocol": "TCP"}],
        "env": [
            {"name": "POSTGRES_USER", "value": _USER},
            {"name": "POSTGRES_DB", "value": _DATABASE},
            {"name": "POSTGRES_PASSWORD", "valueFrom": password},
            {"name": "PGDATA", "value": f"{_MOUNT}/pgdata"},
        ],
        "startupProbe": ready | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 300},
        "readinessProbe": ready | {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": ready | {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["pg_ctl", "stop", "-m", "fast", "--no-wait"]}}},
        "volumeMounts": [
            {"name": "data", "mountPath": _MOUNT},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }
    return managed_container(inputs, container, resources)
