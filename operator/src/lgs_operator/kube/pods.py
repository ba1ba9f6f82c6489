"""What a pod's manifest says of it. Pure."""

from __future__ import annotations

from lgs_operator.kube.kinds import Manifest
from lgs_operator.naming import RUNTIME_PORT


def is_ready(pod: Manifest) -> bool:
    """The pod takes work."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return ready and not is_going(pod)


def is_going(pod: Manifest) -> bool:
    """The pod was told to stop."""
    return "deletionTimestamp" in pod["metadata"]


def is_ended(pod: Manifest) -> bool:
    """The pod will never take work again."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def created_at(pod: Manifest) -> str:
    """When it was made, in Kubernetes' time format, which sorts; empty when that is not known yet."""
    return str(pod["metadata"].get("creationTimestamp", ""))


def url_of(pod: Manifest, path: str) -> str:
    """Where a path of this very pod of a runtime is asked for. It must have an address."""
    address = pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{RUNTIME_PORT}{path}"
