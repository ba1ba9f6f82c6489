"""The managed database of a service, beside the objects that are planned: reads what exists of it, and does
what can't be expressed in an object. Decisions are made in `desired/`.

The volume may outlive the service, and may have been made by an earlier service or by hand; the password may
be older than the watched copy.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from lgs_crds import LangGraphService
from lgs_crds.model.persistence import ManagedPostgres
from lgs_crds.reasons import Reason
from lgs_crds.status import DatabaseStatus
from lgs_operator.context import Context
from lgs_operator.desired.credentials import (
    CREDENTIALS_ANNOTATION,
    Credentials,
    decide,
    is_rotation_due,
    read_credentials,
    seconds_to_take_over,
)
from lgs_operator.desired.inputs import PostgresInputs
from lgs_operator.desired.server_image import ServerImage, image_to_run, recorded_image
from lgs_operator.desired.volume import adopted, goes_with, growth, let_go, size_of
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import (
    CLAIM,
    DEPLOYMENT,
    POD,
    SECRET,
    STATEFUL_SET,
    EventType,
    Key,
    Manifest,
    ServiceKey,
)
from lgs_operator.kube.pods import is_ended, is_going
from lgs_operator.naming import REPLICAS, ROTATE_ANNOTATION, claim_name, object_name
from lgs_operator.status.diagnosis import Diagnosis

log = structlog.get_logger(__name__)
_GOING: Final = (
    "is being deleted, and exists only as long as the pod that uses it: its data goes with that pod; "
    "save them while it runs"
)
_MOVE: Final = "restore a backup into a service whose storage class allows expansion"
EventWords = tuple[EventType, Reason, str]
TAKE_OVER_SECONDS: Final = 10.0
"""Seconds after which the kubelet has shown a new password to the database and the database has taken it
over; replicas that start with it earlier would be refused. If it takes longer, they are refused and start
again."""
UNPATCHED_TAKE_OVER_SECONDS: Final = 100.0
"""The same where the operator may not patch pods: then a kubelet reads Secrets only once a minute."""


@dataclass(frozen=True)
class Found:
    """What exists of the managed database, according to the API server."""

    claim: Manifest | None
    stateful_set: Manifest | None
    secret: Manifest | None
    known: Credentials | None


@dataclass(frozen=True)
class Read:
    """What exists of a managed database, and what was decided from it."""

    found: Found
    inputs: PostgresInputs


class ManagedDatabase:
    """Reads the managed database and acts on it, for one service at a time."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._recorder = context.recorder
        self._patch_pods = context.settings.patch_pods
        self._take_over_seconds = TAKE_OVER_SECONDS if self._patch_pods else UNPATCHED_TAKE_OVER_SECONDS
        images = context.settings.images
        self.offered = ServerImage(images.postgres, images.postgres_uid, images.postgres_major)

    async def read(
        self, key: ServiceKey, service: LangGraphService, live: Mapping[Key, Manifest]
    ) -> Read | None:
        """What exists, and what is decided from it; None without a managed database. Raises `NotText`."""
        managed = _managed(service)
        if managed is None:
            return None
        asked = service.metadata.annotations.get(ROTATE_ANNOTATION)
        found = await self._find(key, live, asked)
        credentials = decide(
            found.known,
            asked=asked,
            followed=found.known is not None and self._followed(key, live, found.known),
            now=datetime.now(UTC),
            make=lambda: secrets.token_urlsafe(24),
        )
        image = image_to_run(recorded_image(found.claim, found.stateful_set), self.offered)
        made = (found.stateful_set or {}).get("spec")
        return Read(found, PostgresInputs(managed, image, credentials, found.claim, made))

    async def keep(self, key: ServiceKey, service: LangGraphService) -> str | None:
        """Makes the objects that `deletionPolicy` keeps outlive the service. This comes before anything else
        and whatever holds that up, since the service may be deleted at any moment. Returns which object is
        still deleted with the service, and why; else None."""
        managed, uid = _managed(service), service.metadata.uid or ""
        if managed is None or managed.deletion_policy != "Retain":
            return None
        await self._state.read_secrets(key)
        live, name = self._state.owned(key), object_name(key.name, "postgres")
        for kept in (Key(CLAIM, key.namespace, claim_name(key.name)), Key(SECRET, key.namespace, name)):
            there = live.get(kept)
            if there is None or not goes_with(there, uid):
                continue
            try:
                self._state.put(
                    await self._cluster.merge(kept.kind, kept.namespace, kept.name, let_go(there, uid))
                )
            except KubeError as error:
                if not error.lasting:
                    raise
                return f"{kept.kind.name} {kept.name} is still deleted with the service: {error}"
        return None

    async def _find(self, key: ServiceKey, live: Mapping[Key, Manifest], asked: str | None) -> Found:
        name = object_name(key.name, "postgres")
        claim_key = Key(CLAIM, key.namespace, claim_name(key.name))
        # A claim that was made by hand, or by an older operator's StatefulSet, has no label to be watched by.
        claim = live.get(claim_key) or await self._cluster.get(CLAIM, key.namespace, claim_key.name)
        secret = live.get(Key(SECRET, key.namespace, name))
        known = read_credentials(secret)
        if known is None or is_rotation_due(known, asked):
            # The decision to make a password must not rest on a copy that may be old.
            secret = await self._cluster.get(SECRET, key.namespace, name)
            known = read_credentials(secret)
        return Found(claim, live.get(Key(STATEFUL_SET, key.namespace, name)), secret, known)

    def _followed(self, key: ServiceKey, live: Mapping[Key, Manifest], known: Credentials) -> bool:
        """Whether no replica, draining ones included, has another password than the current one."""
        pods = [pod for each in REPLICAS for pod in self._state.pods(key, each)]
        templates = [each["spec"]["template"] for each in _deployments(key, live)] or [{}]
        carriers = [*templates, *(pod for pod in pods if not is_ended(pod))]
        return all(_credentials_of(each) == known.digest for each in carriers)

    def pause(self, key: ServiceKey, live: Mapping[Key, Manifest], postgres: PostgresInputs) -> float | None:
        """Seconds for which replicas must not be rolled out with a password that the database may not have
        taken over yet; None if they may."""
        carried = {_credentials_of(each["spec"]["template"]) for each in _deployments(key, live)}
        return seconds_to_take_over(
            postgres.credentials, carried, now=datetime.now(UTC), at_most=self._take_over_seconds
        )

    async def follow(self, key: ServiceKey, service: LangGraphService, read: Read) -> Diagnosis | None:
        """Acts after the objects are written: emits Events about what is new, shows the server's pod its new
        password, and grows the volume. Returns what the volume does not allow, or None."""
        uid = service.metadata.uid or ""
        for kind, reason, words in _events(uid, read.found, read.inputs.credentials):
            await self._recorder.emit(key, uid, kind, reason, words)
        await self._emit_upgrade(key, uid, read.inputs.image)
        await self._show(key, read.inputs.credentials)
        return await self._grow(key, read.inputs)

    def status(self, key: ServiceKey, uid: str, postgres: PostgresInputs) -> DatabaseStatus:
        """The database's part of the status; `uid` is the service's."""
        claim = self._state.owned(key).get(Key(CLAIM, key.namespace, claim_name(key.name)))
        image = postgres.image
        return DatabaseStatus(
            volume=claim_name(key.name),
            size=size_of(claim),
            deletion_policy=None if claim is None else ("Delete" if goes_with(claim, uid) else "Retain"),
            image=image.name,
            major_version=image.version,
            upgrade_available=None if image.name == self.offered.name else self.offered.name,
            password_changed_at=postgres.credentials.changed_at,
        )

    async def _emit_upgrade(self, key: ServiceKey, uid: str, image: ServerImage) -> None:
        """Emits the Event once: while the status does not have the upgrade yet."""
        if image.name == self.offered.name:
            return
        before = (self._state.services.get(key) or {}).get("status") or {}
        if (before.get("database") or {}).get("upgradeAvailable") != self.offered.name:
            words = f"{self.offered.name} is what a new service gets; the volume stays with {image.name}"
            await self._recorder.emit(key, uid, "Normal", "UpgradeAvailable", words)

    async def _grow(self, key: ServiceKey, postgres: PostgresInputs) -> Diagnosis | None:
        claim, wanted = postgres.claim, postgres.spec.storage
        if claim is not None and is_going(claim):
            return Diagnosis("VolumeGoing", f"PersistentVolumeClaim {claim['metadata']['name']} {_GOING}")
        patch = growth(claim, wanted)
        if claim is None or patch is None:
            return None
        name = claim["metadata"]["name"]
        try:
            self._state.put(await self._cluster.merge(CLAIM, key.namespace, name, patch))
        except KubeError as error:
            if not error.refused:
                raise
            words = f"PersistentVolumeClaim {name} has {size_of(claim)} and can't get {wanted}: {error}"
            return Diagnosis(
                "VolumeNotExpandable", f"{words}; set storage to {size_of(claim)} again, or {_MOVE}"
            )
        return None

    async def _show(self, key: ServiceKey, credentials: Credentials) -> None:
        """Changes the server's pod, so that its kubelet reads its Secrets at once instead of once a
        minute."""
        if not self._patch_pods:
            return
        carried = credentials.digest if credentials.previous is None else f"{credentials.digest}-and-previous"
        for pod in self._state.pods(key, "postgres"):
            if is_going(pod) or is_ended(pod) or _credentials_of(pod) == carried:
                continue
            patch = {"metadata": {"annotations": {CREDENTIALS_ANNOTATION: carried}}}
            try:
                await self._cluster.merge(POD, key.namespace, pod["metadata"]["name"], patch)
            except KubeError as error:
                log.info("database.not_shown", service="/".join(key), error=str(error))


def _events(uid: str, found: Found, now: Credentials) -> list[EventWords]:
    before, said = found.known, list[EventWords]()
    if words := adopted(found.claim, found.stateful_set, uid):
        said.append(("Normal", "Adopted", words))
    if before is None and found.claim is not None and found.stateful_set is not None:
        words = (
            "the Secret with the database's password was gone: there is a new password, which the database "
        )
        said.append(("Warning", "PasswordChanged", f"{words}takes over; replicas follow one by one"))
    elif before is not None and before.current != now.current:
        words = (
            "the database has a new password; replicas follow one by one, and the old one is valid until then"
        )
        said.append(("Normal", "PasswordChanged", words))
    elif before is not None and before.previous is not None and now.previous is None:
        said.append(("Normal", "PasswordRotated", "no replica uses the old password any more: it is void"))
    return said


def _managed(service: LangGraphService) -> ManagedPostgres | None:
    postgres = service.spec.persistence.postgres
    return None if postgres is None else postgres.managed


def _deployments(key: ServiceKey, live: Mapping[Key, Manifest]) -> list[Manifest]:
    """The Deployments whose replicas use the database."""
    names = (object_name(key.name, each) for each in REPLICAS)
    return [live[found] for name in names if (found := Key(DEPLOYMENT, key.namespace, name)) in live]


def _credentials_of(carrier: Mapping[str, object]) -> str | None:
    metadata = carrier.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return annotations.get(CREDENTIALS_ANNOTATION) if isinstance(annotations, Mapping) else None
