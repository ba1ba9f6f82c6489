"""Load from inside the cluster: tests/load/player.py in a pod of the runtime image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.harness.kubectl import Kubectl

SCRIPT = Path(__file__).parents[2] / "load" / "player.py"
CONFIG_MAP = "player"


@dataclass(frozen=True)
class Play:
    """A running player. Its pod prints one JSON object a line, the summary last."""

    kubectl: Kubectl
    pod: str

    def lines(self) -> list[dict[str, Any]]:
        """What it has said so far."""
        said = self.kubectl("logs", self.pod).splitlines()
        return [json.loads(line) for line in said if line.startswith("{")]

    def said(self, event: str, seconds: float) -> dict[str, Any]:
        """The line of an event, when it comes."""

        def look() -> dict[str, Any] | None:
            self._not_failed()
            return next((line for line in self.lines() if line.get("event") == event), None)

        return self.kubectl.until(f"the player's line '{event}'", look, seconds)

    def summary(self, seconds: float) -> dict[str, Any]:
        """Its account of all runs, once it has ended (whatever its verdict: the story has its own)."""

        def ended() -> bool:
            return self._phase() in {"Succeeded", "Failed"}

        self.kubectl.until(f"the end of {self.pod}", ended, seconds)
        lines = self.lines()
        assert lines and "acknowledged" in lines[-1], self.kubectl("logs", self.pod)
        return lines[-1]

    def stop(self) -> None:
        """It sends no more, and follows what it sent to its end."""
        self.kubectl("exec", self.pod, "--", "python", "-c", "import os; os.kill(1, 15)")

    def remove(self) -> None:
        """Takes its pod away."""
        self.kubectl("delete", "pod", self.pod, "--ignore-not-found", "--now")

    def _phase(self) -> str:
        return str(self.kubectl.get("pod", self.pod)["status"]["phase"])

    def _not_failed(self) -> None:
        assert self._phase() != "Failed", self.kubectl("logs", self.pod)


@dataclass(frozen=True)
class Stage:
    """Where players run: a namespace, an image that has Python and httpx, a node that stays."""

    kubectl: Kubectl
    image: str
    node: str

    def prepare(self) -> None:
        """Brings the player's program into the namespace."""
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": CONFIG_MAP},
                "data": {"player.py": SCRIPT.read_text("utf-8")},
            }
        )

    def play(self, name: str, *arguments: str) -> Play:
        """Starts a player, and returns at once."""
        self.kubectl("delete", "pod", name, "--ignore-not-found", "--now")
        security = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": "player"}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1,
                    "automountServiceAccountToken": False,
                    "nodeSelector": {"kubernetes.io/hostname": self.node},
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [
                        {
                            "name": "player",
                            "image": self.image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["python", "/player/player.py", *arguments],
                            "securityContext": security,
                            "volumeMounts": [{"name": "player", "mountPath": "/player", "readOnly": True}],
                        }
                    ],
                    "volumes": [{"name": "player", "configMap": {"name": CONFIG_MAP}}],
                },
            }
        )
        return Play(self.kubectl, name)
