"""Makes what watches a service from outside, where the cluster has the kinds for it, and takes it away again.

A service works without it: what can't be made is told in a condition of its own, and holds up nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from lgs_crds.model.observability import Monitoring
from lgs_operator.context import Context
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.monitoring import kinds_of, watching
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import CONFIG_MAP, OPTIONAL, Kind, Manifest, ServiceKey, key_of
from lgs_operator.naming import FIELD_MANAGER
from lgs_operator.plan_writer import PlanWriter
from lgs_operator.reconcile_plan import plan
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.monitoring import MonitoringView

log = structlog.get_logger(__name__)
FIELD: Final = "spec.observability.monitoring"
FIELDS: Final[Mapping[str, str]] = {"PodMonitor": "podMonitor", "PrometheusRule": "prometheusRule"}


class MonitoringPack:
    """Acts for one service at a time."""

    def __init__(self, context: Context, writer: PlanWriter) -> None:
        self._state = context.state
        self._writer = writer

    async def bring(self, key: ServiceKey, inputs: Inputs) -> MonitoringView | None:
        """Makes, mends and deletes. None while it is not known what there is."""
        asked = inputs.service.spec.observability.monitoring
        monitoring = asked or Monitoring()
        standing = {kind: self._state.optional.standing(kind, key.namespace) for kind in OPTIONAL}
        if "unknown" in standing.values():
            return None
        kinds = kinds_of(monitoring)
        if asked is None and set(standing.values()) == {"absent"}:
            # Nobody asked, and nobody here is to be told.
            kinds = ()
        usable = tuple(kind for kind in kinds if standing.get(kind, "there") == "there")
        unwritten = await self._write(key, inputs, monitoring, usable)
        if unwritten is not None:
            return MonitoringView(lacking=unwritten)
        lacking = [kind for kind in kinds if kind not in usable]
        there = tuple(kind.name for kind in usable)
        return MonitoringView(there, self._why(key, lacking[0]) if lacking else None)

    async def _write(
        self, key: ServiceKey, inputs: Inputs, monitoring: Monitoring, kinds: tuple[Kind, ...]
    ) -> Diagnosis | None:
        """Why something is not as it is wanted, or None."""
        wanted = watching(inputs, monitoring, kinds)
        live, uid = self._state.monitoring(key), inputs.service.metadata.uid or ""
        known = {its: _with_data(there, wanted) for its, there in live.items()}
        todo = plan(wanted, known, uid=uid, first_replicas=0)
        contested = self._writer.contested(key, todo, live)
        try:
            refused = await self._writer.write(key, uid, todo) if todo else None
        except KubeError as error:
            # The service itself is as it should be: this is tried again with it.
            log.info("monitoring.unwritten", service=f"{key.namespace}/{key.name}", error=str(error))
            refused = f"the API server does not answer: {error}"
        return contested if refused is None else Diagnosis("Refused", refused)

    def _why(self, key: ServiceKey, kind: Kind) -> Diagnosis:
        field = f"{FIELD}.{FIELDS[kind.name]}: false"
        if self._state.optional.standing(kind, key.namespace) == "forbidden":
            said = self._state.optional.why_forbidden(kind, key.namespace)
            words = (
                f"the operator may not make a {kind.name}: {said}; upgrade the chart with it, or set {field}"
            )
            return Diagnosis("MonitoringForbidden", words)
        words = f"the cluster has no kind {kind.name} of {kind.api_version}: install the Prometheus operator"
        return Diagnosis("KindNotFound", f"{words}, or set {field}")


def _with_data(there: Manifest, wanted: list[Manifest]) -> Manifest:
    """A ConfigMap with its data, of which no copy is held: those that were written, while they are ours. Who
    changes one takes its key over (https://kubernetes.io/docs/reference/using-api/server-side-apply/)."""
    if there["kind"] != CONFIG_MAP.name:
        return there
    new = next((each for each in wanted if key_of(each) == key_of(there)), None)
    if new is None or not all(f"f:{name}" in _ours(there) for name in new["data"]):
        return there
    return there | {"data": new["data"]}


def _ours(there: Manifest) -> Mapping[str, object]:
    """The keys of its data that are as this operator wrote them."""
    for entry in there["metadata"].get("managedFields", []):
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            data: Mapping[str, object] = entry.get("fieldsV1", {}).get("f:data", {})
            return data
    return {}
