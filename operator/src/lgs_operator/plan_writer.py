"""Writes what was planned for a service: applies, deletions and the Events of what was changed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from lgs_crds import LangGraphService
from lgs_operator.contests import Contests, contested
from lgs_operator.context import Context
from lgs_operator.desired.manifest_paths import in_the_manifest
from lgs_operator.desired.volume import not_let_go, unchangeable
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import (
    CLAIM,
    CONTROLLER_REVISION,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Key,
    Kind,
    Manifest,
    ServiceKey,
    key_of,
)
from lgs_operator.naming import COMPONENT_LABEL, SERVICE_LABEL, WITH_SECRET, claim_name, object_name
from lgs_operator.reconcile_plan import (
    SCALER,
    Admitted,
    Plan,
    changed_at_admission,
    owner_uid,
    replicas_only,
    signature_of,
    taken_by,
)
from lgs_operator.status.diagnosis import Diagnosis

log = structlog.get_logger(__name__)
WITH_PODS: Final = frozenset({DEPLOYMENT, STATEFUL_SET, CRON_JOB, JOB})
# A StatefulSet may have to be written before it lets go of its claim.
GIVEN_TO: Final = {
    SECRET: WITH_PODS,
    SERVICE_ACCOUNT: WITH_PODS,
    CLAIM: frozenset({CRON_JOB}),
    CONTROLLER_REVISION: frozenset({DEPLOYMENT}),
    NETWORK_POLICY: WITH_PODS,
}
"""Which kinds have pods that would get a refused object of a kind, or would be there without its guard."""


class Refused(Exception):
    """An object of the service can't be written as it is; says which and why."""


class PlanWriter:
    """Writes the objects of a service as they were planned. The number of its replicas is the autoscaler's,
    and what grows a volume or passes a password on the `ManagedDatabase`'s."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._recorder = context.recorder
        self._metrics = context.metrics
        self._admitted: dict[ServiceKey, dict[Key, Admitted]] = {}
        self._contests: dict[ServiceKey, Contests] = {}

    def admitted(self, key: ServiceKey) -> Mapping[Key, Admitted]:
        """What became of a service's objects at admission, where that is not what was applied."""
        return self._admitted.get(key, {})

    def forget(self, key: ServiceKey) -> None:
        """The service is gone."""
        self._admitted.pop(key, None)
        self._contests.pop(key, None)

    def contested(self, key: ServiceKey, todo: Plan, live: Mapping[Key, Manifest]) -> Diagnosis | None:
        """What of the plan is not to be written now, as others change it each time; None where nothing is."""
        left = self._left(key, todo)
        objects = [live.get(key_of(each), each) for each in todo.applies if key_of(each) in left]
        return Diagnosis("Contested", contested(objects)) if objects else None

    def _left(self, key: ServiceKey, todo: Plan) -> frozenset[Key]:
        known = self._contests.get(key, Contests())
        named = ((key_of(each), signature_of(each)) for each in todo.applies)
        return frozenset(target for target, signature in named if known.waits(target, signature))

    async def write(self, key: ServiceKey, uid: str, todo: Plan) -> str | None:
        """Why something was refused, or None. What comes after a refused object is still written, but for
        pods that would get it: a name must not lead them to a Secret, an account, a volume or a server of
        others."""
        refusals, written = list[str](), set[Key]()
        withheld: frozenset[Kind] = frozenset()
        live, left = self._state.owned(key), self._left(key, todo)
        for manifest in todo.applies:
            if key_of(manifest).kind in withheld:
                continue
            if key_of(manifest) in left:
                # Where others deleted it, who has its name meanwhile is not known.
                withheld |= frozenset() if key_of(manifest) in live else _given_to(manifest)
                continue
            try:
                answer = await self._apply(manifest, uid, live, todo.adopt_replicas)
                self._note(key, answer, manifest)
                self._contests.setdefault(key, Contests()).written(key_of(manifest), signature_of(manifest))
                written.add(key_of(manifest))
            except Refused as refusal:
                refusals.append(str(refusal))
                withheld |= _given_to(manifest)
        for manifest in todo.deletes:
            try:
                await self._delete(manifest)
                self._contests.get(key, Contests()).deleted(key_of(manifest))
            except Refused as refusal:
                refusals.append(str(refusal))
        for target in todo.drifted:
            if target not in written or target in self.admitted(key):
                continue  # it is not as the manifest says
            self._metrics.drift.labels(target.kind.name).inc()
            words = f"{target.kind.name} {target.name} was changed by hand and is as the manifest says again"
            await self._recorder.emit(key, uid, "Warning", "DriftRepaired", words)
        return "; ".join(dict.fromkeys(refusals)) or None

    async def taken(self, key: Key, service: LangGraphService) -> str | None:
        """Whose the object of this name is, in words; None where the service may have it."""
        try:
            await self._must_be_free(key, service.metadata.uid or "", service.metadata.name)
        except Refused as refusal:
            return str(refusal)
        return None

    def _note(self, service: ServiceKey, answer: Manifest, manifest: Manifest) -> None:
        key, became = key_of(manifest), changed_at_admission(answer, manifest)
        if became is None:
            self._admitted.get(service, {}).pop(key, None)
            return
        if self.admitted(service).get(key) != became:
            log.info("object.admitted_otherwise", kind=key.kind.name, namespace=key.namespace, name=key.name)
        self._admitted.setdefault(service, {})[key] = became

    async def _delete(self, manifest: Manifest) -> None:
        key = key_of(manifest)
        try:
            await self._cluster.delete(key.kind, key.namespace, key.name, uid=manifest["metadata"]["uid"])
        except KubeError as error:
            if error.refused:
                raise Refused(f"{key.kind.name} {key.name} can't be deleted: {error}") from error
            raise
        self._state.deleted(key)
        self._metrics.writes.labels(key.kind.name, "delete").inc()

    async def _apply(
        self, manifest: Manifest, uid: str, live: Mapping[Key, Manifest], adopt: int | None
    ) -> Manifest:
        key = key_of(manifest)
        if owner_uid(live.get(key, {})) != uid:
            await self._must_be_free(key, uid, manifest["metadata"]["labels"][SERVICE_LABEL])
        is_adopted = key.kind == DEPLOYMENT and adopt is not None and "replicas" not in manifest["spec"]
        try:
            if is_adopted:
                # Both managers say the number once; when ours lets go of it the autoscaler's stays.
                first = manifest | {"spec": manifest["spec"] | {"replicas": adopt}}
                await self._cluster.apply(first)
                await self._cluster.apply(replicas_only(key, adopt or 0), manager=SCALER)
            answer = await self._cluster.apply(manifest)
        except KubeError as error:
            if error.refused:
                raise Refused(_refused(key, live.get(key), manifest, str(error))) from error
            raise
        self._state.put(answer)
        self._metrics.writes.labels(key.kind.name, "apply").inc()
        return answer

    async def _must_be_free(self, key: Key, uid: str, service: str) -> None:
        if key.kind == CLAIM and key.name == claim_name(service):
            # It belongs to nobody by itself: whose StatefulSet has it says whose it is.
            holder = Key(STATEFUL_SET, key.namespace, object_name(service, "postgres"))
            await self._must_be_free(holder, uid, service)
        there = await self._cluster.get(key.kind, key.namespace, key.name)
        words = None if there is None else taken_by(there, uid, service)
        if words is not None:
            raise Refused(f"{key.kind.name} {key.name} exists in namespace {key.namespace} and {words}")


def _given_to(manifest: Manifest) -> frozenset[Kind]:
    """The kinds of which none is written once this object was refused."""
    kind, component = key_of(manifest).kind, manifest["metadata"]["labels"].get(COMPONENT_LABEL)
    if kind == SERVICE and component in WITH_SECRET:
        # Who has a managed server's name would be sent its password, and what is kept in it.
        return WITH_PODS
    return GIVEN_TO.get(kind, frozenset())


def _refused(key: Key, there: Manifest | None, wanted: Manifest, said: str) -> str:
    """Why the API server did not take it: what it can't say of a claim in its own words is said in ours."""
    fixed = not_let_go(wanted, said) or unchangeable(there, wanted, said) if key.kind == CLAIM else None
    return f"{key.kind.name} {key.name} {fixed or f'was refused: {in_the_manifest(said, wanted)}'}"
