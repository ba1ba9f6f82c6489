"""Makes the objects that lead clients outside of the cluster to a service (Ingress, HTTPRoute), and deletes
them again."""

from __future__ import annotations

from typing import Final

from lgs_operator.context import Context
from lgs_operator.desired.exposure import exposure
from lgs_operator.desired.inputs import Inputs
from lgs_operator.kube.kinds import HTTP_ROUTE, INGRESS, ServiceKey, key_of
from lgs_operator.optional_objects import OptionalObjects, Pack
from lgs_operator.status.exposure import ExposureView

PACK: Final = Pack(
    {INGRESS: "leave out spec.network.ingress", HTTP_ROUTE: "leave out spec.network.httpRoute"},
    comes_with="its definition",
    forbidden="ExposureForbidden",
)


class ExposurePack:
    """Makes them for one service at a time."""

    def __init__(self, context: Context, objects: OptionalObjects) -> None:
        self._state = context.state
        self._objects = objects

    async def bring(self, key: ServiceKey, inputs: Inputs) -> ExposureView | None:
        """Makes, repairs and deletes the routes. None as long as it is unknown which kinds the cluster
        has."""
        standings = self._objects.standings(key, PACK)
        if standings is None:
            return None
        asked = {key_of(each): each for each in exposure(inputs)}
        usable = {its: each for its, each in asked.items() if standings[its.kind] == "there"}
        unwritten = await self._objects.bring(key, inputs, [*usable.values()], self._state.routes(key))
        there = self._state.routes(key)
        lacking = unwritten or self._objects.lacking(key, PACK, [its.kind for its in asked])
        return ExposureView(tuple(there[its] for its in usable if its in there), lacking)
