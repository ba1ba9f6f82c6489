"""Writes what was planned for a service: applies, deletions, and the Events about what was changed by
hand."""

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
    SERVICE_OF_OURS,
    STATEFUL_SET,
    Key,
    Kind,
    Manifest,
    ServiceKey,
    key_of,
)
from lgs_operator.kube.pods import is_going
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
CONFLICT: Final = 409
TRIES: Final = 5
"""How often an object is written that others change at the same time."""
WITH_PODS: Final = frozenset({DEPLOYMENT, STATEFUL_SET, CRON_JOB, JOB})
# A StatefulSet may have to be written before it lets go of its claim.
GIVEN_TO: Final = {
    SECRET: WITH_PODS,
    SERVICE_ACCOUNT: WITH_PODS,
    CLAIM: frozenset({CRON_JOB}),
    CONTROLLER_REVISION: frozenset({DEPLOYMENT}),
    NETWORK_POLICY: WITH_PODS,
}
"""For each kind, the kinds whose pods would use an object of it. They are not written when that object was
refused: the pods would get somebody else's object, or run without its guard."""


class Refused(Exception):
    """An object of the service can't be written as it is; the message says which and why."""


class PlanWriter:
    """Writes the planned objects of a service. The number of replicas is left to the autoscaler; growing a
    volume and passing on a password are left to the `ManagedDatabase`."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._recorder = context.recorder
        self._metrics = context.metrics
        self._admitted: dict[ServiceKey, dict[Key, Admitted]] = {}
        self._contests: dict[ServiceKey, Contests] = {}

    def admitted(self, key: ServiceKey) -> Mapping[Key, Admitted]:
        """What admission made of a service's objects, where that differs from what was applied."""
        return self._admitted.get(key, {})

    def forget(self, key: ServiceKey) -> None:
        """Forgets a service that is gone."""
        self._admitted.pop(key, None)
        self._contests.pop(key, None)

    def contested(self, key: ServiceKey, todo: Plan, live: Mapping[Key, Manifest]) -> Diagnosis | None:
        """Which objects of the plan are not written now because others change them each time; None if there
        are none."""
        left = self._left(key, todo)
        objects = [live.get(key_of(each), each) for each in todo.applies if key_of(each) in left]
        return Diagnosis("Contested", contested(objects)) if objects else None

    def _left(self, key: ServiceKey, todo: Plan) -> frozenset[Key]:
        known = self._contests.get(key, Contests())
        named = ((key_of(each), signature_of(each)) for each in todo.applies)
        return frozenset(target for target, signature in named if known.waits(target, signature))

    async def write(self, key: ServiceKey, uid: str, todo: Plan) -> str | None:
        """Writes the plan. Returns why something was refused, or None. What comes after a refused object is
        still written, except pods that would use it: its name must not lead them to somebody else's Secret,
        account, volume or server."""
        refusals, written = list[str](), set[Key]()
        withheld: frozenset[Kind] = frozenset()
        live, left = self._state.owned(key), self._left(key, todo)
        for manifest in todo.applies:
            if key_of(manifest).kind in withheld:
                continue
            if key_of(manifest) in left:
                # If others deleted the object, it is unknown who has its name by now.
                withheld |= frozenset() if key_of(manifest) in live else _given_to(manifest)
                continue
            try:
                answer = await self._apply(manifest, key, uid, live, todo.adopt_replicas)
                self._note(key, answer, manifest)
                self._contests.setdefault(key, Contests()).written(key_of(manifest), signature_of(manifest))
                written.add(key_of(manifest))
            except Refused as refusal:
                refusals.append(str(refusal))
                withheld |= _given_to(manifest)
        for manifest in todo.deletes:
            try:
                if owner_uid(manifest) != uid:
                    await self._must_stay(key, uid, key_of(manifest))
                await self._delete(manifest)
                self._contests.get(key, Contests()).deleted(key_of(manifest))
            except Refused as refusal:
                refusals.append(str(refusal))
        for target in todo.drifted:
            if target not in written or target in self.admitted(key):
                continue  # not as the manifest says: refused, or changed at admission
            self._metrics.drift.labels(target.kind.name).inc()
            words = f"{target.kind.name} {target.name} was changed by hand and is as the manifest says again"
            await self._recorder.emit(key, uid, "Warning", "DriftRepaired", words)
        return "; ".join(dict.fromkeys(refusals)) or None

    async def taken(self, key: Key, service: LangGraphService) -> str | None:
        """Who the object of this name belongs to, in words; None if the service may have it."""
        try:
            await self._free(key, service.metadata.uid or "", service.metadata.name)
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
        self,
        manifest: Manifest,
        service: ServiceKey,
        uid: str,
        live: Mapping[Key, Manifest],
        adopt: int | None,
    ) -> Manifest:
        key, there = key_of(manifest), live.get(key_of(manifest))
        for tries_left in reversed(range(TRIES)):
            if owner_uid(there or {}) != uid:
                there = await self._free(key, uid, manifest["metadata"]["labels"][SERVICE_LABEL])
                if there is not None and owner_uid(there) != uid:
                    await self._must_stay(service, uid, key)
            try:
                answer = await self._apply_to(there, manifest, adopt)
                break
            except KubeError as error:
                if error.refused:
                    raise Refused(_refused(key, live.get(key), manifest, str(error))) from error
                if not error.conflict or not tries_left:
                    raise
                there = None  # it has changed: look at it again, for it may have been let go
        self._state.put(answer)
        self._metrics.writes.labels(key.kind.name, "apply").inc()
        return answer

    async def _apply_to(self, there: Manifest | None, manifest: Manifest, adopt: int | None) -> Manifest:
        """Applies to exactly the object that was seen: a conflict if it is another one by now. Otherwise a
        write that takes long would give an object that was let go its owner again, who may be gone."""
        key = key_of(manifest)
        seen = None if there is None else there["metadata"].get("resourceVersion")
        if key.kind == DEPLOYMENT and adopt is not None and "replicas" not in manifest["spec"]:
            # Both managers set the number once; when ours lets go of it, the autoscaler's stays.
            first = manifest | {"spec": manifest["spec"] | {"replicas": adopt}}
            before = await self._cluster.apply(_as_seen(first, seen))
            counted = await self._cluster.apply(replicas_only(key, adopt), manager=SCALER)
            if owner_uid(counted) != owner_uid(before):
                raise KubeError(CONFLICT, "Conflict", f"{key.kind.name} {key.name} was let go meanwhile")
            seen = counted["metadata"].get("resourceVersion")
        return await self._cluster.apply(_as_seen(manifest, seen))

    async def _must_stay(self, service: ServiceKey, uid: str, key: Key) -> None:
        """An object that the service does not own becomes its own only if the service stays. `kubectl delete
        --cascade=orphan` has the objects let go before the service is gone, which may be seen in the other
        order; whatever names an owner that is gone is deleted by Kubernetes, with its pods."""
        found = await self._cluster.found(SERVICE_OF_OURS, *service)
        if found is None or found["metadata"]["uid"] != uid or is_going(found):
            raise Refused(f"{key.kind.name} {key.name} is left to itself: the service is being deleted")

    async def _free(self, key: Key, uid: str, service: str) -> Manifest | None:
        """The object of this name, None if there is none. Raises `Refused` if it belongs to somebody else."""
        if key.kind == CLAIM and key.name == claim_name(service):
            # The claim itself names no owner: the StatefulSet that uses it decides whose it is.
            holder = Key(STATEFUL_SET, key.namespace, object_name(service, "postgres"))
            await self._free(holder, uid, service)
        there = await self._cluster.get(key.kind, key.namespace, key.name)
        words = None if there is None else taken_by(there, uid, service)
        if words is not None:
            raise Refused(f"{key.kind.name} {key.name} exists in namespace {key.namespace} and {words}")
        return there


def _as_seen(manifest: Manifest, version: str | None) -> Manifest:
    """The object as it is applied to one of this version; without one, to whatever is there."""
    if version is None:
        return manifest
    return manifest | {"metadata": manifest["metadata"] | {"resourceVersion": version}}


def _given_to(manifest: Manifest) -> frozenset[Kind]:
    """The kinds that are not written once this object was refused."""
    kind, component = key_of(manifest).kind, manifest["metadata"]["labels"].get(COMPONENT_LABEL)
    if kind == SERVICE and component in WITH_SECRET:
        # Whoever has a managed server's name would be sent its password, and the data.
        return WITH_PODS
    return GIVEN_TO.get(kind, frozenset())


def _refused(key: Key, there: Manifest | None, wanted: Manifest, said: str) -> str:
    """Why the API server did not take the object; for a claim, in our words where the server's own don't
    explain it."""
    fixed = not_let_go(wanted, said) or unchangeable(there, wanted, said) if key.kind == CLAIM else None
    return f"{key.kind.name} {key.name} {fixed or f'was refused: {in_the_manifest(said, wanted)}'}"
