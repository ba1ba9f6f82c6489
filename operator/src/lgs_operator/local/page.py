"""The page of `lgs up`: the history of what it runs, and the server that shows it in a browser.

It shows one service. The page calls the service's API through this server, with the token
that its user gives.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from lgs_operator.dashboard.server import page_app, serve_loopback
from lgs_operator.dashboard.sources import Api, Json, Kept
from lgs_operator.history.decisions import Firing
from lgs_operator.history.service import Histories, ServiceHistory
from lgs_operator.local.service import LocalService
from lgs_operator.scaling import Decision, Observation

NAMESPACE = "local"


class LocalPage:
    """The page of one `lgs up`. The service keeps one history however its manifest changes; `url` is the
    address of its API, `source` the folder of its graphs."""

    def __init__(self, name: str, url: str, source: Path) -> None:
        self._name = name
        self._api = Api(url, str(uuid5(NAMESPACE_URL, source.resolve().as_uri())))
        self._histories = Histories(time.time)
        begun = self._histories.begin(NAMESPACE, name, "")
        assert begun is not None
        self._history: ServiceHistory = begun
        self._kept = Kept(self._histories)
        self._facts: dict[str, Any] = {}
        self.targets: Sequence[str] = ()
        """Where the metrics of each replica are, `host:port`."""

    def is_due(self, now: float) -> bool:
        """Whether the next observation should include cache and tokens."""
        return self._history.is_due(now)

    def observe(
        self,
        service: LocalService,
        observation: Observation,
        decision: Decision | None,
        firing: dict[str, Firing] | None,
    ) -> None:
        """Adds one round of the scaling law to the history."""
        self._facts = facts_of(service)
        self._history.observe(observation.at, observation, decision, firing)

    async def services(self) -> Json:
        """See `Source`."""
        found = await self._kept.services()
        return {**found, "services": [{**each, "facts": self._facts} for each in found["services"]]}

    async def history(self, namespace: str, name: str, seconds: float, since: float | None) -> Json | None:
        """See `Source`."""
        return await self._kept.history(namespace, name, seconds, since)

    async def api(self, namespace: str, name: str) -> Api | None:
        """See `Source`."""
        return self._api if (namespace, name) == (NAMESPACE, self._name) else None

    async def serve(self, stack: AsyncExitStack, port: int) -> str:
        """Serves the page and returns its address. If another program has the port, a free one is used, as
        two services may be up."""
        try:
            found = await serve_loopback(stack, self._app(), port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            found = await serve_loopback(stack, self._app(), 0)
        return f"http://127.0.0.1:{found}/#/{NAMESPACE}/{self._name}"

    def _app(self) -> web.Application:
        app = page_app(self)
        app.router.add_get("/metrics/targets", self._discovery)
        return app

    async def _discovery(self, _: web.Request) -> web.Response:
        """The replicas for a Prometheus: at the port that they share it would read one of them, now this one
        and now that one (https://prometheus.io/docs/prometheus/latest/http_sd/)."""
        return web.json_response([{"targets": list(self.targets), "labels": {"service": self._name}}])


def facts_of(service: LocalService) -> dict[str, Any]:
    """What the manifest asks for, as far as the page shows it."""
    policy = service.policy
    return {
        "mode": "Auto" if service.replicas is None else "Manual",
        "minReplicas": policy.min_replicas,
        "maxReplicas": policy.max_replicas,
        "p95Target": policy.p95_latency_seconds,
        "waitTarget": policy.queue_wait_seconds,
    }
