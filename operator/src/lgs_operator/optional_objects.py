"""Writes a service's objects of optional kinds, which the service works without. What can't be written is
reported, and holds up nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import structlog

from lgs_crds.reasons import Reason
from lgs_operator.context import Context
from lgs_operator.desired.inputs import Inputs
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import Key, Kind, Manifest, ServiceKey
from lgs_operator.kube.optional import Standing
from lgs_operator.plan_writer import PlanWriter
from lgs_operator.reconcile_plan import plan
from lgs_operator.status.diagnosis import Diagnosis

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pack:
    """Optional kinds that serve one purpose, and the words for those that can't be used."""

    do_without: Mapping[Kind, str]
    """For each kind, what to do in the manifest to need no object of it."""
    comes_with: str
    """What to install for a kind that the cluster lacks."""
    forbidden: Reason

    @property
    def kinds(self) -> Collection[Kind]:
        """The kinds."""
        return self.do_without.keys()


class OptionalObjects:
    """Writes them for one service at a time."""

    def __init__(self, context: Context, writer: PlanWriter) -> None:
        self._kinds = context.state.optional
        self._writer = writer

    def standings(self, key: ServiceKey, pack: Pack) -> dict[Kind, Standing] | None:
        """Whether each kind can be used; None as long as that is unknown of one."""
        found = {kind: self._kinds.standing(kind, key.namespace) for kind in pack.kinds}
        return None if "unknown" in found.values() else found

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

    def lacking(self, key: ServiceKey, pack: Pack, asked: Collection[Kind]) -> Diagnosis | None:
        """Why the first of the wanted kinds that can't be used can't; None if all can."""
        for kind in asked:
            standing, said = self._kinds.standing(kind, key.namespace), self._kinds.why(kind, key.namespace)
            if standing != "there":
                return _lacking(pack, kind, standing, said)
        return None


def _lacking(pack: Pack, kind: Kind, standing: Standing, said: str) -> Diagnosis:
    way = pack.do_without[kind]
    if standing == "forbidden":
        words = f"the operator may not make a {kind.name}: {said}; upgrade the chart with it, or {way}"
        return Diagnosis(pack.forbidden, words)
    if standing == "unlisted":
        words = f"the API server does not list kind {kind.name} of {kind.api_version}: {said}; mend that, "
        return Diagnosis("KindUnavailable", f"{words}or {way}")
    words = f"the cluster has no kind {kind.name} of {kind.api_version}: install {pack.comes_with}, or {way}"
    return Diagnosis("KindNotFound", words)
