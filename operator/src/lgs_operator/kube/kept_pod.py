"""What is kept in memory of a pod: what the operator reads, and what pods of one template have in common only
once. Replicas are the most numerous objects. Pure but for what is shared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.sharing import shared, shared_fields

LEFT_OUT: Final = frozenset({"managedFields", "generateName", "selfLink", "generation"})
"""Of the metadata."""
STATUS: Final = (
    "phase",
    "podIP",
    "conditions",
    "initContainerStatuses",
    "containerStatuses",
)
"""Of the status. Who reads another field adds it here, or below: a test holds all readers to that."""
CONDITIONS: Final = frozenset({"Ready", "PodScheduled", "PodReadyToStartContainers"})
CONDITION: Final = ("type", "status", "reason", "message", "lastTransitionTime")
CONTAINER: Final = ("name", "image", "imageID", "ready", "started", "state", "lastState")
STATE: Final = ("waiting", "running", "terminated")
ENDED: Final = ("exitCode", "reason", "message")


def kept_pod(pod: Manifest) -> Manifest:
    """The pod with the fields that are read, and parts that other pods may share: nobody may change them."""
    metadata = {name: each for name, each in pod["metadata"].items() if name not in LEFT_OUT}
    kept = shared_fields(pod, left=("metadata", "status")) | {"metadata": shared_fields(metadata)}
    if isinstance(status := pod.get("status"), Mapping):
        kept["status"] = _status(status)
    return kept


def _status(status: Mapping[str, Any]) -> Manifest:
    """Pods of one template that are as ready share what is said of their containers."""
    kept = _only(status, STATUS)
    for name in ("initContainerStatuses", "containerStatuses"):
        if isinstance(status.get(name), list):
            kept[name] = shared([_container(each) for each in status[name]])
    if isinstance(status.get("conditions"), list):
        read = (each for each in status["conditions"] if each.get("type") in CONDITIONS)
        kept["conditions"] = [shared(_only(each, CONDITION)) for each in read]
    return kept


def _container(status: Mapping[str, Any]) -> Manifest:
    kept = _only(status, CONTAINER)
    for name in ("state", "lastState"):
        if isinstance(status.get(name), Mapping):
            kept[name] = _state(status[name])
    return kept


def _state(state: Mapping[str, Any]) -> Manifest:
    """Since when a container runs is read nowhere."""
    kept = _only(state, STATE)
    if isinstance(state.get("running"), Mapping):
        kept["running"] = {}
    if isinstance(state.get("terminated"), Mapping):
        kept["terminated"] = _only(state["terminated"], ENDED)
    return kept


def _only(value: Mapping[str, Any], names: Collection[str]) -> Manifest:
    return {name: value[name] for name in names if name in value}
