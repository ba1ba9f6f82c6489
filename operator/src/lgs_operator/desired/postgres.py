"""The managed database: one PostgreSQL server with a volume, its Service and its Secret.

The image is an official `postgres` one or keeps its contract (POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB,
PGDATA), and admits its own user over the Unix socket. The volume and its password outlive the server and,
unless the manifest says otherwise, the service (`volume.py`).
"""

from __future__ import annotations

from urllib.parse import quote

from lgs_operator.desired.credentials import ROLES
from lgs_operator.desired.inputs import Inputs, PostgresInputs, Wanted
from lgs_operator.desired.managed import host_of, managed_container, managed_secret, managed_service
from lgs_operator.desired.objects import name_of, owned, pod_security
from lgs_operator.desired.passwords_script import passwords_script
from lgs_operator.desired.volume import new_claim
from lgs_operator.kube.drift import covers
from lgs_operator.kube.kinds import STATEFUL_SET, Manifest
from lgs_operator.naming import DATA_VOLUME, POSTGRES_PORT, labels, selector

_USER = ROLES[0]
DATABASE = "lgs"
_MOUNT = "/var/lib/postgresql/data"
_SOCKET = "/var/run/postgresql"
_CREDENTIALS = "/var/run/lgs/credentials"
_MAX_CONNECTIONS = 500
# A fast shutdown aborts open transactions and writes a checkpoint; SIGTERM would wait for every client to
# leave.
_GRACE_SECONDS = 60


def postgres_secret(inputs: Inputs) -> Wanted:
    """The Secret with `password`, and `uri` for the runtime. Wanted with a managed database. It is
    kept exactly as long as the volume: a password without its database is worthless, a database
    without its password lost."""
    if inputs.postgres is None:
        return None
    known = inputs.postgres.credentials
    address = f"{host_of(inputs, 'postgres')}:{POSTGRES_PORT}/{DATABASE}"
    uri = f"postgres://{known.current.role}:{quote(known.current.password, safe='')}@{address}"
    manifest = managed_secret(inputs, "postgres", known.values() | {"uri": uri})
    manifest["metadata"]["annotations"] = known.annotations()
    if inputs.postgres.spec.deletion_policy == "Retain":
        del manifest["metadata"]["ownerReferences"]
    return manifest


def postgres_service(inputs: Inputs) -> Wanted:
    """The Service of the managed database. Wanted with one."""
    if not inputs.managed_postgres:
        return None
    return managed_service(inputs, "postgres", POSTGRES_PORT)


def postgres_stateful_set(inputs: Inputs) -> Wanted:
    """The StatefulSet of the managed database. Wanted with one."""
    postgres = inputs.postgres
    if postgres is None:
        return None
    manifest = owned(inputs, STATEFUL_SET, "postgres")
    manifest["spec"] = {
        "replicas": 1,
        "serviceName": name_of(inputs, "postgres"),
        "podManagementPolicy": _pod_management(postgres),
        "selector": {"matchLabels": selector(inputs.name, "postgres")},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "template": {
            "metadata": {"labels": labels(inputs.name, "postgres")},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": pod_security(postgres.image.uid),
                "terminationGracePeriodSeconds": _GRACE_SECONDS,
                "containers": [_container(inputs, postgres)],
                "volumes": [
                    {"name": "tmp", "emptyDir": {}},
                    {"name": "run", "emptyDir": {}},
                    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
                    {"name": "credentials", "secret": {"secretName": name_of(inputs, "postgres")}},
                ],
            },
        },
        "volumeClaimTemplates": _templates(inputs, postgres),
    }
    return manifest


def _pod_management(postgres: PostgresInputs) -> str:
    """The pod management policy: the one that the StatefulSet was created with, which can't be changed, else
    Parallel. With that a mended template also replaces a pod that never got ready; with Kubernetes' default
    such a pod stays until somebody deletes it."""
    made: str | None = (postgres.made or {}).get("podManagementPolicy")
    return made or "Parallel"


def _templates(inputs: Inputs, postgres: PostgresInputs) -> list[Manifest]:
    """The claim templates: those that the StatefulSet was created with, which can't be changed although the
    volume may have grown since, else new ones."""
    metadata = {"name": DATA_VOLUME, "labels": selector(inputs.name, "postgres")}
    new: list[Manifest] = [{"metadata": metadata, "spec": new_claim(postgres.spec)}]
    made: list[Manifest] = (postgres.made or {}).get("volumeClaimTemplates") or []
    return new if not made or covers(made, new) else made


def _container(inputs: Inputs, postgres: PostgresInputs) -> Manifest:
    password = {"secretKeyRef": {"name": name_of(inputs, "postgres"), "key": "password"}}
    # over TCP: the server that initialises the volume listens on the Unix socket only
    alive = {"exec": {"command": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", _USER, "-d", DATABASE]}}
    script = passwords_script(
        database=DATABASE, folder=_CREDENTIALS, socket=_SOCKET, marker="/tmp/lgs-credentials"
    )
    ready = {"exec": {"command": ["/bin/sh", "-c", script]}}
    container: Manifest = {
        "name": "postgres",
        "image": postgres.image.name,
        "args": ["postgres", "-c", f"max_connections={_MAX_CONNECTIONS}"],
        "ports": [{"name": "postgres", "containerPort": POSTGRES_PORT, "protocol": "TCP"}],
        "env": [
            {"name": "POSTGRES_USER", "value": _USER},
            {"name": "POSTGRES_DB", "value": DATABASE},
            {"name": "POSTGRES_PASSWORD", "valueFrom": password},
            {"name": "PGDATA", "value": f"{_MOUNT}/pgdata"},
        ],
        "startupProbe": ready | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 300},
        "readinessProbe": ready | {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": alive | {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["pg_ctl", "stop", "-m", "fast", "--no-wait"]}}},
        "volumeMounts": [
            {"name": DATA_VOLUME, "mountPath": _MOUNT},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "run", "mountPath": _SOCKET},
            {"name": "shm", "mountPath": "/dev/shm"},
            {"name": "credentials", "mountPath": _CREDENTIALS, "readOnly": True},
        ],
    }
    return managed_container(inputs, container, postgres.spec.resources)
