"""The chart, as helm renders it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from controlplane.controlplane_server import binaries

CHART = Path(__file__).parents[2] / "helm" / "lgs-operator"


def helm(*arguments: str) -> str:
    """What helm prints."""
    folder = binaries()
    assert folder is not None
    command = [folder / "helm", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def rendered(*values: str, release: str = "lgs-operator", namespace: str = "default") -> str:
    """The chart's objects as YAML."""
    sets = [part for value in values for part in ("--set", value)]
    return helm("template", release, str(CHART), "-n", namespace, "--kube-version=1.35.0", *sets)


def documents(text: str) -> list[dict[str, Any]]:
    """All that YAML has. The loader in C reads it as the other one does, in a tenth of its time, and most of
    the chart is the long definition of our kind."""
    return [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]


def objects(text: str, kind: str) -> list[dict[str, Any]]:
    """Those of a kind."""
    return [each for each in documents(text) if each["kind"] == kind]


def environment(text: str) -> dict[str, str]:
    """The settings that the chart gives the operator."""
    (operator,) = objects(text, "Deployment")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}
