"""Why a node can't start the containers of a pod: it can't attach or mount a volume, or set up the network.
The pod's status only says `ContainerCreating` meanwhile; its Events say more. Pure."""

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
"""Seconds after which the Events of a pod are read: what fails once is often done a moment later."""
_NOT_BEGUN: Final = frozenset({"ContainerCreating", "PodInitializing"})
_REASONS: Final[Mapping[str, Reason]] = {each: each for each in get_args(reasons.Preparation)}
_SUMMARY: Final = "Unable to attach or mount volumes"
"""How the Event about all volumes together begins, which a node writes besides that about the failing one."""


def held_up(pods: Iterable[Manifest], now: datetime) -> Manifest | None:
    """The newest pod whose containers its node has not started for `PATIENT_SECONDS`; None without one."""
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
    """Why the pod's node can't go on, by the pod's Events; None if it has got further since the last failure,
    for instance pulls the image."""
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
