"""Waits for what an API server needs its time for."""

from __future__ import annotations

from controlplane.controlplane_server import ControlPlane
from lgs_operator.kube.client import KubeClient
from support.waiting import LONGEST, until


async def established(plane: ControlPlane, definition: str) -> None:
    """Returns when the API server serves the kind of a CustomResourceDefinition. kubectl alone waits for no
    condition of an object that has no status yet."""
    wait = ("wait", "--for=condition=Established", f"crd/{definition}", "--timeout=30s")
    await until(lambda: "condition met" in plane.run(*wait, check=False), f"no {definition}")


async def patient_client(plane: ControlPlane) -> KubeClient:
    """The administrator's client. An API server that stands still on a busy machine fails no look at it."""
    return await KubeClient.connect(str(plane.kubeconfig), answer_seconds=LONGEST)
