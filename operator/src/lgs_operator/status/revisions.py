"""What the status says of a service's revisions: which is rolled out, and the state of each. Pure.

The state of a revision is remembered in the status itself, since it can't be seen once its pods are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from lgs_crds.status import MOST_DIGESTS, RevisionState, RevisionStatus, Status
from lgs_operator.desired.deployment import CONTAINER
from lgs_operator.desired.revision import image_of_revision, is_own, number_of, revision_of, source_of
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import image_digest, is_ready
from lgs_operator.scaling.durations import Durations, Pace
from lgs_operator.scaling.outcomes import RunCounts
from lgs_operator.status.blockers import waits_for_database
from lgs_operator.status.canary import WHOLE
from lgs_operator.status.health import counts_of, has_failed, pace_now, pace_of
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.rollout import seconds_past
from lgs_operator.status.room import had_its_time


def current_revision(deployment: Manifest | None) -> int | None:
    """The number of the revision that new pods run; None without a Deployment that has one."""
    template = (deployment or {}).get("spec", {}).get("template", {})
    return revision_of(template)


def revisions(
    view: ObservedService,
    before: Status,
    runs: Mapping[int, RunCounts],
    durations: Mapping[int, Durations] = MappingProxyType({}),
    *,
    pinning: Collection[int] = (),
    now: datetime,
) -> list[RevisionStatus]:
    """The kept revisions, newest first. `before` is the status reported last; `runs` says how the runs of the
    measured revision have ended since, `durations` how long they took compared with others; `pinning` are the
    revisions whose replicas pin what they begin."""
    known = {each.revision: each for each in before.revisions}
    current = current_revision(view.deployment)
    ready = {revision_of(pod) for pod in view.all_pods if is_ready(pod) and is_own(pod)}
    is_late = _is_late(view, view, current, now)
    beside = {revision_of(pod) for pod in view.canary_pods if is_ready(pod)}
    canary_late = _is_late(view, view.beside, view.canary, now)
    rollout = view.service.spec.rollout

    def state(number: int, counts: RunCounts, told: Pace | None) -> RevisionState:
        was = known[number].state if number in known else "Progressing"
        is_past = number in known and known[number].verified and number != view.canary
        if has_failed(counts, told, rollout) and not is_past:
            return "Failed"
        if number in ready or was == "Ready" or number == _did_well(before):
            return "Ready"
        if number == current:
            return "Failed" if is_late else "Progressing"
        if number == view.canary:
            is_lost = canary_late and number not in beside
            return "Failed" if is_lost or was == "Failed" else "Progressing"
        was_current = number in (before.revision, _canary(before)) or number < (current or 0)
        return "Replaced" if was_current and was == "Progressing" else was

    def status(revision: Manifest) -> RevisionStatus:
        number = number_of(revision)
        was = known.get(number)
        counts = runs.get(number) or counts_of(was)
        told = (pace_now(durations[number], rollout) if number in durations else None) or pace_of(was)
        now = state(number, counts, told)
        verified = (was is not None and was.verified) or (
            number == current and now == "Ready" and counts.ended >= rollout.min_runs and is_complete(view)
        )
        digests = _digests(was, [pod for pod in view.all_pods if revision_of(pod) == number])
        found = _status(revision, now, counts, told, verified=verified, digests=digests)
        pins = (was is not None and was.pins) or number in pinning
        return found.model_copy(update={"pins": pins or None})

    return [status(each) for each in sorted(view.revisions, key=number_of, reverse=True)]


def _is_late(view: ObservedService, of: ObservedService, revision: int | None, now: datetime) -> bool:
    """Whether the rollout of a revision to the replicas in `of` is late, and only the
    revision is to blame."""
    is_late = seconds_past(of.deployment) is not None and not waits_for_database(view)
    return is_late and had_its_time(of.deployment, of.pods, revision, now)


def _did_well(status: Status) -> int | None:
    """The revision of a canary that has taken all its steps; None without one."""
    return None if status.canary is None or status.canary.percent < WHOLE else status.canary.revision


def _canary(status: Status) -> int | None:
    return None if status.canary is None else status.canary.revision


def is_complete(view: ObservedService) -> bool:
    """Whether all wanted pods exist, are of the current revision, and are ready."""
    status = (view.deployment or {}).get("status", {})
    there = status.get("replicas", 0), status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    return set(there) == {view.desired}


def _digests(was: RevisionStatus | None, pods: Iterable[Manifest]) -> list[str]:
    """The image's digests: those reported before, then new ones that the nodes report."""
    known = (was and was.image_digests) or []
    found = {digest for pod in pods if (digest := image_digest(pod, CONTAINER)) is not None}
    return [*known, *sorted(found - set(known))][-MOST_DIGESTS:]


def _status(
    revision: Manifest,
    state: RevisionState,
    counts: RunCounts,
    told: Pace | None,
    *,
    verified: bool,
    digests: list[str],
) -> RevisionStatus:
    metadata = revision["metadata"]
    return RevisionStatus(
        revision=number_of(revision),
        digest=metadata["name"].rpartition("-")[2],
        state=state,
        runs=counts.ended or None,
        failed_runs=counts.failed if counts.ended else None,
        p95=None if told is None else f"{told.p95:.3f}s",
        p95_beside=None if told is None else f"{told.beside:.3f}s",
        slower=(told is not None and told.slower) or None,
        verified=verified or None,
        image=image_of_revision(revision),
        image_digests=digests or None,
        source=source_of(revision),
        created_at=metadata.get("creationTimestamp"),
    )
