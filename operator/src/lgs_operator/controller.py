"""Looks at one service at a time: reads, plans, writes, and says in the status what it saw.

`look` is level-triggered: it takes the whole service as it is now, whatever made it due, and changes nothing
if nothing is to be changed.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp

from lgs_crds import LangGraphService, ManifestError, parse
from lgs_operator.cluster.client import ClusterError
from lgs_operator.cluster.kinds import DEPLOYMENT, SECRET, STATEFUL_SET, Key, Manifest, key_of
from lgs_operator.contents import Missing
from lgs_operator.desired.deployment import first_replicas
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.naming import object_name
from lgs_operator.desired.references import references
from lgs_operator.due import ServiceKey
from lgs_operator.parts import Parts
from lgs_operator.pods import is_going, is_ready, url_of
from lgs_operator.publisher import Publisher
from lgs_operator.reconcile import SCALER, Plan, owner_uid, plan
from lgs_operator.scaling_status import ScalingView, scaling_before
from lgs_operator.status import (
    Reports,
    View,
    halted_status,
    invalid_message,
    status_of,
)

_UNSETTLED_SECONDS = 3.0
_RETRY_REFUSED_SECONDS = 15.0
_REPORTS = 3
_REPORT_TIMEOUT = aiohttp.ClientTimeout(total=1.0)


class Refused(Exception):
    """An object of the service can't be written as it is; says which and why."""


class Controller:
    """Owns the way from a manifest to the cluster; the autoscaler only lends it its part of the status."""

    def __init__(self, parts: Parts, publisher: Publisher) -> None:
        self._cluster = parts.cluster
        self._world = parts.world
        self._events = parts.events
        self._metrics = parts.metrics
        self._http = parts.http
        self._settings = parts.settings
        self._publisher = publisher
        self.scaling: dict[ServiceKey, ScalingView] = {}
        self.parsed: dict[ServiceKey, LangGraphService] = {}
        self.views: dict[ServiceKey, View] = {}

    async def look(self, key: ServiceKey) -> float | None:
        """Brings the service to what its manifest says. Seconds until the next look, if one is wanted."""
        with self._metrics.look_seconds.time():
            try:
                again = await self._look(key)
            except ClusterError:
                self._metrics.looks.labels("failed").inc()
                raise
        self._metrics.looks.labels("done").inc()
        return again

    async def publish(self, key: ServiceKey) -> None:
        """Writes the status from the last look and the autoscaler's word."""
        body, view = self._world.services.get(key), self.views.get(key)
        if body is None or view is None or view.service.metadata.uid != body["metadata"]["uid"]:
            return
        before = self._publisher.current(key, body)
        scaling = self.scaling.get(key) or scaling_before(before)
        now = datetime.now(UTC)
        if await self._publisher.publish(key, body, status_of(view, scaling, before, now)):
            await self._tell(key, body, before)

    async def _look(self, key: ServiceKey) -> float | None:
        body = self._world.services.get(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            # what belongs to the service goes by its owner references
            self._forget(key)
            return None
        try:
            service = parse(_without_status(body), on_cluster=True)
        except ManifestError as error:
            await self._halt(key, body, "InvalidSpec", invalid_message(error.problems))
            return None
        if service.spec.paused:
            await self._halt(key, body, "Paused", "spec.paused is true: nothing is changed or repaired")
            return None
        self.parsed[key] = service
        return await self._bring(key, service)

    async def _bring(self, key: ServiceKey, service: LangGraphService) -> float | None:
        wanted_references = references(service.spec)
        contents, missing = await self._world.contents.read(key, wanted_references)
        live = self._world.owned(key)
        inputs = Inputs(
            service=service,
            images=self._settings.images,
            contents=contents,
            postgres_password=_password(live, Key(SECRET, key.namespace, object_name(key.name, "postgres"))),
            redis_password=_password(live, Key(SECRET, key.namespace, object_name(key.name, "redis"))),
            operator_namespace=self._settings.operator_namespace,
        )
        runtime = Key(DEPLOYMENT, key.namespace, key.name)
        todo = plan(
            everything(inputs),
            live,
            uid=service.metadata.uid or "",
            first_replicas=first_replicas(service),
            # pods that can't start are not rolled out: those that run go on with what they have
            hold=frozenset({runtime}) if missing else frozenset(),
        )
        refused = await self._carry_out(key, service, todo) if todo else None
        self.views[key] = await self._view(key, service, missing, refused)
        await self.publish(key)
        if refused is not None:
            return _RETRY_REFUSED_SECONDS
        view = self.views[key]
        return None if view.ready >= view.desired and not missing else _UNSETTLED_SECONDS

    async def _carry_out(self, key: ServiceKey, service: LangGraphService, todo: Plan) -> str | None:
        """Why something was refused, or None. What comes after a refused object is still written."""
        uid = service.metadata.uid or ""
        refusals = []
        live = self._world.owned(key)
        for manifest in todo.applies:
            try:
                await self._apply(manifest, uid, live, todo.adopt_replicas)
            except Refused as refusal:
                refusals.append(str(refusal))
        for manifest in todo.deletes:
            target = key_of(manifest)
            await self._cluster.delete(
                target.kind, target.namespace, target.name, uid=manifest["metadata"]["uid"]
            )
            self._metrics.writes.labels(target.kind.name, "delete").inc()
        for target in todo.drifted:
            self._metrics.drift.labels(target.kind.name).inc()
            words = f"{target.kind.name} {target.name} was changed by hand and is as the manifest says again"
            await self._events.emit(key, uid, "Warning", "DriftRepaired", words)
        return "; ".join(refusals) or None

    async def _apply(
        self, manifest: Manifest, uid: str, live: Mapping[Key, Manifest], adopt: int | None
    ) -> None:
        key = key_of(manifest)
        if owner_uid(live.get(key, {})) != uid:
            await self._must_be_free(key, uid)
        is_adopted = key.kind == DEPLOYMENT and adopt is not None and "replicas" not in manifest["spec"]
        try:
            if is_adopted:
                # Both managers say the number once; when ours lets go of it the autoscaler's stays.
                first = manifest | {"spec": manifest["spec"] | {"replicas": adopt}}
                await self._cluster.apply(first)
                await self._cluster.apply(replicas_only(key, adopt or 0), manager=SCALER)
            self._world.put(await self._cluster.apply(manifest))
        except ClusterError as error:
            if error.refused:
                raise Refused(f"{key.kind.name} {key.name} was refused: {error}") from error
            raise
        self._metrics.writes.labels(key.kind.name, "apply").inc()

    async def _must_be_free(self, key: Key, uid: str) -> None:
        there = await self._cluster.get(key.kind, key.namespace, key.name)
        if there is None or owner_uid(there) == uid:
            return
        raise Refused(
            f"{key.kind.name} {key.name} exists in namespace {key.namespace} and belongs to something else; "
            "delete it or give the service another name"
        )

    async def _view(
        self,
        key: ServiceKey,
        service: LangGraphService,
        missing: tuple[Missing, ...],
        refused: str | None,
    ) -> View:
        live = self._world.owned(key)
        pods = self._world.pods(key)
        return View(
            service=service,
            deployment=live.get(Key(DEPLOYMENT, key.namespace, key.name)),
            pods=pods,
            postgres=live.get(Key(STATEFUL_SET, key.namespace, object_name(key.name, "postgres"))),
            postgres_pods=self._world.pods(key, "postgres"),
            redis=live.get(Key(DEPLOYMENT, key.namespace, object_name(key.name, "redis"))),
            redis_pods=self._world.pods(key, "redis"),
            missing=missing,
            refused=refused,
            reports=await self._reports(pods),
        )

    async def _reports(self, pods: tuple[Manifest, ...]) -> Reports:
        """What running pods that take no work say is wrong, if they answer."""
        silent = [
            pod
            for pod in pods
            if pod.get("status", {}).get("phase") == "Running"
            and pod["status"].get("podIP")
            and not is_ready(pod)
            and not is_going(pod)
        ][:_REPORTS]
        answers = await asyncio.gather(*(self._report(pod) for pod in silent))
        return {
            pod["metadata"]["name"]: checks
            for pod, checks in zip(silent, answers, strict=True)
            if checks is not None
        }

    async def _report(self, pod: Manifest) -> dict[str, str] | None:
        url = url_of(pod, "/ready")
        try:
            async with self._http.get(url, timeout=_REPORT_TIMEOUT) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        checks = answer.get("checks") if isinstance(answer, dict) else None
        return {str(name): str(said) for name, said in checks.items()} if isinstance(checks, dict) else None

    async def _halt(self, key: ServiceKey, body: Mapping[str, Any], reason: str, message: str) -> None:
        self.parsed.pop(key, None)
        self.views.pop(key, None)
        before = self._publisher.current(key, body)
        generation = body["metadata"].get("generation", 0)
        status = halted_status(before, generation, reason, message, datetime.now(UTC))
        if await self._publisher.publish(key, body, status):
            await self._tell(key, body, before)

    async def _tell(self, key: ServiceKey, body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """An Event for each condition that says something new."""
        after = self._publisher.current(key, body)
        old = {each["type"]: each for each in before.get("conditions", [])}
        for each in after.get("conditions", []):
            known = old.get(each["type"], {})
            same = (known.get("status"), known.get("reason")) == (each["status"], each["reason"])
            if same or each["type"] not in {"Ready", "PersistenceReady", "CacheReady"}:
                continue
            bad = each["status"] == "False" and each["reason"] not in {"Starting", "ScaledToZero", "Paused"}
            words = f"{each['type']} is {each['status']}: {each['message']}"
            uid = body["metadata"]["uid"]
            await self._events.emit(key, uid, "Warning" if bad else "Normal", each["reason"], words)

    def _forget(self, key: ServiceKey) -> None:
        for known in (self.scaling, self.parsed, self.views):
            known.pop(key, None)
        self._publisher.forget(key)
        self._world.contents.forget(key)


def replicas_only(key: Key, replicas: int) -> Manifest:
    """What the autoscaler applies: the number of replicas and nothing else."""
    return {
        "apiVersion": key.kind.api_version,
        "kind": key.kind.name,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"replicas": replicas},
    }


def _password(live: Mapping[Key, Manifest], secret: Key) -> str:
    """The one that was made before, else a new one."""
    kept = live.get(secret, {}).get("data", {}).get("password")
    return b64decode(kept).decode() if kept else secrets.token_urlsafe(24)


def _without_status(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "status"}
