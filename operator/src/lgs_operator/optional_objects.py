"""Writes a service's objects of optional kinds, which the service works without. What can't be written is
reported, and holds up nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from lgs_operator.context import Context
from lgs_operator.desired.inputs import Inputs
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import Key, Kind, Manifest, ServiceKey
from lgs_operator.plan_writer import PlanWriter
from lgs_operator.reconcile_plan import plan
from lgs_operator.status.diagnosis import Diagnosis

log = structlog.get_logger(__name__)


class OptionalObjects:
    """Writes them for one service at a time."""

    def __init__(self, context: Context, writer: PlanWriter) -> None:
        self._kinds = context.state.optional
        self._writer = writer

    async def bring(
        self, key: ServiceKey, inputs: Inputs, wanted: list[Manifest], live: Mapping[Key, Manifest]
    ) -> Diagnosis | None:
        """Makes, repairs and deletes the objects. Returns why something is not as wanted, or None."""
        uid = inputs.service.metadata.uid or ""
        todo = plan(wanted, live, uid=uid, first_replicas=0, admitted=self._writer.admitted(key))
        contested = self._writer.contested(key, todo, live)
        try:
            refused = await self._writer.write(key, uid, todo) if todo else None
        except KubeError as error:
            # The service itself is as it should be: the next reconciliation tries this again.
            log.info("optional.unwritten", service=f"{key.namespace}/{key.name}", error=str(error))
            refused = f"the API server does not answer: {error}"
        return contested if refused is None else Diagnosis("Refused", refused)

    def forbidden(self, key: ServiceKey, kind: Kind) -> str | None:
        """What the API server said if the operator may not list a kind that the cluster has, else None."""
        if self._kinds.standing(kind, key.namespace) != "forbidden":
            return None
        said = self._kinds.why_forbidden(kind, key.namespace)
        return f"the operator may not make a {kind.name}: {said}; upgrade the chart with it"
