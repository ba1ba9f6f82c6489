"""Keeps a copy of the ConfigMap with a service's code, one for each content, which pods mount. Makes the
wanted copy before the pods, and says which old copies are no longer needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from lgs_operator.context import Context
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.references import SOURCE_FIELD
from lgs_operator.desired.source_copy import copy_name, mounted, source_copy
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, REPLICA_SET, Key, Manifest, ServiceKey
from lgs_operator.kube.referenced import MissingReference, Reference, digest_of
from lgs_operator.naming import REPLICAS, SERVICE_LABEL
from lgs_operator.plan_writer import PlanWriter
from lgs_operator.reconcile_plan import Plan, owner_uid

log = structlog.get_logger(__name__)
FORBIDDEN: Final = 403


@dataclass(frozen=True)
class Copied:
    """The copy that pods are to mount: its `name`; `missing` says why there is none."""

    name: str | None = None
    missing: tuple[MissingReference, ...] = ()


@dataclass(frozen=True)
class Kept:
    """The copies that stay as they are; `mounted`: some of them stay only because pods still mount them."""

    copies: frozenset[Key]
    mounted: bool


class SourceCopies:
    """Copies the source, for one service at a time."""

    def __init__(self, context: Context, writer: PlanWriter) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._writer = writer

    async def bring(self, key: ServiceKey, inputs: Inputs, live: Mapping[Key, Manifest]) -> Copied:
        """Makes the copy of the current source, if it does not exist yet. Does nothing if no ConfigMap is
        named, or the named one does not exist."""
        source, uid = inputs.service.spec.source, inputs.service.metadata.uid or ""
        if source is None or source.config_map is None:
            return Copied()
        theirs = Key(CONFIG_MAP, key.namespace, source.config_map)
        digest = self._state.referenced.digest(theirs)
        name = None if digest is None else copy_name(inputs, digest)
        if name and owner_uid(live.get(Key(CONFIG_MAP, key.namespace, name), {})) == uid:
            return Copied(name)
        found = await self._read(theirs)
        if found is None:
            return Copied()
        copy = source_copy(inputs, found, digest_of(found))
        refused = await self._writer.write(key, uid, Plan(applies=(copy,)))
        if refused is not None:
            return Copied(missing=(_not_copied(theirs, refused),))
        return Copied(copy["metadata"]["name"])

    async def kept(
        self, key: ServiceKey, live: Mapping[Key, Manifest], of_revisions: Collection[str | None]
    ) -> Kept:
        """Which copies stay: those of the kept revisions, and those that are still mounted."""
        copies = frozenset(each for each in live if each.kind == CONFIG_MAP)
        old = frozenset(each for each in copies if each.name not in of_revisions)
        still = await self._mounted(key, live, old) if old else frozenset()
        return Kept(copies - (old - still), mounted=bool(still))

    async def _read(self, theirs: Key) -> Manifest | None:
        """The ConfigMap; None if it does not exist or may not be read: both are reported as for any
        reference."""
        try:
            return await self._cluster.get(CONFIG_MAP, theirs.namespace, theirs.name)
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            return None

    async def _mounted(
        self, key: ServiceKey, live: Mapping[Key, Manifest], old: frozenset[Key]
    ) -> frozenset[Key]:
        """The copies in `old` that pods mount, or would mount if a ReplicaSet made them again. ReplicaSets
        are read only here, when a copy may have to go."""
        pods = [pod for each in REPLICAS for pod in self._state.pods(key, each)]
        deployments = [each for its, each in live.items() if its.kind == DEPLOYMENT]
        try:
            replica_sets, _ = await self._cluster.list(
                REPLICA_SET, key.namespace, labels=f"{SERVICE_LABEL}={key.name}"
            )
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            # The role of an older chart may not list them: a copy too many costs less than one too few.
            log.info("replica_sets.unread", namespace=key.namespace, error=str(error))
            return old
        in_use = mounted([*pods, *deployments, *replica_sets])
        return frozenset(each for each in old if each.name in in_use)


def _not_copied(theirs: Key, refused: str) -> MissingReference:
    words = f"{SOURCE_FIELD}: {theirs.name}: pods mount a copy of it, and none can be made: {refused}"
    reference = Reference(CONFIG_MAP, theirs.name, SOURCE_FIELD, copied=True)
    return MissingReference("SourceNotCopied", words, reference)
