"""Prometheus with its adapter, and a collector of traces, as many clusters have them: what Prometheus is to
read, its alerts and the adapter's rules are given. One pod runs all of them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from e2e.harness import nodes
from e2e.harness.kubectl import Kubectl, condition, run
from support.collector import Span, received

NAMESPACE = "monitoring"
NAME = "prometheus"
PORT = 6443
TRACES_URL = f"http://{NAME}.{NAMESPACE}:4318"
"""Where spans are sent by OTLP over HTTP."""
_SPANS = "/tmp/spans.jsonl"
_COLLECTOR = {
    "receivers": {"otlp": {"protocols": {"http": {"endpoint": "0.0.0.0:4318"}}}},
    "exporters": {"lines": {"path": _SPANS}},
    "service": {
        "telemetry": {"metrics": {"level": "none"}},
        "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["lines"]}},
    },
}
EXTERNAL_METRICS = "v1beta1.external.metrics.k8s.io"
SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True)
class Monitoring:
    """All of them, where they run."""

    kubectl: Kubectl

    def value(self, query: str) -> float | None:
        """What Prometheus answers; None while it knows nothing of it."""
        path = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}:9090/proxy/api/v1/query?query={quote(query)}"
        (found,) = json.loads(self.kubectl("get", "--raw", path))["data"]["result"] or [None]
        return None if found is None else float(found["value"][1])

    def spans(self) -> list[Span]:
        """All that the collector has received."""
        told = self.kubectl(
            *("exec", f"deployment/{NAME}", "-c", "collector", "--"),
            *("sh", "-c", f"if [ -e {_SPANS} ]; then cat {_SPANS}; fi"),
        )
        return received(told)


@contextlib.contextmanager
def monitoring(
    image: str,
    node: str,
    scrapes: dict[str, Any],
    rules: dict[str, Any],
    groups: Sequence[dict[str, Any]] = (),
) -> Iterator[Monitoring]:
    """Runs them on `node` while the block runs, and returns when the API server serves external metrics.
    `rules` are the adapter's, `groups` those of Prometheus."""
    here = Kubectl(NAMESPACE)
    read = {"global": {"evaluation_interval": "1s"}, **scrapes, "rule_files": ["/config/groups.yaml"]}
    configuration = {
        "prometheus.yaml": yaml.safe_dump(read),
        "groups.yaml": yaml.safe_dump({"groups": list(groups)}),
        "adapter.yaml": yaml.safe_dump(rules),
        "collector.yaml": yaml.safe_dump(_COLLECTOR),
    }
    run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=180)
    here.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        manifests = {"apiVersion": "v1", "kind": "List", "items": _manifests(image, node, configuration)}
        # One of them belongs into another namespace, which a kubectl with this one refuses.
        run("kubectl", "apply", "-f", "-", text=json.dumps(manifests))
        here.until("Prometheus and its adapter are ready", lambda: _is_ready(here), 120)
        # Only now: before kube-proxy knows the Service its address may lead out of the cluster, and the API
        # server keeps its connection with whatever answers there.
        if nodes.are_ours():
            here.until("the API server's machine reaches the adapter", lambda: _is_reached(here), 180)
        run("kubectl", "apply", "-f", "-", text=json.dumps(_api_service()))
        here.until("external metrics are served", lambda: _is_served(here), 180)
        yield Monitoring(here)
    finally:
        # First of all: a server that is registered and does not answer keeps namespaces from going.
        run("kubectl", "delete", "apiservice", EXTERNAL_METRICS, "--ignore-not-found")
        run("kubectl", "delete", "clusterroles,clusterrolebindings", "-l", f"app={NAME}")
        run("kubectl", "delete", "rolebindings", "-n", "kube-system", "-l", f"app={NAME}")
        run("kubectl", "delete", "namespace", NAMESPACE, "--wait=false")


def _is_ready(here: Kubectl) -> bool:
    return here.get(f"deployment/{NAME}")["status"].get("readyReplicas") == 1


def _is_reached(here: Kubectl) -> bool:
    address = here.get(f"service/{NAME}")["spec"]["clusterIP"]
    return nodes.control_plane_gets(f"https://{address}:{PORT}/readyz") == "ok"


def _is_served(here: Kubectl) -> bool:
    return condition(here.get(f"apiservice/{EXTERNAL_METRICS}"), "Available").get("status") == "True"


def _manifests(image: str, node: str, configuration: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "data": configuration,
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}},
        _deployment(image, node),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "selector": {"app": NAME},
                "ports": [
                    {"name": "http", "port": 9090},
                    {"name": "https", "port": PORT},
                    {"name": "traces", "port": 4318},
                ],
            },
        },
        *_rights(),
    ]


def _api_service() -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": EXTERNAL_METRICS},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "service": {"name": NAME, "namespace": NAMESPACE, "port": PORT},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }


def _rights() -> list[dict[str, Any]]:
    labels = {"app": NAME}
    pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    subjects = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
    group = "rbac.authorization.k8s.io"

    def bound(kind: str, metadata: dict[str, Any], to: str, role: str) -> dict[str, Any]:
        reference = {"apiGroup": group, "kind": to, "name": role}
        body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata | {"labels": labels}}
        return body | {"roleRef": reference, "subjects": subjects}

    authentication = "extension-apiserver-authentication-reader"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME, "labels": labels},
            "rules": [pods],
        },
        bound("ClusterRoleBinding", {"name": NAME}, "ClusterRole", NAME),
        bound("ClusterRoleBinding", {"name": f"{NAME}-delegator"}, "ClusterRole", "system:auth-delegator"),
        bound("RoleBinding", {"name": NAME, "namespace": "kube-system"}, "Role", authentication),
    ]


def _deployment(image: str, node: str) -> dict[str, Any]:
    labels = {"app": NAME}

    def container(name: str, *command: str, probe: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            "securityContext": SECURITY,
            "readinessProbe": {**probe, "periodSeconds": 1},
            "volumeMounts": [
                {"name": "config", "mountPath": "/config"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }

    prometheus = container(
        "prometheus",
        *("prometheus", "--config.file=/config/prometheus.yaml", "--storage.tsdb.path=/tmp/data"),
        probe={"httpGet": {"path": "/-/ready", "port": 9090}},
    )
    adapter = container(
        "adapter",
        *("prometheus-adapter", "--config=/config/adapter.yaml", "--prometheus-url=http://127.0.0.1:9090"),
        # Rules are matched with the series there are, which are discovered this often.
        *("--metrics-relist-interval=5s", "--metrics-max-age=1m"),
        *(f"--secure-port={PORT}", "--cert-dir=/tmp/certificates"),
        probe={"httpGet": {"path": "/readyz", "port": PORT, "scheme": "HTTPS"}},
    )
    collector = container(
        "collector",
        *("otel-collector", "--config", "file:/config/collector.yaml"),
        probe={"tcpSocket": {"port": 4318}},
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "nodeSelector": {"kubernetes.io/hostname": node},
                    "securityContext": {"runAsNonRoot": True, "runAsUser": 65534},
                    "containers": [prometheus, adapter, collector],
                    "volumes": [
                        {"name": "config", "configMap": {"name": NAME}},
                        {"name": "tmp", "emptyDir": {}},
                    ],
                },
            },
        },
    }
