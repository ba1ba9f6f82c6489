"""Observes a service as it is in the cluster now: its objects, its pods, and the reasons that pods that take
no work report."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from lgs_crds import LangGraphService
from lgs_crds.model.persistence import ManagedPostgres
from lgs_operator.cloud_native_pg import CloudNativePG
from lgs_operator.context import Context
from lgs_operator.desired.kept import kept_deployments
from lgs_operator.desired.references import references
from lgs_operator.desired.revision import history_of, is_canary, is_kept, is_own
from lgs_operator.desired.volume import last_backup_of
from lgs_operator.handover import leads_to_api
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import (
    CLAIM,
    CRON_JOB,
    DEPLOYMENT,
    EVENT,
    JOB,
    REPLICA_SET,
    STATEFUL_SET,
    Key,
    Manifest,
    ServiceKey,
)
from lgs_operator.kube.newest_events import NewestEvents
from lgs_operator.kube.pods import is_going, is_ready, url_of
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.naming import (
    COMPONENT_LABEL,
    REPLICAS,
    SERVICE_LABEL,
    Component,
    claim_name,
    object_name,
)
from lgs_operator.pod_answers import NoAnswer, read_json
from lgs_operator.status.backup import BackupView, last_backup, noted_of
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.node_words import held_up, told_by
from lgs_operator.status.observed import ObservedService, Reports
from lgs_operator.status.restore import RestoreView, restore_of
from lgs_operator.status.rollout import newest_replica_set, refused_now, says_refused

log = structlog.get_logger(__name__)
PODS_ASKED: Final = 3
ANSWER_SECONDS: Final = 1.0
ANSWER_BYTES: Final = 64 * 1024
DATABASE_ID: Final = re.compile(r"[0-9a-f-]{8,64}")
LONGEST_CHECK: Final = 500
MOST_CHECKS: Final = 20


class Inspector:
    """Reads the watched copies of objects, and asks pods."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._http = context.http
        self._cloud_native_pg = CloudNativePG(context)

    async def observe(
        self,
        key: ServiceKey,
        service: LangGraphService,
        missing: tuple[MissingReference, ...],
        refused: str | None,
        restore: RestoreView,
        *,
        awaited: Diagnosis | None = None,
    ) -> ObservedService:
        """The service as it is now. `missing`, `refused`, `restore` and `awaited` (what new pods wait for)
        are what the reconciler found."""
        live = self._state.owned(key)
        replicas, api_pods = (self._state.pods(key, each) for each in REPLICAS)
        pods = tuple(filter(is_own, replicas))
        canary_pods, kept_pods = (tuple(filter(its, replicas)) for its in (is_canary, is_kept))
        kept = {
            number: await self._as_refused_now(each) or each
            for number, each in kept_deployments(key, live).items()
        }
        postgres = live.get(Key(STATEFUL_SET, key.namespace, object_name(key.name, "postgres")))
        postgres_pods, redis_pods = (self._state.pods(key, each) for each in ("postgres", "redis"))
        backup = self._backup(key, service)
        backup_pods = () if backup is None else backup.pods
        told = await self._told(
            pods, api_pods, canary_pods, kept_pods, postgres_pods, redis_pods, backup_pods
        )
        return ObservedService(
            service=service,
            deployment=await self._as_refused_now(live.get(Key(DEPLOYMENT, key.namespace, key.name))),
            pods=pods,
            api_deployment=await self._as_refused_now(
                live.get(Key(DEPLOYMENT, key.namespace, object_name(key.name, "api")))
            ),
            api_pods=api_pods,
            revisions=tuple(history_of(live)),
            canary_deployment=await self._as_refused_now(
                live.get(Key(DEPLOYMENT, key.namespace, object_name(key.name, "canary")))
            ),
            canary_pods=canary_pods,
            kept=kept,
            kept_pods=kept_pods,
            leads_to_api=leads_to_api(key, live),
            postgres=postgres,
            postgres_pods=postgres_pods,
            postgres_refused=None if postgres_pods else await self._refused(postgres),
            redis=await self._as_refused_now(
                live.get(Key(DEPLOYMENT, key.namespace, object_name(key.name, "redis")))
            ),
            redis_pods=redis_pods,
            missing=missing,
            held={
                (each.kind, each.name): self._state.referenced.names(Key(each.kind, key.namespace, each.name))
                for each in references(service.spec)
            },
            refused=refused,
            told=told,
            reports=await self._reports((*api_pods, *pods, *canary_pods, *kept_pods)),
            backup=backup and replace(backup, told=told),
            restore=restore,
            awaited=awaited,
            # `awaited` was read from the Cluster just now
            cluster=awaited or await self._cloud_native_pg.problem(key, service, missing)
            if missing or not any(map(is_ready, (*api_pods, *pods)))
            else None,
        )

    async def restore(
        self, key: ServiceKey, service: LangGraphService, before: Mapping[str, Any]
    ) -> RestoreView:
        """The state of the restore of a new service. `before` is its previous status."""
        live = self._state.owned(key)
        managed, pods = _managed(service), self._state.pods(key, "restore")
        return restore_of(
            managed.restore_from if managed else None,
            before,
            has_replicas=Key(DEPLOYMENT, key.namespace, key.name) in live,
            jobs=_jobs(live, "restore"),
            pods=pods,
            generation=service.metadata.generation,
            now=datetime.now(UTC),
            told=await self._told(pods),
        )

    def _backup(self, key: ServiceKey, service: LangGraphService) -> BackupView | None:
        managed = _managed(service)
        if managed is None or managed.backup is None:
            return None
        live = self._state.owned(key)
        cron_job = live.get(Key(CRON_JOB, key.namespace, object_name(key.name, "backup")))
        noted = last_backup_of(live.get(Key(CLAIM, key.namespace, claim_name(key.name))))
        return BackupView(
            managed.backup, cron_job, _jobs(live, "backup"), self._state.pods(key, "backup"), noted
        )

    def noted_backup(
        self, key: ServiceKey, service: LangGraphService, before: Mapping[str, Any]
    ) -> str | None:
        """What to note about the last backup on the volume's claim. `before` is the status."""
        view = self._backup(key, service)
        return None if view is None else noted_of(last_backup(view, before, datetime.now(UTC)))

    async def database_id(self, key: ServiceKey) -> str | None:
        """The id of the service's database, as answered by a replica that takes work; None if none does."""
        pods = (pod for each in REPLICAS for pod in self._state.pods(key, each))
        serving = next((pod for pod in pods if is_ready(pod)), None)
        answer = None if serving is None else await self._ready(serving)
        return database_id_of(answer)

    async def _as_refused_now(self, deployment: Manifest | None) -> Manifest | None:
        """The Deployment; if its pods are refused, with the message of the newest refusal."""
        if deployment is None or not says_refused(deployment):
            return deployment
        metadata = deployment["metadata"]
        labels = f"{SERVICE_LABEL}={metadata['labels'][SERVICE_LABEL]}"
        try:
            found, _ = await self._cluster.list(
                REPLICA_SET, metadata["namespace"], labels=labels, metadata_only=True
            )
        except KubeError as error:
            # Failing to explain is no reason to fail: the role of an older chart may not list ReplicaSets.
            log.info("replica_sets.unread", namespace=metadata["namespace"], error=str(error))
            return deployment
        said = await self._refused(newest_replica_set(deployment, found))
        return refused_now(deployment, said) if said else deployment

    async def _refused(self, owner: Manifest | None) -> str | None:
        """Why the object has no pod, according to its newest Event: a StatefulSet has no condition for that,
        and a Deployment's condition tells the first refusal."""
        if owner is None:
            return None
        metadata = owner["metadata"]
        fields = f"involvedObject.uid={metadata['uid']},reason=FailedCreate"
        events = await self._events(metadata["namespace"], fields)
        newest = max(events, key=lambda event: event.get("lastTimestamp") or "", default=None)
        return None if newest is None else str(newest.get("message", ""))

    async def _told(self, *groups: tuple[Manifest, ...]) -> dict[str, Diagnosis]:
        """What keeps nodes from starting the containers of pods, by pod: in each group, of the newest pod
        that waits for its containers."""
        told = dict[str, Diagnosis]()
        for pod in (held_up(pods, datetime.now(UTC)) for pods in groups):
            if pod is None:
                continue
            metadata = pod["metadata"]
            events = await self._events(metadata["namespace"], f"involvedObject.uid={metadata['uid']}")
            if (found := told_by(events, pod)) is not None:
                told[metadata["name"]] = found
        return told

    async def _events(self, namespace: str, fields: str) -> list[Manifest]:
        try:
            newest = NewestEvents()
            await self._cluster.list(EVENT, namespace, fields=fields, kept=newest.keep)
            return newest.found
        except KubeError as error:
            # Failing to explain is no reason to fail: the role of an older chart may not read Events.
            log.info("events.unread", namespace=namespace, error=str(error))
            return []

    async def _reports(self, pods: tuple[Manifest, ...]) -> Reports:
        """What running pods that take no work report as wrong, if they answer."""
        silent = [pod for pod in pods if _takes_no_work(pod)][:PODS_ASKED]
        answers = await asyncio.gather(*(self._report(pod) for pod in silent))
        return {
            pod["metadata"]["name"]: checks
            for pod, checks in zip(silent, answers, strict=True)
            if checks is not None
        }

    async def _report(self, pod: Manifest) -> dict[str, str] | None:
        return checks_of(await self._ready(pod))

    async def _ready(self, pod: Manifest) -> Any:
        """A pod's answer to `/ready`; None if there is none."""
        url = url_of(pod, "/ready")
        try:
            return url and await read_json(
                self._http,
                url,
                seconds=ANSWER_SECONDS,
                most_bytes=ANSWER_BYTES,
                statuses=(200, 503),
            )
        except NoAnswer:
            return None


def database_id_of(answer: Any) -> str | None:
    """The `database_id` in an answer to `/ready`; None if it is not a valid one."""
    found = answer.get("database_id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and DATABASE_ID.fullmatch(found) else None


def checks_of(answer: Any) -> dict[str, str] | None:
    """The `checks` in an answer to `/ready` as texts; None if there are none."""
    checks = answer.get("checks") if isinstance(answer, dict) else None
    if not isinstance(checks, dict):
        return None
    return {_as_line(name): _as_line(said) for name, said in itertools.islice(checks.items(), MOST_CHECKS)}


def _as_line(said: Any) -> str:
    """One line of text from any value: half a surrogate pair is no text, and Python may be unable to show a
    nested value."""
    text = f"a {type(said).__name__}" if isinstance(said, dict | list) else str(said)
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:LONGEST_CHECK])


def _managed(service: LangGraphService) -> ManagedPostgres | None:
    postgres = service.spec.persistence.postgres
    return postgres.managed if postgres is not None else None


def _jobs(live: Mapping[Key, Manifest], component: Component) -> tuple[Manifest, ...]:
    """The Jobs of a component, whoever made them: Jobs of backups are made by the CronJob, or by hand."""
    jobs = (each for key, each in live.items() if key.kind == JOB)
    return tuple(job for job in jobs if job["metadata"]["labels"].get(COMPONENT_LABEL) == component)


def _takes_no_work(pod: Manifest) -> bool:
    runs = pod.get("status", {}).get("phase") == "Running"
    return runs and not is_ready(pod) and not is_going(pod)
