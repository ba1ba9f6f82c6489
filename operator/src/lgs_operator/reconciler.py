"""Brings one service at a time to what its manifest says: reads, plans, writes, and has reported what it saw.

Level-triggered: `reconcile` takes the whole service as it is now, whatever made it due, and changes nothing
if nothing is to be changed.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from lgs_crds import LangGraphService, ManifestError, parse
from lgs_crds.status import DatabaseStatus, status_before
from lgs_operator.context import Context
from lgs_operator.desired.credentials import NotText
from lgs_operator.desired.deployment import first_replicas
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs, PostgresInputs
from lgs_operator.desired.references import references
from lgs_operator.desired.volume import unchangeable
from lgs_operator.handover import kept
from lgs_operator.inspection import Inspector
from lgs_operator.kube.client import KubeError
from lgs_operator.kube.kinds import (
    CLAIM,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    SECRET,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Key,
    Kind,
    Manifest,
    ServiceKey,
    key_of,
)
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.managed_database import ManagedDatabase
from lgs_operator.naming import FORGET_ANNOTATION, REPLICAS, SERVICE_LABEL, claim_name, object_name
from lgs_operator.reconcile_plan import SCALER, Plan, owner_uid, plan, replicas_only, taken_by
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.reporter import StatusReporter
from lgs_operator.status.restore import RestoreView
from lgs_operator.status.service import invalid_message
from lgs_operator.status.states import ServiceStates

WITH_PODS: Final = frozenset({DEPLOYMENT, STATEFUL_SET, CRON_JOB, JOB})
# A StatefulSet may have to be written before it lets go of its claim.
GIVEN_TO: Final = {SECRET: WITH_PODS, SERVICE_ACCOUNT: WITH_PODS, CLAIM: frozenset({CRON_JOB})}
"""Which kinds have pods that would get a refused object of a kind."""
UNSETTLED_SECONDS: Final = 3.0
RETRY_REFUSED_SECONDS: Final = 15.0
BACKUP_SECONDS: Final = 60.0
AT_ONCE: Final = 0.0


class Refused(Exception):
    """An object of the service can't be written as it is; says which and why."""


@dataclass(frozen=True)
class Outcome:
    """The result of a reconciliation: what was refused, and what could not be read while the service goes
    on."""

    missing: tuple[MissingReference, ...]
    refused: str | None = None
    unmet: Diagnosis | None = None
    database: DatabaseStatus | None = None
    again: float | None = None
    restore: RestoreView = field(default_factory=RestoreView)


class Reconciler:
    """Owns the way from a manifest to the cluster."""

    def __init__(self, context: Context, states: ServiceStates, reporter: StatusReporter) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._recorder = context.recorder
        self._metrics = context.metrics
        self._settings = context.settings
        self._inspector = Inspector(context)
        self._databases = ManagedDatabase(context)
        self._states = states
        self._reporter = reporter

    async def reconcile(self, key: ServiceKey) -> float | None:
        """Brings the service to what its manifest says. Seconds until it is to be done again, if it is."""
        with self._metrics.reconcile_seconds.time():
            try:
                again = await self._reconcile(key)
            except Exception:
                self._metrics.reconciles.labels("failed").inc()
                raise
        self._metrics.reconciles.labels("done").inc()
        return again

    async def _reconcile(self, key: ServiceKey) -> float | None:
        body = self._state.services.get(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            # what belongs to the service goes by its owner references
            self._forget(key)
            return None
        try:
            service = parse(_without_status(body), on_cluster=True)
        except ManifestError as error:
            await self._halt(key, body, Diagnosis("InvalidSpec", invalid_message(error.problems)))
            return None
        if service.spec.paused:
            words = "spec.paused is true: nothing is changed or repaired"
            await self._halt(key, body, Diagnosis("Paused", words))
            return None
        self._states.of(key).manifest = service
        return await self._bring(key, service)

    async def _bring(self, key: ServiceKey, service: LangGraphService) -> float | None:
        await self._state.read_secrets(key)
        contents, missing = await self._state.referenced.read(key, references(service.spec))
        live, before = self._state.owned(key), self._reporter.before(key)
        known = _known_database(service, before)
        restore = self._inspector.restore(key, service, before)
        try:
            read = await self._databases.read(key, service, live)
            inputs = self._inputs(key, service, contents, read.inputs if read else None)
        except NotText as wrong:
            words = _no_text(object_name(key.name, "postgres"), str(wrong))
            return await self._observe(key, service, _stopped(missing, words, before, restore))
        except Refused as refusal:
            return await self._observe(key, service, _stopped(missing, str(refusal), before, restore))
        inputs = replace(inputs, restores=restore.waits, database_id=known)
        pause = self._databases.pause(key, live, read.inputs) if read else None
        replicas = [Key(DEPLOYMENT, key.namespace, object_name(key.name, each)) for each in REPLICAS]
        todo = plan(
            everything(inputs),
            live,
            uid=service.metadata.uid or "",
            first_replicas=first_replicas(service),
            # pods that can't start are not rolled out: those that run go on with what they have
            hold=frozenset(replicas if missing or pause or restore.waits else [])
            | _ended_restores(live, restore)
            | kept(
                key,
                live,
                *map(partial(self._state.pods, key), REPLICAS),
                split=inputs.split,
                some_wanted=first_replicas(service) > 0,
            ),
        )
        refused = await self._carry_out(key, service, todo) if todo else None
        unmet = await self._databases.follow(key, service, read) if read and refused is None else None
        status = self._databases.status(key, read.inputs) if read else DatabaseStatus()
        if known is None and service.spec.persistence.postgres is not None:
            known = _unless_forgotten(service, await self._inspector.database_id(key))
            pause = pause if known is None else AT_ONCE
        database = status.model_copy(update={"id": known}) if service.spec.persistence.postgres else None
        return await self._observe(key, service, Outcome(missing, refused, unmet, database, pause, restore))

    def _inputs(
        self, key: ServiceKey, service: LangGraphService, contents: str, postgres: PostgresInputs | None
    ) -> Inputs:
        """What the builders know. Raises `Refused` for a password that can't be one."""
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
            key, service, outcome.missing, outcome.refused, outcome.restore
        )
        observed = replace(observed, unmet=outcome.unmet, database=outcome.database)
        self._states.of(key).observed = observed
        await self._reporter.report(key)
        if outcome.refused is not None or outcome.unmet is not None:
            return RETRY_REFUSED_SECONDS
        if outcome.again is not None:
            return outcome.again
        if not observed.settled or outcome.missing or outcome.restore.waits:
            return UNSETTLED_SECONDS
        # nothing happens where a backup does not come about
        return None if observed.backup is None else BACKUP_SECONDS

    async def _carry_out(self, key: ServiceKey, service: LangGraphService, todo: Plan) -> str | None:
        """Why something was refused, or None. What comes after a refused object is still written, but for
        pods that would get it: a name must not lead them to a Secret, an account or a volume of others."""
        uid = service.metadata.uid or ""
        refusals: list[str] = []
        withheld: frozenset[Kind] = frozenset()
        live = self._state.owned(key)
        for manifest in todo.applies:
            kind = key_of(manifest).kind
            if kind in withheld:
                continue
            try:
                await self._apply(manifest, uid, live, todo.adopt_replicas)
            except Refused as refusal:
                refusals.append(str(refusal))
                withheld |= GIVEN_TO.get(kind, frozenset())
        for manifest in todo.deletes:
            target = key_of(manifest)
            await self._cluster.delete(
                target.kind, target.namespace, target.name, uid=manifest["metadata"]["uid"]
            )
            self._state.deleted(target)
            self._metrics.writes.labels(target.kind.name, "delete").inc()
        for target in todo.drifted:
            self._metrics.drift.labels(target.kind.name).inc()
            words = f"{target.kind.name} {target.name} was changed by hand and is as the manifest says again"
            await self._recorder.emit(key, uid, "Warning", "DriftRepaired", words)
        return "; ".join(dict.fromkeys(refusals)) or None

    async def _apply(
        self, manifest: Manifest, uid: str, live: Mapping[Key, Manifest], adopt: int | None
    ) -> None:
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
            self._state.put(await self._cluster.apply(manifest))
        except KubeError as error:
            if error.refused:
                raise Refused(_refused(key, live.get(key), manifest, str(error))) from error
            raise
        self._metrics.writes.labels(key.kind.name, "apply").inc()

    async def _must_be_free(self, key: Key, uid: str, service: str) -> None:
        if key.kind == CLAIM and key.name == claim_name(service):
            # It belongs to nobody by itself: whose StatefulSet has it says whose it is.
            holder = Key(STATEFUL_SET, key.namespace, object_name(service, "postgres"))
            await self._must_be_free(holder, uid, service)
        there = await self._cluster.get(key.kind, key.namespace, key.name)
        words = None if there is None else taken_by(there, uid, service)
        if words is not None:
            raise Refused(f"{key.kind.name} {key.name} exists in namespace {key.namespace} and {words}")

    async def _halt(self, key: ServiceKey, body: Mapping[str, Any], halt: Diagnosis) -> None:
        self._states.halt(key)
        await self._reporter.report_halted(key, body, halt)

    def _forget(self, key: ServiceKey) -> None:
        self._states.forget(key)
        self._reporter.forget(key)
        self._state.forget(key)


def _refused(key: Key, there: Manifest | None, wanted: Manifest, said: str) -> str:
    """Why the API server did not take it: what it can't say of a claim in its own words is said in ours."""
    fixed = unchangeable(there, wanted, said) if key.kind == CLAIM else None
    return f"{key.kind.name} {key.name} {fixed or f'was refused: {said}'}"


def _ended_restores(live: Mapping[Key, Manifest], restore: RestoreView) -> frozenset[Key]:
    """The Jobs of a restore that is over: they stay for their logs, and go by themselves."""
    return frozenset(key for key in live if key.kind == JOB and restore.result is not None)


def _password(live: Mapping[Key, Manifest], secret: Key) -> str:
    """The one that was made before, else a new one. Raises `Refused` for one that is no text."""
    kept = (live.get(secret, {}).get("data") or {}).get("password")
    if not kept:
        return secrets.token_urlsafe(24)
    try:
        return b64decode(kept, validate=True).decode()
    except ValueError:
        raise Refused(_no_text(secret.name, "password")) from None


def _stopped(
    missing: tuple[MissingReference, ...], refused: str, before: Mapping[str, Any], restore: RestoreView
) -> Outcome:
    """The result of a reconciliation that ended early: what was known of the database is kept."""
    return Outcome(missing, refused, database=status_before(before).database, restore=restore)


def _known_database(service: LangGraphService, before: Mapping[str, Any]) -> str | None:
    """The id that the service's database has by its status, unless that is the one to be forgotten."""
    known = status_before(before).database
    return _unless_forgotten(service, None if known is None else known.id)


def _unless_forgotten(service: LangGraphService, found: str | None) -> str | None:
    """Also of what a replica reports: else an id would be forgotten and learned in turns, without end."""
    return None if found == service.metadata.annotations.get(FORGET_ANNOTATION) else found


def _no_text(secret: str, key: str) -> str:
    words = "must be the server's password as UTF-8 text; put it there again"
    return f"Secret {secret}: {key}: bytes that are no text: {words}"


def _without_status(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "status"}
