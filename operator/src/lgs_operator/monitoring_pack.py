"""Makes the objects by which a service is watched from outside (PodMonitor, PrometheusRule, dashboard), if
the cluster has their kinds, and deletes them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lgs_crds.model.observability import Monitoring
from lgs_operator.context import Context
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.monitoring import kinds_of, watching
from lgs_operator.kube.kinds import CONFIG_MAP, MONITORS, Kind, Manifest, ServiceKey, key_of
from lgs_operator.naming import FIELD_MANAGER
from lgs_operator.optional_objects import OptionalObjects
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.monitoring import MonitoringView

FIELD: Final = "spec.observability.monitoring"
FIELDS: Final[Mapping[str, str]] = {"PodMonitor": "podMonitor", "PrometheusRule": "prometheusRule"}


class MonitoringPack:
    """Makes them for one service at a time."""

    def __init__(self, context: Context, objects: OptionalObjects) -> None:
        self._state = context.state
        self._objects = objects

    async def bring(self, key: ServiceKey, inputs: Inputs) -> MonitoringView | None:
        """Makes, repairs and deletes the objects. None as long as it is unknown which kinds the cluster
        has."""
        asked = inputs.service.spec.observability.monitoring
        monitoring = asked or Monitoring()
        standing = {kind: self._state.optional.standing(kind, key.namespace) for kind in MONITORS}
        if "unknown" in standing.values():
            return None
        kinds = kinds_of(monitoring)
        if asked is None and set(standing.values()) == {"absent"}:
            # Nobody asked for them, and nothing in this cluster would read them.
            kinds = ()
        usable = tuple(kind for kind in kinds if standing.get(kind, "there") == "there")
        wanted, live = watching(inputs, monitoring, usable), self._state.monitoring(key)
        known = {its: _with_data(there, wanted) for its, there in live.items()}
        unwritten = await self._objects.bring(key, inputs, wanted, known)
        if unwritten is not None:
            return MonitoringView(lacking=unwritten)
        lacking = [kind for kind in kinds if kind not in usable]
        there = tuple(kind.name for kind in usable)
        return MonitoringView(there, self._why(key, lacking[0]) if lacking else None)

    def _why(self, key: ServiceKey, kind: Kind) -> Diagnosis:
        field = f"{FIELD}.{FIELDS[kind.name]}: false"
        if (forbidden := self._objects.forbidden(key, kind)) is not None:
            return Diagnosis("MonitoringForbidden", f"{forbidden}, or set {field}")
        words = f"the cluster has no kind {kind.name} of {kind.api_version}: install the Prometheus operator"
        return Diagnosis("KindNotFound", f"{words}, or set {field}")


def _with_data(there: Manifest, wanted: list[Manifest]) -> Manifest:
    """A ConfigMap with its data, of which no copy is held: the data that was written, as long as its keys are
    ours. Somebody else who changes a key takes over its ownership
    (https://kubernetes.io/docs/reference/using-api/server-side-apply/)."""
    if there["kind"] != CONFIG_MAP.name:
        return there
    new = next((each for each in wanted if key_of(each) == key_of(there)), None)
    if new is None or not all(f"f:{name}" in _ours(there) for name in new["data"]):
        return there
    return there | {"data": new["data"]}


def _ours(there: Manifest) -> Mapping[str, object]:
    """The keys of the data that are still as this operator wrote them."""
    for entry in there["metadata"].get("managedFields", []):
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            data: Mapping[str, object] = entry.get("fieldsV1", {}).get("f:data", {})
            return data
    return {}
