"""The kinds of the Prometheus operator on the tests' API server, from its own definitions
(`tools/setup/definitions.sh` brings them). Nobody acts on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from controlplane.controlplane_server import ControlPlane
from controlplane.waiting import established
from lgs_operator.kube.kinds import POD_MONITOR, PROMETHEUS_RULE

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgs-toolchain"
DEFINITIONS = [
    sorted((CACHE / "prometheus-operator").glob(f"{kind.plural}-*.yaml"))[-1:]
    for kind in (POD_MONITOR, PROMETHEUS_RULE)
]
HERE = all(DEFINITIONS)


@asynccontextmanager
async def defined(plane: ControlPlane) -> AsyncIterator[None]:
    """The API server has these kinds meanwhile."""
    for (path,) in DEFINITIONS:
        plane.run("apply", "--server-side", "-f", str(path))
    for kind in (POD_MONITOR, PROMETHEUS_RULE):
        await established(plane, f"{kind.plural}.monitoring.coreos.com")
    try:
        yield
    finally:
        for (path,) in DEFINITIONS:
            plane.run("delete", "-f", str(path))
