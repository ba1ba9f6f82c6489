"""What the pods of backups and of restores share: PostgreSQL's own programs in its own image, the runtime's
`dump` command in the service's image, and the place where backups are stored.
"""

from __future__ import annotations

from lgs_crds.model.backup import BackupS3
from lgs_operator.desired.deployment import RUNTIME_UID, image_of
from lgs_operator.desired.inputs import Inputs, PostgresInputs
from lgs_operator.desired.managed import host_of
from lgs_operator.desired.objects import container_security, name_of, pod_security
from lgs_operator.desired.postgres import DATABASE
from lgs_operator.kube.kinds import Manifest
from lgs_operator.naming import POSTGRES_PORT, Component, labels

BACKUPS = "/backups"
SCRATCH = "/scratch"
REPORT = "/dev/termination-log"
ACCESS_KEY, SECRET_KEY = "accessKeyId", "secretAccessKey"
POD_NAME: Manifest = {
    "name": "POD_NAME",
    "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
}
_RESOURCES = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


def dump_pod(
    inputs: Inputs, component: Component, containers: list[Manifest], volumes: list[Manifest]
) -> Manifest:
    """The template of a pod whose containers run one after the other; the pod ends with the last one."""
    pod = inputs.service.spec.pod
    spec: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(RUNTIME_UID),
        "initContainers": containers[:-1],
        "containers": containers[-1:],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}, *volumes],
    }
    optional = {
        "nodeSelector": pod.node_selector,
        "tolerations": pod.tolerations,
        "imagePullSecrets": [{"name": each.name} for each in pod.image_pull_secrets],
    }
    spec |= {name: value for name, value in optional.items() if value}
    return {"metadata": {"labels": labels(inputs.name, component)}, "spec": spec}


def server_programs(
    inputs: Inputs, postgres: PostgresInputs, name: str, script: str, mounts: list[Manifest]
) -> Manifest:
    """A container that runs a shell script with PostgreSQL's programs, in exactly the server's version."""
    env = [
        POD_NAME,
        {"name": "PGHOST", "value": host_of(inputs, "postgres")},
        {"name": "PGPORT", "value": str(POSTGRES_PORT)},
        {"name": "PGUSER", "valueFrom": _secret(name_of(inputs, "postgres"), "username")},
        {"name": "PGDATABASE", "value": DATABASE},
        {"name": "PGPASSWORD", "valueFrom": _secret(name_of(inputs, "postgres"), "password")},
        {"name": "PGCONNECT_TIMEOUT", "value": "10"},
        # the user has no home directory, where the programs look for their own files
        {"name": "HOME", "value": "/tmp"},
    ]
    container = {"name": name, "image": postgres.image.name, "command": ["sh", "-ec", script], "env": env}
    return _bounded(inputs, container, inputs.images.pull_policy, mounts)


def runtime_program(
    inputs: Inputs, name: str, arguments: list[str], s3: BackupS3 | None, mounts: list[Manifest]
) -> Manifest:
    """A container that runs `lgs-runtime dump` with these arguments, in the service's own image."""
    env = [POD_NAME, {"name": "DATABASE_URI", "valueFrom": _secret(name_of(inputs, "postgres"), "uri")}]
    if s3 is not None:
        env += [
            {"name": "AWS_REGION", "value": s3.region},
            *([{"name": "AWS_ENDPOINT_URL", "value": s3.endpoint}] if s3.endpoint else []),
            {"name": "AWS_ACCESS_KEY_ID", "valueFrom": _secret(s3.credentials_secret.name, ACCESS_KEY)},
            {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": _secret(s3.credentials_secret.name, SECRET_KEY)},
        ]
    container = {
        "name": name,
        "image": image_of(inputs),
        "command": ["lgs-runtime", "dump", *arguments],
        "env": env,
    }
    policy = inputs.service.spec.pod.image_pull_policy or inputs.images.pull_policy
    return _bounded(inputs, container, policy, mounts)


def scratch(postgres: PostgresInputs, name: str) -> Manifest:
    """A temporary volume of the pod with room for one dump, which is smaller than its database."""
    return {"name": name, "emptyDir": {"sizeLimit": postgres.spec.storage}}


def place(inputs: Inputs, s3: BackupS3 | None) -> str:
    """The URL of the backups, in the form that the runtime's command takes."""
    return f"file://{BACKUPS}" if s3 is None else f"s3://{s3.bucket}/{s3.prefix or inputs.namespace}"


def _bounded(inputs: Inputs, container: Manifest, policy: str | None, mounts: list[Manifest]) -> Manifest:
    backup = inputs.postgres.spec.backup if inputs.postgres else None
    return container | {
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": (backup.resources if backup else None) or _RESOURCES,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],
        **({"imagePullPolicy": policy} if policy else {}),
    }


def _secret(name: str, key: str) -> Manifest:
    return {"secretKeyRef": {"name": name, "key": key}}
