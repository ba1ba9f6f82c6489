"""A pod's containers as processes of this machine, one after the other, as a kubelet runs them: for pods
that need no more of a node than their commands, their variables and their volumes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.postgres import binary

TOLD = "/dev/termination-log"


@dataclass(frozen=True)
class Ended:
    """How a pod ended: the container that failed (None: all ended well), what its last container reported,
    and the last words of the one that failed."""

    failed: str | None
    told: str
    said: str


@dataclass(frozen=True)
class Node:
    """Where pods run. `volumes` are folders by the path that they are mounted at; `variables` are those of
    Secrets and of the network, which only a cluster has."""

    folder: Path
    volumes: Mapping[str, Path]
    variables: Mapping[str, str]

    def run(self, template: Mapping[str, Any], pod: str = "pod") -> Ended:
        """Runs the pod of a template to its end."""
        told = self.folder / f"{pod}.told"
        told.write_text("")
        spec = template["spec"]
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            done = self._run(container, pod, told)
            if done.returncode:
                return Ended(container["name"], told.read_text(), done.stderr.strip())
        return Ended(None, told.read_text(), "")

    def _run(self, container: Mapping[str, Any], pod: str, told: Path) -> subprocess.CompletedProcess[str]:
        env = {each["name"]: each.get("value", "") for each in container["env"]} | dict(self.variables)
        env |= {"POD_NAME": pod}
        given = {name: env[name] for name in (each["name"] for each in container["env"])}
        programs = f"{Path(sys.executable).parent}:{Path(binary('pg_dump')).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [self._here(_expanded(word, given), told) for word in container["command"]],
            env={**given, "PATH": programs, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def _here(self, word: str, told: Path) -> str:
        for mounted, folder in {**self.volumes, TOLD: told}.items():
            word = word.replace(mounted, str(folder))
        return word


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` as Kubernetes puts it in."""
    return re.sub(r"\$\(([A-Z_]+)\)", lambda match: variables.get(match[1], match[0]), word)
