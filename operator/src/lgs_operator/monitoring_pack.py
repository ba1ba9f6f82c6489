"""Makes the objects by which a service is watched from outside (PodMonitor, PrometheusRule, dashboard), if
the cluster has their kinds, and deletes them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lgs_crds.model.observability import Monitoring
from lgs_operator.context import Context
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.monitoring import kinds_of, watching
from lgs_operator.kube.kinds import CONFIG_MAP, POD_MONITOR, PROMETHEUS_RULE, Manifest, ServiceKey, key_of
from lgs_operator.naming import FIELD_MANAGER
from lgs_operator.optional_objects import OptionalObjects, Pack
from lgs_operator.status.monitoring import MonitoringView

FIELD: Final = "spec.observability.monitoring"
PACK: Final = Pack(
    {
        POD_MONITOR: f"set {FIELD}.podMonitor: false",
        PROMETHEUS_RULE: f"set {FIELD}.prometheusRule: false",
    },
    comes_with="the Prometheus operator",
    forbidden="MonitoringForbidden",
)


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
        standings = self._objects.standings(key, PACK)
        if standings is None:
            return None
        kinds = kinds_of(monitoring)
        if asked is None and {"there", "forbidden"}.isdisjoint(standings.values()):
            if "unlisted" in standings.values():
                # Nobody asked for them, and nobody knows whether something would read them.
                return None
            # Nobody asked for them, and nothing in this cluster would read them.
            kinds = ()
        usable = tuple(kind for kind in kinds if standings.get(kind, "there") == "there")
        wanted, live = watching(inputs, monitoring, usable), self._state.monitoring(key)
        known = {its: _with_data(there, wanted) for its, there in live.items()}
        unwritten = await self._objects.bring(key, inputs, wanted, known)
        optional = [kind for kind in kinds if kind in standings]
        lacking = unwritten or self._objects.lacking(key, PACK, optional)
        return MonitoringView(tuple(kind.name for kind in usable), lacking)


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
