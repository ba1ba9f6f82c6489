"""What the chapters of the story share: the service, how to read it, how to wait for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e.harness.kubectl import Kubectl, condition, is_ready
from e2e.harness.player import Stage

NAME = "support"
RESOURCE = f"langgraphservice/{NAME}"
RELEASE = "lgs-operator"
PODS = f"lgs.dev/service={NAME},app.kubernetes.io/component=runtime"
URL = f"http://{NAME}:8000"
RECORDS_URI = "redis://records:6379"
POSTGRES_UID = 999
"""The user of the images of PostgreSQL that need no registry."""


@dataclass(frozen=True)
class Story:
    """The stage. `keep` is a node that stays, `lose` one that a chapter takes away (None: there is one)."""

    kubectl: Kubectl
    system: Kubectl
    image: Callable[[str], str]
    stage: Stage
    keep: str
    lose: str | None
    manifest: dict[str, Any]
    root: Path

    def service(self) -> dict[str, Any]:
        """The service as it is now."""
        return self.kubectl.get(RESOURCE)

    def deployment(self) -> dict[str, Any]:
        """Its Deployment as it is now."""
        return self.kubectl.get(f"deployment/{NAME}")

    def pods(self) -> list[dict[str, Any]]:
        """Its replicas, without those on their way out."""
        return self.kubectl.pods(PODS)

    def until_ready(self, seconds: float) -> None:
        """Waits until the newest manifest was acted on and its service is Ready."""

        def look() -> bool:
            service = self.service()
            ready = condition(service, "Ready")
            generation = service["metadata"]["generation"]
            return ready.get("status") == "True" and ready.get("observedGeneration") == generation

        self.kubectl.until("the condition Ready", look, seconds)

    def until_replicas(self, count: int, seconds: float) -> None:
        """Waits until so many replicas are wanted, there and ready, all of them of the newest template."""

        def look() -> bool:
            deployment = self.deployment()
            status = deployment["status"]
            numbers = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
            current = status.get("observedGeneration") == deployment["metadata"]["generation"]
            return current and [deployment["spec"]["replicas"], *numbers] == [count] * 4

        self.kubectl.until(f"{count} replicas", look, seconds)

    def start_up_seconds(self) -> float:
        """The longest time that a present replica took from its creation to Ready."""
        return max(_start_up(pod) for pod in self.pods() if is_ready(pod))

    def forget_records(self) -> None:
        """Empties the list of the steps' records."""
        self.kubectl("exec", "deployment/records", "--", "redis-cli", "DEL", "steps")

    def records(self) -> list[dict[str, Any]]:
        """The steps' records, oldest first."""
        lines = self.kubectl("exec", "deployment/records", "--", "redis-cli", "LRANGE", "steps", "0", "-1")
        return [json.loads(line) for line in lines.splitlines() if line]


def _start_up(pod: dict[str, Any]) -> float:
    ready = next(each for each in pod["status"]["conditions"] if each["type"] == "Ready")
    since, until = pod["metadata"]["creationTimestamp"], ready["lastTransitionTime"]
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


def records_store(image: str, node: str) -> list[dict[str, Any]]:
    """A Redis that has nothing to do with the service: where the steps' records go. It stays on `node`."""
    labels = {"app": "records"}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "records"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "nodeSelector": {"kubernetes.io/hostname": node},
                        "automountServiceAccountToken": False,
                        "securityContext": {
                            "runAsNonRoot": True,
                            "runAsUser": 999,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [
                            {
                                "name": "redis",
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]},
                                },
                                "image": image,
                                "imagePullPolicy": "IfNotPresent",
                                "args": ["redis-server", "--save", ""],
                                "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
                            }
                        ],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "records"},
            "spec": {"selector": labels, "ports": [{"port": 6379}]},
        },
    ]
