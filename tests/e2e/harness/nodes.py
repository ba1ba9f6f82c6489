"""The nodes of a kind cluster as machines that can fail: containers of the Docker that kind uses."""

from __future__ import annotations

import os
from typing import Any

from e2e.harness.kubectl import run

CLUSTER = os.environ.get("LGS_CLUSTER", "lgs-e2e")


def are_ours() -> bool:
    """Whether the nodes are containers here. Not so for a cluster that LGS_TEST_KUBECONFIG names."""
    return "LGS_TEST_KUBECONFIG" not in os.environ


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
