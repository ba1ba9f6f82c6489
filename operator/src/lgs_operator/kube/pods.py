"""What a pod's manifest says about the pod. Pure."""

from __future__ import annotations

import json
import re
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from lgs_operator.kube.kinds import Manifest
from lgs_operator.naming import RUNTIME_PORT

_DIGEST: Final = re.compile(r"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})\Z")
_BROADCAST: Final = ip_address("255.255.255.255")
_METADATA: Final = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Addresses where clouds serve a machine's metadata, beside the link-local ones."""


def is_ready(pod: Manifest) -> bool:
    """Whether the pod takes work."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return ready and not is_going(pod)


def is_going(pod: Manifest) -> bool:
    """Whether the pod is being stopped."""
    return "deletionTimestamp" in pod["metadata"]


def is_ended(pod: Manifest) -> bool:
    """Whether the pod has ended and will never take work again."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def waits_to_start(pod: Manifest) -> bool:
    """Whether a container has not started, for instance because a Secret does not exist: the node says
    `ContainerCreating` if the Secret is a volume, `CreateContainerConfigError` if it is a variable."""
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    reasons = {(each.get("state", {}).get("waiting") or {}).get("reason") for each in containers}
    return not reasons.isdisjoint({"ContainerCreating", "CreateContainerConfigError"})


def result_of(pod: Manifest) -> Manifest:
    """The message that the container of a pod left when it ended well, as a JSON object; empty if there is
    none."""
    for each in pod.get("status", {}).get("containerStatuses", []):
        ended = each.get("state", {}).get("terminated") or {}
        if ended.get("exitCode") == 0:
            try:
                report = json.loads(ended.get("message") or "")
            except (ValueError, RecursionError):
                return {}
            return report if isinstance(report, dict) else {}
    return {}


def image_digest(pod: Manifest, container: str) -> str | None:
    """The digest of a container's image, as the node reports it; None before it does."""
    for each in pod.get("status", {}).get("containerStatuses", []):
        found = _DIGEST.search(str(each.get("imageID", ""))) if each.get("name") == container else None
        if found is not None:
            return found.group()
    return None


def reads_secret(pod: Manifest, name: str) -> bool:
    """Whether a variable of one of the containers comes from the Secret of this name."""
    variables = (each for container in pod["spec"]["containers"] for each in container.get("env", []))
    sources = ((each.get("valueFrom") or {}).get("secretKeyRef") or {} for each in variables)
    return any(each.get("name") == name for each in sources)


def has_node_since(pod: Manifest) -> datetime | None:
    """When a node took the pod; None if none did, or the time is unknown."""
    conditions = pod.get("status", {}).get("conditions", [])
    scheduled = (each for each in conditions if each.get("type") == "PodScheduled")
    taken = (each.get("lastTransitionTime", "") for each in scheduled if each.get("status") == "True")
    return moment(str(next(taken, "")))


def created_at(pod: Manifest) -> str:
    """When the pod was made, in Kubernetes' time format, which sorts; empty if unknown."""
    return str(pod["metadata"].get("creationTimestamp", ""))


def seconds_since_created(pod: Manifest, now: float) -> float:
    """How many seconds ago the pod was made; `now` in seconds since the epoch."""
    created = _moment(created_at(pod))
    return 0.0 if created is None else max(0.0, now - created)


def startup_seconds(pod: Manifest) -> float | None:
    """Seconds from when the pod was made until it was ready (or ready again); None while it is not ready."""
    created = _moment(created_at(pod))
    for each in pod.get("status", {}).get("conditions", []):
        if each.get("type") == "Ready" and each.get("status") == "True":
            ready = _moment(str(each.get("lastTransitionTime", "")))
            return None if created is None or ready is None else max(0.0, ready - created)
    return None


def moment(text: str) -> datetime | None:
    """A time as Kubernetes writes it; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _moment(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def url_of(pod: Manifest, path: str) -> str | None:
    """The URL of a path of exactly this pod of a runtime; None as long as it has no address of its own."""
    try:
        address = ip_address(pod.get("status", {}).get("podIP", ""))
    except ValueError:
        return None
    if pod.get("spec", {}).get("hostNetwork") or not _can_be_a_pods(address):
        return None
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{RUNTIME_PORT}{path}"


def _can_be_a_pods(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address may be a pod's. Whoever may write the status of pods chooses it, and the operator
    can reach what they may not, such as the metadata of its node: link-local and multicast addresses, and
    those that stand for others, are no pod's."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id):
        return False
    return not (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _METADATA
        or address == _BROADCAST
    )
