"""What a pod's manifest says of it. Pure."""

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
"""Where clouds tell a machine of itself, beside the addresses of its link."""


def is_ready(pod: Manifest) -> bool:
    """The pod takes work."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return ready and not is_going(pod)


def is_going(pod: Manifest) -> bool:
    """The pod is being stopped."""
    return "deletionTimestamp" in pod["metadata"]


def is_ended(pod: Manifest) -> bool:
    """The pod will never take work again."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def waits_to_start(pod: Manifest) -> bool:
    """A container has not begun, as when a Secret is not there: the node says `ContainerCreating` where that
    is a volume, `CreateContainerConfigError` where it is a variable."""
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    reasons = {(each.get("state", {}).get("waiting") or {}).get("reason") for each in containers}
    return not reasons.isdisjoint({"ContainerCreating", "CreateContainerConfigError"})


def result_of(pod: Manifest) -> Manifest:
    """What the last container of a pod that ended well left as its message, as JSON; empty when it is
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
    """What a container's image is, by digest, as the node says; None before it says so."""
    for each in pod.get("status", {}).get("containerStatuses", []):
        found = _DIGEST.search(str(each.get("imageID", ""))) if each.get("name") == container else None
        if found is not None:
            return found.group()
    return None


def reads_secret(pod: Manifest, name: str) -> bool:
    """A variable of one of its containers comes from the Secret of this name."""
    variables = (each for container in pod["spec"]["containers"] for each in container.get("env", []))
    sources = ((each.get("valueFrom") or {}).get("secretKeyRef") or {} for each in variables)
    return any(each.get("name") == name for each in sources)


def has_node_since(pod: Manifest) -> datetime | None:
    """When a node took it; None where none did, or nobody says when."""
    conditions = pod.get("status", {}).get("conditions", [])
    scheduled = (each for each in conditions if each.get("type") == "PodScheduled")
    taken = (each.get("lastTransitionTime", "") for each in scheduled if each.get("status") == "True")
    return moment(str(next(taken, "")))


def created_at(pod: Manifest) -> str:
    """When it was made, in Kubernetes' time format, which sorts; empty when that is not known yet."""
    return str(pod["metadata"].get("creationTimestamp", ""))


def seconds_since_created(pod: Manifest, now: float) -> float:
    """How long ago it was made; `now` in seconds since the epoch."""
    created = _moment(created_at(pod))
    return 0.0 if created is None else max(0.0, now - created)


def startup_seconds(pod: Manifest) -> float | None:
    """What it took from being made to being ready, or ready again; None while it is not ready."""
    created = _moment(created_at(pod))
    for each in pod.get("status", {}).get("conditions", []):
        if each.get("type") == "Ready" and each.get("status") == "True":
            ready = _moment(str(each.get("lastTransitionTime", "")))
            return None if created is None or ready is None else max(0.0, ready - created)
    return None


def moment(text: str) -> datetime | None:
    """A time as Kubernetes writes it; None for what is none."""
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
    """Where a path of this very pod of a runtime is asked for; None while it has no address of its own."""
    try:
        address = ip_address(pod.get("status", {}).get("podIP", ""))
    except ValueError:
        return None
    if pod.get("spec", {}).get("hostNetwork") or not _can_be_a_pods(address):
        return None
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{RUNTIME_PORT}{path}"


def _can_be_a_pods(address: IPv4Address | IPv6Address) -> bool:
    """Whoever may write pods' status says it, and the operator may reach what they may not, such as the
    metadata of its node: a link's own addresses, groups and those that stand for others are no pod's."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id):
        return False
    return not (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _METADATA
        or address == _BROADCAST
    )
