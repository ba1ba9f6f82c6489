"""What the status says of a service's revisions: which is rolled out, and what became of each. Pure.

Whether a revision has been ready is remembered in the status itself: that its pods are gone says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from lgs_crds.status import RevisionState, RevisionStatus, Status
from lgs_operator.desired.revision import image_of_revision, number_of, source_of
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_ready
from lgs_operator.naming import REVISION_LABEL
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.rollout import seconds_past


def current_revision(deployment: Manifest | None) -> int | None:
    """The number of the revision that new pods run; None before there are pods with one."""
    template = (deployment or {}).get("spec", {}).get("template", {})
    return _number(template.get("metadata", {}).get("labels", {}))


def revisions(view: ObservedService, before: Status) -> list[RevisionStatus]:
    """Those that are kept, newest first. `before` is what was said last."""
    known = {each.revision: each.state for each in before.revisions}
    current = current_revision(view.deployment)
    ready = {_number(pod["metadata"].get("labels", {})) for pod in view.all_pods if is_ready(pod)}
    is_late = seconds_past(view.deployment) is not None

    def state(number: int) -> RevisionState:
        if number in ready or known.get(number) == "Ready":
            return "Ready"
        if number == current:
            return "Failed" if is_late else "Progressing"
        was_current = number == before.revision or number < (current or 0)
        unready = known.get(number, "Progressing")
        return "Replaced" if was_current and unready == "Progressing" else unready

    newest = sorted(view.revisions, key=number_of, reverse=True)
    return [_status(each, state(number_of(each))) for each in newest]


def _status(revision: Manifest, state: RevisionState) -> RevisionStatus:
    metadata = revision["metadata"]
    return RevisionStatus(
        revision=number_of(revision),
        digest=metadata["name"].rpartition("-")[2],
        state=state,
        image=image_of_revision(revision),
        source=source_of(revision),
        created_at=metadata.get("creationTimestamp"),
    )


def _number(labels: Mapping[str, str]) -> int | None:
    said = labels.get(REVISION_LABEL, "")
    return int(said) if said.isdecimal() else None
