"""Why pods don't come up, in words that a stranger can act on. Pure.

The newest pod with trouble speaks for all: it runs what the manifest says now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import created_at, is_going

_IMAGE_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
}
_START_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_LONGEST_QUOTE = 600


@dataclass(frozen=True)
class Diagnosis:
    """`reason` is one word for programs, `message` says it all."""

    reason: str
    message: str


def diagnose(pods: Iterable[Manifest]) -> Diagnosis | None:
    """What keeps the newest troubled pod from running, or None."""
    newest_first = sorted(pods, key=created_at, reverse=True)
    return next((found for pod in newest_first if (found := diagnose_pod(pod)) is not None), None)


def diagnose_pod(pod: Manifest) -> Diagnosis | None:
    """What keeps this pod from running, or None. A pod that is on its way out has no trouble."""
    if is_going(pod):
        return None
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            why = condition.get("message") or "no node takes it"
            return Diagnosis(condition.get("reason") or "Unschedulable", f"pod {name} has no node: {why}")
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    found = (_diagnose_container(name, container) for container in containers)
    return next((each for each in found if each is not None), None)


def _diagnose_container(pod: str, container: Mapping[str, Any]) -> Diagnosis | None:
    state = container.get("state", {})
    waiting = state.get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE_REASONS:
        return Diagnosis(reason, f"image {container.get('image')} can't be had: {message or reason}")
    if reason in _START_REASONS:
        return Diagnosis(reason, f"pod {pod} can't start: {message or reason}")
    if container.get("ready"):
        return None
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    if not ended or not ended.get("exitCode"):
        return None
    if ended.get("reason") == "OOMKilled":
        return Diagnosis("OOMKilled", f"pod {pod} needed more memory than spec.pod.resources allows")
    words = (ended.get("message") or "").strip()[-_LONGEST_QUOTE:] or "it left no message"
    return Diagnosis("CrashLoopBackOff", f"pod {pod} ended with exit code {ended['exitCode']}: {words}")
