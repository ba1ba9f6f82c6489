"""Prepares what a service's pods are to run, before they are made: the copy of the source and the number of
the revision. Says which old copies and revisions stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from lgs_crds import ManifestError
from lgs_crds.model.rollout import Rollout
from lgs_crds.status import Status, status_before
from lgs_operator.context import Context
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.kept import kept_keys
from lgs_operator.desired.pinned import Pinned
from lgs_operator.desired.revision import (
    MOST_REVISIONS,
    history_of,
    numbered,
    revision_of,
    source_of,
    superseded,
)
from lgs_operator.handover import canary_of, replicas_of
from lgs_operator.kube.kept_service import without_status
from lgs_operator.kube.kinds import DEPLOYMENT, Key, Manifest, ServiceKey, key_of
from lgs_operator.kube.pods import is_ended, is_going
from lgs_operator.kube.referenced import MissingReference
from lgs_operator.naming import DIGEST_ANNOTATION, REPLICAS, object_name
from lgs_operator.plan_writer import PlanWriter
from lgs_operator.source_copies import SourceCopies
from lgs_operator.stable_revision import Known, beside, taken_back, without_canary
from lgs_operator.status.health import counts_of, fails
from lgs_operator.status.revisions import current_revision

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Release:
    """What is released. `missing` keeps the pods from being made; `kept` are the copies and revisions that
    stay as they are. `mounted`: some copies stay only because pods still mount them."""

    inputs: Inputs
    missing: tuple[MissingReference, ...]
    kept: frozenset[Key]
    mounted: bool


def retreats(rollout: Rollout, failed: int | None, before: Status, pods: Iterable[Manifest]) -> bool:
    """Whether replicas of the revision `failed` still exist, which was taken back because too many of its
    runs failed (None: none was). `before` is the status as last reported."""
    if failed is None:
        return False
    told = next((each for each in before.revisions if each.revision == failed), None)
    staying = (pod for pod in pods if not is_going(pod) and not is_ended(pod))
    return fails(counts_of(told), rollout) and any(revision_of(pod) == failed for pod in staying)


def run_by(service: ServiceKey, live: Mapping[Key, Manifest]) -> dict[str, int]:
    """The numbers of the revisions that the service's own Deployments run, by digest, or by the Deployment's
    name if it has no digest. Other Deployments are ignored: anybody may make one that looks like one of
    these."""
    found, own = dict[str, int](), replicas_of(service) | canary_of(service, live) | kept_keys(service, live)
    for key, each in live.items():
        number = revision_of(each["spec"]["template"]) if key in own else None
        if number is not None and number <= MOST_REVISIONS:
            found[each["metadata"].get("annotations", {}).get(DIGEST_ANNOTATION, key.name)] = number
    return found


class Releases:
    """Prepares releases, for one service at a time."""

    def __init__(self, context: Context, writer: PlanWriter) -> None:
        self._state = context.state
        self._writer = writer
        self._copies = SourceCopies(context, writer)

    async def prepare(
        self,
        key: ServiceKey,
        inputs: Inputs,
        live: Mapping[Key, Manifest],
        missing: tuple[MissingReference, ...],
        before: Status,
    ) -> Release:
        """Prepares the release. If something is missing, nothing is released, and everything that exists
        stays. `before` is the status as last reported."""
        copied, history = await self._copies.bring(key, inputs, live), history_of(live)
        missing += copied.missing
        if missing:
            kept = frozenset(map(key_of, history))
        else:
            inputs = replace(inputs, source_copy=copied.name)
            told = {each.digest: each.revision for each in before.revisions if each.digest}
            inputs = replace(inputs, revision=numbered(inputs, history, told | run_by(key, live)))
            kept = self._kept(key, inputs, history)
        named = {source_of(each) for each in history if key_of(each) in kept} | {inputs.source_copy}
        copies = await self._copies.kept(key, live, named)
        return Release(inputs, missing, kept | copies.copies, mounted=copies.mounted)

    def _kept(self, key: ServiceKey, inputs: Inputs, history: list[Manifest]) -> frozenset[Key]:
        """The revisions that are kept: all but the current one, which is written, and those that nobody needs
        any more."""
        assert inputs.revision is not None, "it has its number"
        pods = [pod for each in REPLICAS for pod in self._state.pods(key, each)]
        limit = inputs.service.spec.revision_history_limit
        gone = [*map(key_of, superseded(history, inputs.revision, pods, limit))]
        keys = (key_of(each) for each in history)
        return frozenset(each for each in keys if each not in gone and each.name != inputs.revision.name)

    async def instead(
        self, key: ServiceKey, release: Release, live: Mapping[Key, Manifest], before: Mapping[str, Any]
    ) -> Pinned | None:
        """What to run in place of a release that failed, or beside a release that is a canary; None if the
        release is to run whole."""
        inputs, whole = release.inputs, live.get(Key(DEPLOYMENT, *key))
        if release.missing:
            return None
        document = without_status(self._state.services[key])
        current, told = current_revision(whole), status_before(before)
        known = Known(document, current, history_of(live), told, is_there=whole is not None)
        try:
            back = taken_back(inputs, known)
        except ManifestError as error:
            # The revision was made for another manifest than the current one: going back is impossible.
            log.warning("rollback.impossible", service=f"{key.namespace}/{key.name}", error=str(error))
            back = None
        stable = back or beside(inputs, known, release.kept, datetime.now(UTC))
        if stable is None or stable.canary is None:
            return stable
        name = Key(DEPLOYMENT, key.namespace, object_name(key.name, "canary"))
        taken = None if name in live else await self._writer.taken(name, inputs.service)
        return stable if taken is None else without_canary(stable, key.name, taken)
