"""The kinds of the Prometheus operator on the tests' API server, from its own definitions.
Nobody acts on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controlplane.controlplane_server import ControlPlane
from controlplane.waiting import established
from lgs_operator.kube.kinds import POD_MONITOR, PROMETHEUS_RULE
from support.prometheus_kinds import DEFINITIONS

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
