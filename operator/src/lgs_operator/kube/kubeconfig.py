"""Where the API server is and who this process is there: a pod's service account, or a kubeconfig."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from lgs_operator.kube.errors import KubeError

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def in_cluster() -> bool:
    """Whether this process runs in a pod with a service account."""
    return _IN_CLUSTER.exists()


def context_name() -> str | None:
    """The kubeconfig's current context; None in a pod. Raises `KubeError` without a kubeconfig."""
    if in_cluster():
        return None
    with _of_kubeconfig(None):
        _, current = kubernetes_config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
            os.environ.get("KUBECONFIG") or None
        )
        return str(current["name"])


def context_namespace() -> str:
    """The namespace of the kubeconfig's current context. Raises `KubeError` without a kubeconfig."""
    with _of_kubeconfig(None):
        _, current = kubernetes_config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
            os.environ.get("KUBECONFIG") or None
        )
        return str(current["context"].get("namespace") or "default")


@contextmanager
def _of_kubeconfig(given: str | None) -> Iterator[None]:
    """Turns a missing or unusable kubeconfig into a `KubeError` that names it."""
    where = given or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if not any(Path(each).expanduser().exists() for each in where.split(os.pathsep) if each):
        rule = "there is no such file; KUBECONFIG names the kubeconfig of a cluster"
        raise KubeError(0, "NoKubeconfig", f"{where}: {rule}")
    try:
        yield
    except (kubernetes_config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise KubeError(0, "NoKubeconfig", f"{where}: must be a kubeconfig: {why}") from None


async def configured(kubeconfig: str | None) -> kubernetes_client.Configuration:
    """The configuration by `kubeconfig`, else by the pod's service account inside a cluster, else by
    KUBECONFIG."""
    configuration = kubernetes_client.Configuration()
    if kubeconfig is None and in_cluster():
        kubernetes_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        # the library reads KUBECONFIG only once, when it is imported
        named = kubeconfig or os.environ.get("KUBECONFIG") or None
        with _of_kubeconfig(named):
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=named, client_configuration=configuration
            )
    return configuration
