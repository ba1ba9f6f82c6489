"""What the operator's moving parts share while it acts: made once in `main.py`, passed on, never global."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from lgs_operator.cluster.client import Cluster
from lgs_operator.events import Events
from lgs_operator.metrics import Metrics
from lgs_operator.settings import Settings
from lgs_operator.world import World


@dataclass(frozen=True)
class Parts:
    """`http` is for the pods, `cluster` for the API server."""

    cluster: Cluster
    world: World
    events: Events
    metrics: Metrics
    http: aiohttp.ClientSession
    settings: Settings
