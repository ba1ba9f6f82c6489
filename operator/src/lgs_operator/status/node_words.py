"""Why a node can't start the containers of a pod: it can't attach or mount a volume, or set up the network.
The pod's status only says `ContainerCreating` meanwhile; its Events say more. Pure.

A kubelet prepares a pod in this order: network of the node, cgroup, folders, volumes, devices, sandbox,
images, containers. What it does later shows that an earlier failure is over; what others write about the pod
shows nothing (https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kubelet.go, `SyncPod`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, get_args

from lgs_crds import reasons
from lgs_crds.reasons import Reason
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.newest_events import when
from lgs_operator.kube.pods import created_at, has_node_since, is_going
from lgs_operator.status.diagnosis import LONGEST_QUOTE, Diagnosis

PATIENT_SECONDS: Final = 10.0
"""Seconds after which the Events of a pod are read: what fails once is often done a moment later."""
_NOT_BEGUN: Final = frozenset({"ContainerCreating", "PodInitializing"})
_PREPARED: Final = "PodReadyToStartContainers"
"""The pod's condition that its volumes are mounted and its network is set up."""
_REASONS: Final[Mapping[str, Reason]] = {each: each for each in get_args(reasons.Preparation)}
_ATTACHES: Final = "FailedAttachVolume"
"""Reported by a controller, beside what the kubelet does meanwhile."""
_ATTACHED: Final = "SuccessfulAttachVolume"
_VOLUMES: Final = 3
_BEGINS: Final = 8
_STEP: Final[Mapping[str, int]] = {
    "NetworkNotReady": 0,
    "FailedCreatePodContainer": 1,
    "FailedToMakePodDataDirectories": 2,
    _ATTACHES: _VOLUMES,
    "FailedMount": _VOLUMES,
    "FailedMapVolume": _VOLUMES,
    _ATTACHED: 4,
    "SandboxChanged": 5,
    "FailedPrepareDynamicResources": 6,
    "FailedCreatePodSandBox": 7,
    **dict.fromkeys(("Pulling", "Pulled", "Failed", "BackOff", "InspectFailed"), _BEGINS),
    **dict.fromkeys(("Created", "Started", "Unhealthy"), _BEGINS),
}
"""How far a pod is about which a node reports this: whatever comes before is done."""
_VOLUME: Final = re.compile(r'volume "([^"]{1,253})"')
_SUMMARY: Final = "Unable to attach or mount volumes"
"""How the Event about all volumes together begins, which a node writes besides that about the failing one."""
_UNMOUNTED: Final = re.compile(r"unmounted volumes=\[([^\]]{0,4000})\]")


def held_up(pods: Iterable[Manifest], now: datetime) -> Manifest | None:
    """The newest pod whose containers its node has not started for `PATIENT_SECONDS`; None without one."""
    waiting = [pod for pod in pods if _waits(pod, now)]
    return max(waiting, key=created_at, default=None)


def _waits(pod: Manifest, now: datetime) -> bool:
    status, since = pod.get("status", {}), has_node_since(pod)
    if is_going(pod) or since is None or (now - since).total_seconds() < PATIENT_SECONDS:
        return False
    known = {each.get("type"): each.get("status") for each in status.get("conditions", [])}
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = {(each.get("state", {}).get("waiting") or {}).get("reason") for each in containers}
    return known.get(_PREPARED) != "True" and bool(states) and states <= _NOT_BEGUN


def told_by(events: Collection[Manifest], pod: Manifest) -> Diagnosis | None:
    """Why the pod's node can't go on, by the pod's Events; None if it has got further since the last failure,
    for instance pulls the image."""
    lasting = _lasting(events, pod)
    if not lasting:
        return None
    of_now = [each for each in lasting if _step(each) == _step(lasting[0])]
    found = next((each for each in of_now if not _is_summary(each)), of_now[0])
    words = f"pod {pod['metadata']['name']} is held up at its node: {_said(found)[:LONGEST_QUOTE]}"
    return Diagnosis(_REASONS[found["reason"]], words)


def _lasting(events: Collection[Manifest], pod: Manifest) -> list[Manifest]:
    """The failures, the newest first, that nothing newer shows to be over. Of those in one second, in which
    Events are counted, the one that comes later in a pod's life counts as newer."""
    lasting, done, attached = list[Manifest](), -1, set[str]()
    unmounted: frozenset[str] | None = None
    ours = {each.get("name") for each in pod.get("spec", {}).get("volumes") or []}
    for event in sorted(events, key=lambda each: (when(each), _step(each)), reverse=True):
        reason, step, volume = event.get("reason"), _step(event), _volume(event)
        if reason == _ATTACHED:
            attached.add(volume)
            continue
        if reason in _REASONS and step > done:
            is_attached = reason == _ATTACHES and volume in attached
            is_mounted = unmounted is not None and volume in ours and volume not in unmounted
            if not is_attached and not is_mounted:
                lasting.append(event)
        if _is_summary(event) and unmounted is None:
            unmounted = _unmounted(event)
        if reason != _ATTACHES:
            done = max(done, step - 1)
    return lasting


def _step(event: Mapping[str, Any]) -> int:
    return _STEP.get(str(event.get("reason")), -1)


def _volume(event: Mapping[str, Any]) -> str:
    found = _VOLUME.search(_said(event))
    return found[1] if found else ""


def _is_summary(event: Mapping[str, Any]) -> bool:
    return event.get("reason") in _REASONS and _said(event).startswith(_SUMMARY)


def _unmounted(summary: Mapping[str, Any]) -> frozenset[str] | None:
    found = _UNMOUNTED.search(_said(summary))
    return frozenset(found[1].replace(",", " ").split()) if found else None


def _said(event: Mapping[str, Any]) -> str:
    return str(event.get("message") or "it does not say why")
