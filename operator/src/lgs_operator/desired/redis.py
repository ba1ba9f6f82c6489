"""The managed Redis: one server without a disk, its Service and its Secret.

The image is an official `redis` one or keeps its contract (the arguments are the command). What it holds may
be lost at any time: it is live tokens and cached answers, never a result.
"""

from __future__ import annotations

from urllib.parse import quote

from lgs_operator.desired.credentials import REDIS_CREDENTIALS_ANNOTATION, password_digest
from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.managed import host_of, managed_container, managed_secret, managed_service
from lgs_operator.desired.objects import name_of, owned, pod_security
from lgs_operator.kube.kinds import DEPLOYMENT, Manifest
from lgs_operator.naming import REDIS_PORT, labels, selector

_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_UNITS |= {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


def redis_secret(inputs: Inputs) -> Wanted:
    """The Secret with `password`, and `uri` for the runtime. Wanted with a managed Redis."""
    if not inputs.managed_redis:
        return None
    host = host_of(inputs, "redis")
    uri = f"redis://:{quote(inputs.redis_password, safe='')}@{host}:{REDIS_PORT}/0"
    return managed_secret(inputs, "redis", {"password": inputs.redis_password, "uri": uri})


def redis_service(inputs: Inputs) -> Wanted:
    """The Service of the managed Redis. Wanted with one."""
    if not inputs.managed_redis:
        return None
    return managed_service(inputs, "redis", REDIS_PORT)


def redis_deployment(inputs: Inputs) -> Wanted:
    """The Deployment of the managed Redis. Wanted with one."""
    redis = inputs.service.spec.cache.redis
    if redis is None or redis.managed is None:
        return None
    manifest = owned(inputs, DEPLOYMENT, "redis")
    manifest["spec"] = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selector(inputs.name, "redis")},
        "template": {
            "metadata": {
                "labels": labels(inputs.name, "redis"),
                # The server keeps the password that it was started with.
                "annotations": {REDIS_CREDENTIALS_ANNOTATION: password_digest(inputs.redis_password)},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": pod_security(inputs.images.redis_uid),
                "containers": [_container(inputs, redis.managed.max_memory, redis.managed.resources)],
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
        },
    }
    return manifest


def _container(inputs: Inputs, max_memory: str, resources: Manifest | None) -> Manifest:
    password = {"secretKeyRef": {"name": name_of(inputs, "redis"), "key": "password"}}
    options = {
        "--save": "",
        "--appendonly": "no",
        "--maxmemory": str(_bytes(max_memory)),
        "--maxmemory-policy": "allkeys-lru",
        # Kubernetes inserts the value of the variable
        "--requirepass": "$(REDIS_PASSWORD)",
    }
    # the server is at times briefly busy or loading: a TCP check does not take that for a failure
    probe = {"tcpSocket": {"port": "redis"}, "timeoutSeconds": 5}
    container: Manifest = {
        "name": "redis",
        "image": inputs.images.redis,
        "args": ["redis-server", *(part for option in options.items() for part in option)],
        "workingDir": "/data",
        "ports": [{"name": "redis", "containerPort": REDIS_PORT, "protocol": "TCP"}],
        "env": [{"name": "REDIS_PASSWORD", "valueFrom": password}],
        "readinessProbe": probe | {"periodSeconds": 2, "failureThreshold": 3},
        "livenessProbe": probe | {"periodSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return managed_container(inputs, container, resources)


def _bytes(quantity: str) -> int:
    number = quantity.rstrip("KMGTPik")
    return int(number) * _UNITS.get(quantity[len(number) :], 1)
