"""Keeps, for each content of the ConfigMap with a service's code, the copy that its pods mount: makes the one
that is wanted before pods are, and says which old ones are not needed any more.
"""

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
    """`name` is that of the copy that pods are to mount; `missing` says why there is none."""

    name: str | None = None
    missing: tuple[MissingReference, ...] = ()


@dataclass(frozen=True)
class Kept:
    """The copies that stay as they are; `mounted`: some of them only because pods still mount them."""

    copies: frozenset[Key]
    mounted: bool


class SourceCopies:
    """Acts for one service at a time."""

    def __init__(self, context: Context, writer: PlanWriter) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._writer = writer

    async def bring(self, key: ServiceKey, inputs: Inputs, live: Mapping[Key, Manifest]) -> Copied:
        """Has the copy of the source as it is now made, if that is not there. Nothing without a ConfigMap,
        named or there."""
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
        """The copies of the revisions that are kept, and those that are mounted."""
        copies = frozenset(each for each in live if each.kind == CONFIG_MAP)
        old = frozenset(each for each in copies if each.name not in of_revisions)
        still = await self._mounted(key, live, old) if old else frozenset()
        return Kept(copies - (old - still), mounted=bool(still))

    async def _read(self, theirs: Key) -> Manifest | None:
        """None for one that is not there, or may not be read: both are told as of any reference."""
        try:
            return await self._cluster.get(CONFIG_MAP, theirs.namespace, theirs.name)
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            return None

    async def _mounted(
        self, key: ServiceKey, live: Mapping[Key, Manifest], old: frozenset[Key]
    ) -> frozenset[Key]:
        """Those of `old` that pods mount, or would if a ReplicaSet made them anew: only where a copy is to
        go are the ReplicaSets asked."""
        pods = [pod for each in REPLICAS for pod in self._state.pods(key, each)]
        deployments = [each for its, each in live.items() if its.kind == DEPLOYMENT]
        try:
            replica_sets, _ = await self._cluster.list(
                REPLICA_SET, key.namespace, labels=f"{SERVICE_LABEL}={key.name}"
            )
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            # An older chart's role may not list them: a copy too many costs less than one too few.
            log.info("replica_sets.unread", namespace=key.namespace, error=str(error))
            return old
        in_use = mounted([*pods, *deployments, *replica_sets])
        return frozenset(each for each in old if each.name in in_use)


def _not_copied(theirs: Key, refused: str) -> MissingReference:
    words = f"{SOURCE_FIELD}: {theirs.name}: pods mount a copy of it, and none can be made: {refused}"
    reference = Reference(CONFIG_MAP, theirs.name, SOURCE_FIELD, copied=True)
    return MissingReference("SourceNotCopied", words, reference)
