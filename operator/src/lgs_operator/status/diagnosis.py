"""Why pods don't come up, in words that a stranger can act on. Pure.

The newest troubled pod stands for all: it runs what the manifest says now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, get_args

from lgs_crds import reasons
from lgs_crds.reasons import Reason
from lgs_operator.desired.deployment import CONTAINER
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import created_at, is_going

_IMAGE: Final[Mapping[str, Reason]] = {each: each for each in get_args(reasons.Image)}
_START: Final[Mapping[str, Reason]] = {each: each for each in get_args(reasons.Start)}
_NODE: Final[Mapping[str, Reason]] = {each: each for each in get_args(reasons.Node)}
_LIMIT_RANGER: Final = "kubernetes.io/limit-ranger"
_LIMIT_FOR: Final = " limit for container "
_UNBOUND: Final = "unbound immediate PersistentVolumeClaims"
LONGEST_QUOTE: Final = 600
"""Most characters quoted from nodes, containers and Events, whose writers may write long ones."""


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong: `reason` is one word for programs, `message` the whole explanation."""

    reason: Reason
    message: str

    @property
    def is_refused(self) -> bool:
        """Whether an object was refused, or is left as others change it: no event tells when that ends."""
        return self.reason in {"Refused", "Contested"}


@dataclass(frozen=True)
class Budget:
    """The resources that the manifest gives a pod's container: `field` names the field, `given` its value."""

    field: str = "spec.pod.resources"
    given: Mapping[str, Any] | None = None


Told = Mapping[str, Diagnosis]
"""What the Events of pods say about their nodes, by the pod's name."""
NOTHING_TOLD: Final[Told] = MappingProxyType({})


def diagnose(pods: Iterable[Manifest], budget: Budget, told: Told = NOTHING_TOLD) -> Diagnosis | None:
    """What keeps the newest troubled pod from running, or None."""
    newest_first = sorted(pods, key=created_at, reverse=True)
    found = (diagnose_pod(pod, budget) or told.get(pod["metadata"]["name"]) for pod in newest_first)
    return next((each for each in found if each is not None), None)


def diagnose_pod(pod: Manifest, budget: Budget) -> Diagnosis | None:
    """What keeps this pod from running, or None. A pod that is being deleted has no trouble."""
    if is_going(pod):
        return None
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            why = condition.get("message") or "no node takes it"
            if _UNBOUND in why:
                why = f"{why}: `kubectl describe pvc` tells why the claim of its volume has none"
            reason = _NODE.get(condition.get("reason", ""), "Unschedulable")
            return Diagnosis(reason, f"pod {name} has no node: {why}")
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    found = (_diagnose_container(pod, container, budget) for container in containers)
    return next((each for each in found if each is not None), None)


def _diagnose_container(pod: Manifest, container: Mapping[str, Any], budget: Budget) -> Diagnosis | None:
    name, state = pod["metadata"]["name"], container.get("state", {})
    waiting = state.get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE:
        words = f"image {container.get('image')} can't be had: {message or reason}"
        return Diagnosis(_IMAGE[reason], words)
    if reason in _START:
        return Diagnosis(_START[reason], f"pod {name} can't start: {message or reason}")
    if container.get("ready") or container.get("started"):
        # It has started: earlier failures are over, and it reports itself what it lacks now.
        return None
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    if not ended or not ended.get("exitCode"):
        return None
    if ended.get("reason") == "OOMKilled":
        other = _beside(pod, container)
        killed = (
            _killed(pod, container.get("name", ""), budget) if other is None else _killed_beside(pod, other)
        )
        return Diagnosis("OOMKilled", killed)
    beside = _beside(pod, container)
    which = f"container {beside} of pod {name}" if beside else f"pod {name}"
    words = _last_words(ended.get("message") or "") or "it left no message"
    if beside and not ended.get("message"):
        # The manifest's own containers leave a message only if the manifest says so.
        words += f"; `kubectl logs {name} -c {beside} --previous` has what it printed"
    return Diagnosis("CrashLoopBackOff", f"{which} ended with exit code {ended['exitCode']}: {words}")


def _beside(pod: Manifest, container: Mapping[str, Any]) -> str | None:
    """The name of a container beside the runtime's; None for that one, and in a pod without the runtime."""
    name = container.get("name")
    there = [each.get("name") for each in pod.get("spec", {}).get("containers", [])]
    return name if name != CONTAINER and CONTAINER in there else None


def not_ready_beside(pod: Manifest) -> str | None:
    """The name of a container beside the runtime's that runs and is not ready; None if there is none."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    running = (each for each in statuses if "running" in each.get("state", {}) and not each.get("ready"))
    return next(filter(None, (_beside(pod, each) for each in running)), None)


def _last_words(message: str) -> str:
    """The last line first, as it says why and is all that a table of Events shows; then the whole lines
    before it that fit."""
    *before, last = message.strip().splitlines() or [""]
    last = last.strip()[-LONGEST_QUOTE:]
    room = LONGEST_QUOTE - len(last)
    fitting = list[str]()
    for line in reversed(before):
        room -= len(line) + 1
        if room < 0:
            break
        fitting.insert(0, line)
    return "\n".join([f"{last}; before that:", *fitting]) if fitting else last


def _killed(pod: Manifest, container: str, budget: Budget) -> str:
    """Whose memory limit killed the pod: the manifest's, a LimitRange's, another's, or the node's memory."""
    name, field = pod["metadata"]["name"], f"{budget.field}.limits.memory"
    limit = _limit_of(pod, container)
    if limit is None:
        return (
            f"pod {name} was killed when its node had no memory left, as {field} is not set; set it, and "
            f"{budget.field}.requests.memory to what a replica needs"
        )
    head = f"pod {name} needed more memory than its limit of {limit}"
    if _is_default_limit(pod, container):
        return f"{head}, which is the default of a LimitRange of the namespace, as {field} is not set; set it"
    if not ((budget.given or {}).get("limits") or {}).get("memory"):
        return f"{head}, which something in the cluster has set, as {field} is not set; set it"
    return f"{head}; raise {field}"


def _killed_beside(pod: Manifest, container: str) -> str:
    """Like `_killed`, for a container beside the runtime's, which has its own resources."""
    who, limit = f"container {container} of pod {pod['metadata']['name']}", _limit_of(pod, container)
    if limit is None:
        return (
            f"{who} was killed when its node had no memory left, as its resources.limits.memory is not set; "
            "set it, and its resources.requests.memory to what it needs"
        )
    head = f"{who} needed more memory than its limit of {limit}"
    if _is_default_limit(pod, container):
        return (
            f"{head}, which is the default of a LimitRange of the namespace; set its resources.limits.memory"
        )
    return f"{head}; raise its resources.limits.memory"


def _limit_of(pod: Manifest, container: str) -> Any:
    spec = pod.get("spec", {})
    containers: list[Manifest] = [*spec.get("containers", []), *(spec.get("initContainers") or [])]
    own = next((each for each in containers if each.get("name") == container), Manifest())
    return own.get("resources", {}).get("limits", {}).get("memory")


def _is_default_limit(pod: Manifest, container: str) -> bool:
    """Whether the LimitRanger set the limit, by its annotation on the pod, which reads for instance
    `LimitRanger plugin set: cpu, memory limit for container runtime`."""
    # The manifest may set this annotation too: searching it is cheap however long it is.
    words = pod["metadata"].get("annotations", {}).get(_LIMIT_RANGER, "")
    said = (each.strip() for each in words.removeprefix("LimitRanger plugin set:").split(";"))
    resources = (
        each.removesuffix(_LIMIT_FOR + container).split(", ")
        for each in said
        if each.endswith(_LIMIT_FOR + container)
    )
    return any("memory" in each for each in resources)
