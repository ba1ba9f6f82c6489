"""Brings one service at a time to what its manifest says: reads, plans, writes, and has the result reported.

Level-triggered: `reconcile` takes the whole service as it is now, whatever made it due, and changes nothing
if nothing needs to change.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from lgs_crds import LangGraphService, ManifestError, parse
from lgs_crds.status import DatabaseStatus, Status, status_before
from lgs_crds.weight import RULE
from lgs_operator.cloud_native_pg import CloudNativePG
from lgs_operator.context import Context
from lgs_operator.desired.credentials import NotText
from lgs_operator.desired.deployment import first_replicas
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs, PostgresInputs
from lgs_operator.desired.known_database import id_in_status, unless_forgotten
from lgs_operator.desired.pinned import Canary, Pinned, missing_of, pinned
from lgs_operator.desired.references import references
from lgs_operator.desired.revision import history_of, is_own
from lgs_operator.exposure_pack import ExposurePack
from lgs_operator.handover import held, kept_canary, leads_to_marked, replicas_of
from lgs_operator.inspection import Inspector
from lgs_operator.kube.kept_service import TOO_LARGE, without_status
from lgs_operator.kube.kinds import (
    DEPLOYMENT,
    SECRET,
    Key,
    Manifest,
    ServiceKey,
)
from lgs_operator.kube.referenced import MissingReference, Reference
from lgs_operator.managed_database import ManagedDatabase
from lgs_operator.monitoring_pack import MonitoringPack
from lgs_operator.naming import REPLICAS, object_name
from lgs_operator.old_revisions import Around, RevisionKeeper
from lgs_operator.optional_objects import OptionalObjects
from lgs_operator.outcome import AT_ONCE, Outcome, seconds_until_again, stopped
from lgs_operator.plan_writer import PlanWriter, Refused
from lgs_operator.reconcile_plan import Plan, begins_pods, plan
from lgs_operator.releases import Releases, retreats
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.halted import deleting_message
from lgs_operator.status.health import has_just_failed
from lgs_operator.status.reporter import StatusReporter
from lgs_operator.status.service import invalid_message
from lgs_operator.status.states import ServiceStates
from lgs_operator.stock_images import StockImages
from lgs_operator.stuck_backups import stuck_backups

log = structlog.get_logger(__name__)


class Reconciler:
    """Brings services from their manifests to the cluster."""

    def __init__(self, context: Context, states: ServiceStates, reporter: StatusReporter) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._recorder = context.recorder
        self._metrics = context.metrics
        self._settings = context.settings
        self._inspector = Inspector(context)
        self._cloud_native_pg = CloudNativePG(context)
        self._writer = PlanWriter(context)
        self._databases = ManagedDatabase(context)
        self._releases = Releases(context, self._writer)
        self._old = RevisionKeeper(context)
        objects = OptionalObjects(context, self._writer)
        self._monitoring = MonitoringPack(context, objects)
        self._exposure = ExposurePack(context, objects)
        self._states = states
        self._reporter = reporter
        self._stock = StockImages(context, reporter)

    async def reconcile(self, key: ServiceKey) -> float | None:
        """Brings the service to what its manifest says. Returns the seconds until it must be reconciled
        again, or None."""
        with self._metrics.reconcile_seconds.time():
            try:
                again = await self._reconcile(key)
            except Exception:
                self._metrics.reconciles.labels("failed").inc()
                self._metrics.by_service.failed(key)
                raise
        self._metrics.reconciles.labels("done").inc()
        return again

    async def _reconcile(self, key: ServiceKey) -> float | None:
        body = self._state.services.get(key)
        if body is None:
            self._forget(key)
            return None
        if "deletionTimestamp" in body["metadata"]:
            await self._let_go(key, body)
            return None
        if TOO_LARGE in body:
            await self._halt(key, body, Diagnosis("InvalidSpec", f"spec: {RULE}"))
            return None
        try:
            document = without_status(body)
            service = parse(document, on_cluster=True)
            pin = pinned(document, service, history_of(self._state.owned(key)))
        except ManifestError as error:
            await self._halt(key, body, Diagnosis("InvalidSpec", invalid_message(error.problems)))
            return None
        unkept = await self._databases.keep(key, service)
        if service.spec.paused:
            words = "spec.paused is true: nothing is changed or repaired"
            await self._halt(key, body, Diagnosis("Paused", f"{words}; {unkept}" if unkept else words))
            return None
        service = pin.service if isinstance(pin, Pinned) else service
        return await self._bring(key, service, pin)

    async def _bring(
        self,
        key: ServiceKey,
        service: LangGraphService,
        pin: Pinned | MissingReference | None,
        watched: tuple[Reference, ...] = (),
    ) -> float | None:
        """Brings the service to its spec, at the revision of `pin` if there is one. `watched` are references
        beyond its own whose changes matter to it."""
        self._states.work_on(key, service)
        await self._state.read_secrets(key)
        await self._reporter.settled(key)
        live, before = self._state.owned(key), self._reporter.before(key)
        around, contents, missing = await self._around(key, service, live, status_before(before), watched)
        missing = missing_of(pin, missing)
        known = id_in_status(service, before)
        restore = await self._inspector.restore(key, service, before)
        try:
            read = await self._databases.read(key, service, live)
            inputs = self._inputs(key, service, contents, read.inputs if read else None)
        except NotText as wrong:
            words = _no_text(object_name(key.name, "postgres"), str(wrong))
            return await self._observe(key, service, stopped(missing, words, before, restore))
        except Refused as refusal:
            return await self._observe(key, service, stopped(missing, str(refusal), before, restore))
        noted = self._inspector.noted_backup(key, service, before)
        inputs = replace(inputs, restores=restore.waits, database_id=known, last_backup=noted)
        stock, waits = await self._stock.choose(key, service, pin, live)
        inputs = replace(inputs, images=replace(inputs.images, runtime=stock))
        release = await self._releases.prepare(key, inputs, live, missing, status_before(before))
        inputs, missing = release.inputs, release.missing
        if pin is None and (instead := await self._releases.instead(key, release, live, before)) is not None:
            return await self._bring(key, instead.service, instead, references(service.spec))
        canary = pin.canary if isinstance(pin, Pinned) else None
        pause = self._databases.pause(key, live, read.inputs) if read else None
        pods, api_pods = (self._state.pods(key, each) for each in REPLICAS)
        whole = list(filter(is_own, pods))
        failed = pin.instead_of if isinstance(pin, Pinned) else None
        inputs = replace(
            inputs,
            leads_to_marked=leads_to_marked(key, inputs, live, whole),
            retreats=retreats(service.spec.rollout, failed, around.before, whole),
        )
        alone = isinstance(pin, Pinned) and pin.instead
        hold = held(
            *(key, inputs, live, pods, api_pods),
            lacking=bool(missing),
            paused=bool(pause),
            restore=restore,
            alone=alone,
        )
        leaves = frozenset() if alone else kept_canary(key, inputs, live, whole)
        kept = release.kept | (canary.kept if canary else leaves)
        old = await self._old.bring(key, inputs, around, datetime.now(UTC))
        wanted = [*everything(inputs, old.wanted), *self._of_canary(key, inputs, canary, live)]
        todo, awaited = await self._plan(key, inputs, live, hold | kept | old.stays, wanted)
        contested = self._writer.contested(key, todo, live)
        refused = await self._writer.write(key, service.metadata.uid or "", todo) if todo else None
        unmet = await self._databases.follow(key, service, read) if read and refused is None else None
        status = (
            self._databases.status(key, service.metadata.uid or "", read.inputs) if read else DatabaseStatus()
        )
        if known is None and service.spec.persistence.postgres is not None:
            known = unless_forgotten(service, await self._inspector.database_id(key))
            pause = pause if known is None else AT_ONCE
        database = status.model_copy(update={"id": known}) if service.spec.persistence.postgres else None
        if refused is None and not pause:
            await self._old.report(key, inputs, old, around)
        unmet = unmet or contested or old.lacking
        outcome = Outcome(missing, refused, unmet, database, pause, restore, awaited=awaited)
        outcome = await self._with_what_stands_beside(key, inputs, outcome)
        outcome = replace(outcome, later=release.mounted, stock_waits=waits, keeps=bool(old.kept.numbers))
        return await self._observe(key, service, _of_release(outcome, inputs, pin))

    async def _with_what_stands_beside(self, key: ServiceKey, inputs: Inputs, outcome: Outcome) -> Outcome:
        """Brings the optional objects, which the service works without: monitoring and routes."""
        monitoring = await self._monitoring.bring(key, inputs)
        return replace(outcome, monitoring=monitoring, exposure=await self._exposure.bring(key, inputs))

    async def _around(
        self,
        key: ServiceKey,
        service: LangGraphService,
        live: Mapping[Key, Manifest],
        before: Status,
        watched: tuple[Reference, ...],
    ) -> tuple[Around, str, tuple[MissingReference, ...]]:
        """What is there around the service, the hash of what it reads, and what of that is missing."""
        document, own = without_status(self._state.services[key]), references(service.spec)
        watched = (*watched, *self._old.references(key, document, live))
        contents, missing = await self._state.referenced.read(key, own, watched)
        return Around(document, live, before, (*own, *watched)), contents, missing

    @staticmethod
    def _of_canary(
        key: ServiceKey, inputs: Inputs, canary: Canary | None, live: Mapping[Key, Manifest]
    ) -> list[Manifest]:
        """The objects that a canary wants."""
        if canary is None:
            return []
        whole = live.get(Key(DEPLOYMENT, *key), {"spec": {"replicas": first_replicas(inputs.service)}})
        return canary.objects(int(whole["spec"].get("replicas", 1)))

    async def _plan(
        self,
        key: ServiceKey,
        inputs: Inputs,
        live: Mapping[Key, Manifest],
        hold: frozenset[Key],
        wanted: list[Manifest],
    ) -> tuple[Plan, Diagnosis | None]:
        """What to write, and what new pods wait for; they are not made until that is there."""
        service = inputs.service
        first, uid = first_replicas(service), service.metadata.uid or ""
        admitted = self._writer.admitted(key)
        todo = plan(wanted, live, uid=uid, first_replicas=first, hold=hold, admitted=admitted)
        begun = begins_pods(todo, live) & replicas_of(key)
        awaited = await self._cloud_native_pg.awaited(key, service) if begun else None
        if awaited is not None:
            todo = plan(wanted, live, uid=uid, first_replicas=first, hold=hold | begun, admitted=admitted)
        stuck = stuck_backups(wanted, live, self._state.pods(key, "backup"), datetime.now(UTC))
        return replace(todo, deletes=(*todo.deletes, *stuck)), awaited

    def _inputs(
        self, key: ServiceKey, service: LangGraphService, contents: str, postgres: PostgresInputs | None
    ) -> Inputs:
        """The inputs of the builders. Raises `Refused` for a password that is no text."""
        secret = Key(SECRET, key.namespace, object_name(key.name, "redis"))
        return Inputs(
            service=service,
            images=self._settings.images,
            contents=contents,
            postgres=postgres,
            redis_password=_password(self._state.owned(key), secret),
            operator_namespace=self._settings.operator_namespace,
        )

    async def _observe(self, key: ServiceKey, service: LangGraphService, outcome: Outcome) -> float | None:
        observed = await self._inspector.observe(
            key, service, outcome.missing, outcome.refused, outcome.restore, awaited=outcome.awaited
        )
        observed = replace(
            observed,
            unmet=outcome.unmet,
            database=outcome.database,
            taken_back=outcome.taken_back,
            canary=outcome.canary,
            released=outcome.released,
            monitoring=outcome.monitoring,
            exposure=outcome.exposure,
            stock_waits=outcome.stock_waits,
        )
        self._states.of(key).observed = observed
        before = status_before(self._reporter.before(key))
        await self._reporter.report(key)
        self._stock.saw(key)
        if has_just_failed(service, before, status_before(self._reporter.before(key))):
            return AT_ONCE
        return seconds_until_again(outcome, observed)

    async def _let_go(self, key: ServiceKey, body: Mapping[str, Any]) -> None:
        """Handles a deleted service. Its objects go by their owner references, as soon as no finalizer holds
        it; what its policy keeps outlives it even if the policy came together with the deletion."""
        unkept = None
        with suppress(ManifestError):
            unkept = await self._databases.keep(key, parse(without_status(body), on_cluster=True))
        words = deleting_message(body)
        await self._halt(key, body, Diagnosis("Deleting", f"{words}; {unkept}" if unkept else words))

    async def _halt(self, key: ServiceKey, body: Mapping[str, Any], halt: Diagnosis) -> None:
        self._states.halt(key)
        self._stock.forget(key)
        await self._reporter.report_halted(key, body, halt)

    def _forget(self, key: ServiceKey) -> None:
        self._states.forget(key)
        self._writer.forget(key)
        self._stock.forget(key)
        self._reporter.forget(key)
        self._state.forget(key)


def _of_release(outcome: Outcome, inputs: Inputs, pin: Pinned | MissingReference | None) -> Outcome:
    """The outcome with the revisions that run, and that do not."""
    released = None if inputs.revision is None else inputs.revision.number
    outcome = replace(outcome, released=released)
    if not isinstance(pin, Pinned):
        return outcome
    return replace(
        outcome, taken_back=pin.instead_of, canary=None if pin.canary is None else pin.canary.number
    )


def _password(live: Mapping[Key, Manifest], secret: Key) -> str:
    """The password that was made before, else a new one. Raises `Refused` for one that is no text."""
    kept = (live.get(secret, {}).get("data") or {}).get("password")
    if not kept:
        return secrets.token_urlsafe(24)
    try:
        return b64decode(kept, validate=True).decode()
    except ValueError:
        raise Refused(_no_text(secret.name, "password")) from None


def _no_text(secret: str, key: str) -> str:
    words = "must be the server's password as UTF-8 text; put it there again"
    return f"Secret {secret}: {key}: bytes that are no text: {words}"
