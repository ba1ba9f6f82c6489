"""Why a node does not get as far as the containers of a pod: a volume that it can't attach or mount, a
network that it can't give. The status of the pod says `ContainerCreating` for as long, only Events say more.
Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, get_args

from lgs_crds import reasons
from lgs_crds.reasons import Reason
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import created_at, has_node_since, is_going
from lgs_operator.status.diagnosis import LONGEST_QUOTE, Diagnosis

PATIENT_SECONDS: Final = 10.0
"""A node that takes longer than most is asked about: what fails once is often done a moment later."""
_NOT_BEGUN: Final = frozenset({"ContainerCreating", "PodInitializing"})
_REASONS: Final[Mapping[str, Reason]] = {each: each for each in get_args(reasons.Preparation)}
_SUMMARY: Final = "Unable to attach or mount volumes"
"""What a node says of all volumes together once it has waited, beside what it says of the one that fails."""


def held_up(pods: Iterable[Manifest], now: datetime) -> Manifest | None:
    """The newest pod whose node has not come to its containers for a while, if there is one."""
    waiting = [pod for pod in pods if _waits(pod, now)]
    return max(waiting, key=created_at, default=None)


def _waits(pod: Manifest, now: datetime) -> bool:
    status, since = pod.get("status", {}), has_node_since(pod)
    if is_going(pod) or since is None or (now - since).total_seconds() < PATIENT_SECONDS:
        return False
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = {(each.get("state", {}).get("waiting") or {}).get("reason") for each in containers}
    return bool(states) and states <= _NOT_BEGUN


def told_by(events: Collection[Manifest], pod: str) -> Diagnosis | None:
    """What keeps the pod's node, by the pod's Events; None where it has come further since the last failure,
    as when it fetches the image."""
    failures = list[Manifest]()
    for event in sorted(events, key=_when, reverse=True):
        if event.get("reason") in _REASONS:
            failures.append(event)
        elif event.get("type") == "Normal":
            break
    if not failures:
        return None
    own = (each for each in failures if not _said(each).startswith(_SUMMARY))
    found = next(own, failures[0])
    words = f"pod {pod} is held up at its node: {_said(found)[:LONGEST_QUOTE]}"
    return Diagnosis(_REASONS[found["reason"]], words)


def _said(event: Mapping[str, Any]) -> str:
    return str(event.get("message") or "it does not say why")


def _when(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
