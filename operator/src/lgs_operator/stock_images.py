"""Chooses the stock image that a service's replicas are to run: the operator's, once it is the service's
turn, or that of the revision that is run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from lgs_crds import LangGraphService
from lgs_operator.context import Context
from lgs_operator.desired.pinned import Pinned
from lgs_operator.desired.stock_image import follows_the_operator, manifest_follows, stock_image
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kept_service import with_status
from lgs_operator.kube.kinds import SERVICE_OF_OURS, Key, Manifest, ServiceKey
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.status.reporter import StatusReporter
from lgs_operator.stock_rollouts import STATES, StockRollouts, stock_image_now

log = structlog.get_logger(__name__)


class StockImages:
    """Chooses for one service at a time."""

    def __init__(self, context: Context, reporter: StatusReporter) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._reporter = reporter
        self._images = context.settings.images
        self._namespaces = context.settings.namespaces
        self._rollouts = StockRollouts(
            self._images.runtime, self._images.most_rollouts, context.state.mark_due
        )
        for state in STATES:
            shown = context.metrics.stock_rollouts.labels(state)
            shown.set_function(partial(self._rollouts.count, state))

    def saw(self, key: ServiceKey) -> None:
        """Takes the status of a service that was reconciled."""
        if manifest_follows(self._state.services.get(key, {})):
            self._rollouts.saw(key, self._reporter.before(key))

    def forget(self, key: ServiceKey) -> None:
        """Forgets a service that is gone or halted."""
        self._rollouts.forget(key)

    async def choose(
        self,
        key: ServiceKey,
        service: LangGraphService,
        pin: Pinned | MissingReference | None,
        live: Mapping[Key, Manifest],
    ) -> tuple[str, str | None]:
        """The stock image that replicas are to run, and why it is not the operator's yet, or None."""
        wanted = stock_image(service.spec, self._images.runtime)
        if isinstance(pin, Pinned):
            return pin.stock_image or wanted, None
        if not follows_the_operator(service.spec):
            self._rollouts.forget(key)
            return wanted, None
        now = stock_image_now(key, live)
        if self._rollouts.is_due(now):
            self._rollouts.begin(await self._following())
        waits = self._rollouts.why_it_waits(key, now, self._reporter.before(key))
        return (wanted, None) if waits is None or now is None else (now, waits)

    async def _following(self) -> list[tuple[ServiceKey, Mapping[str, Any]]]:
        """All services that run the operator's stock image, each with its last status, read from the API
        server: the watch may not have reported all yet. Raises `KubeError`."""
        found = list[Manifest]()
        for namespace in self._namespaces or (None,):
            try:
                found += (await self._cluster.list(SERVICE_OF_OURS, namespace, kept=with_status))[0]
            except KubeError as error:
                if not error.lasting:
                    raise
                log.info("stock_rollouts.unlisted", namespace=namespace, error=str(error))
        mine = (each for each in found if self._state.serves(each) and manifest_follows(each))
        return [(ServiceKey(*each["metadata"].values()), each.get("status") or {}) for each in mine]
