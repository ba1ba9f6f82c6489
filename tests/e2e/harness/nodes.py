"""The nodes of a kind cluster as machines that can fail: containers of the Docker that kind uses."""

from __future__ import annotations

import json
import os
from typing import Any

from e2e.harness.kubectl import CommandFailed, run

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def are_ours() -> bool:
    """Whether the nodes are containers here. Not so for a cluster that LGS_TEST_KUBECONFIG names."""
    return "LGS_TEST_KUBECONFIG" not in os.environ


def one_name_server_on_each_worker() -> None:
    """As in most clusters: losing a node loses a server of names, too, and a part of the lookups with it."""
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": CONTROL_PLANE, "operator": "DoesNotExist"}]}
                ]
            }
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                    "topologyKey": "kubernetes.io/hostname",
                }
            ]
        },
    }
    change = {
        "spec": {
            "strategy": {"type": "Recreate", "rollingUpdate": None},
            "template": {"spec": {"affinity": affinity}},
        }
    }
    dns = ("--namespace", "kube-system")
    run("kubectl", *dns, "patch", "deployment/coredns", "--type=merge", "--patch", json.dumps(change))
    run("kubectl", *dns, "rollout", "status", "deployment/coredns", "--timeout=120s", timeout=140)


def control_plane_gets(url: str) -> str:
    """What the machine of the API server is answered; nothing where it is not answered."""
    names = run("kubectl", "get", "nodes", "-l", CONTROL_PLANE, "-o", "jsonpath={.items[*].metadata.name}")
    try:
        return run("docker", "exec", names.split()[0], "curl", "-sk", "--max-time", "2", url)
    except CommandFailed:
        return ""


def power_off(node: str) -> None:
    """The machine is gone at once: nothing on it gets a signal."""
    run("docker", "kill", node)


def power_on(node: str) -> None:
    """The machine comes back with what was on its disk."""
    run("docker", "start", node)


def kill_container(pod: dict[str, Any], container: str) -> None:
    """SIGKILL to a container's first process, from outside of it: inside, process 1 can't be killed so."""
    statuses = pod["status"]["containerStatuses"]
    full_id = next(each["containerID"] for each in statuses if each["name"] == container)
    identity = full_id.removeprefix("containerd://")
    node = pod["spec"]["nodeName"]
    run("docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", identity)
