"""Makes the objects that lead clients outside of the cluster to a service (Ingress, HTTPRoute), and deletes
them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lgs_operator.context import Context
from lgs_operator.desired.exposure import exposure
from lgs_operator.desired.inputs import Inputs
from lgs_operator.kube.kinds import HTTP_ROUTE, INGRESS, ROUTES, Kind, ServiceKey, key_of
from lgs_operator.optional_objects import OptionalObjects
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.exposure import ExposureView

FIELDS: Final[Mapping[Kind, str]] = {INGRESS: "spec.network.ingress", HTTP_ROUTE: "spec.network.httpRoute"}


class ExposurePack:
    """Makes them for one service at a time."""

    def __init__(self, context: Context, objects: OptionalObjects) -> None:
        self._state = context.state
        self._objects = objects

    async def bring(self, key: ServiceKey, inputs: Inputs) -> ExposureView | None:
        """Makes, repairs and deletes the routes. None as long as it is unknown which kinds the cluster
        has."""
        standing = {kind: self._state.optional.standing(kind, key.namespace) for kind in ROUTES}
        if "unknown" in standing.values():
            return None
        asked = {key_of(each).kind: each for each in exposure(inputs)}
        usable = [each for kind, each in asked.items() if standing[kind] == "there"]
        unwritten = await self._objects.bring(key, inputs, usable, self._state.routes(key))
        if unwritten is not None:
            return ExposureView(lacking=unwritten)
        lacking = next((kind for kind in asked if standing[kind] != "there"), None)
        there = self._state.routes(key)
        routes = tuple(there[its] for each in usable if (its := key_of(each)) in there)
        return ExposureView(routes, None if lacking is None else self._why(key, lacking))

    def _why(self, key: ServiceKey, kind: Kind) -> Diagnosis:
        if (forbidden := self._objects.forbidden(key, kind)) is not None:
            return Diagnosis("ExposureForbidden", f"{forbidden}, or leave out {FIELDS[kind]}")
        words = f"the cluster has no kind {kind.name} of {kind.api_version}, which {FIELDS[kind]} asks for"
        return Diagnosis("KindNotFound", f"{words}: install its definition, or leave that out")
