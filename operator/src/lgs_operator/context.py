"""What the operator's parts share while it acts: made once in `main.py`, passed on, never global."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.recorder import EventRecorder
from lgs_operator.kube.state import ClusterState
from lgs_operator.metrics import Metrics
from lgs_operator.settings import Settings


@dataclass(frozen=True)
class Context:
    """Shared clients and state. `http` is for pods, `cluster` for the API server."""

    cluster: KubeClient
    state: ClusterState
    recorder: EventRecorder
    metrics: Metrics
    http: aiohttp.ClientSession
    settings: Settings
