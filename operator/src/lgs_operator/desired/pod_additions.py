"""What a manifest's `spec.pod` adds to the runtime's pods besides what the operator sets. Pure.

Whatever a manifest says, each container complies with Pod Security's `restricted`, even in a namespace that
enforces no profile: whoever writes services need not be trusted with more.
"""

from __future__ import annotations

from typing import Any, Final

from lgs_crds.model.pod import Pod
from lgs_operator.desired.objects import container_security, pod_security
from lgs_operator.kube.kinds import Manifest

CHOSEN: Final = ("readOnlyRootFilesystem", "runAsGroup", "runAsUser")
"""The fields of its security context that a container of the manifest may set."""


def security_of(pod: Pod, uid: int) -> Manifest:
    """The security context of the pods; `uid` is the runtime's user, unless the manifest names another."""
    given = pod.security_context
    if given is None:
        return pod_security(uid)
    chosen = given.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return pod_security(uid) | chosen


def containers_of(given: list[dict[str, Any]]) -> list[Manifest]:
    """The manifest's containers as they are created."""
    return [each | {"securityContext": _security(each.get("securityContext"))} for each in given]


def _security(given: Any) -> Manifest:
    chosen = given if isinstance(given, dict) else {}
    return container_security() | {name: chosen[name] for name in CHOSEN if name in chosen}


def fields_of(pod: Pod) -> Manifest:
    """The fields of a pod's spec that only the manifest sets."""
    fields = {
        "initContainers": containers_of(pod.init_containers),
        "runtimeClassName": pod.runtime_class_name,
        "priorityClassName": pod.priority_class_name,
        "dnsPolicy": pod.dns_policy,
        "dnsConfig": pod.dns_config,
        "hostAliases": pod.host_aliases,
        "nodeSelector": pod.node_selector,
        "imagePullSecrets": [{"name": each.name} for each in pod.image_pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}


def sleep_before_stop(pod: Pod) -> int:
    """Seconds of the manifest's `preStop` sleep, in which the runtime is not told yet that its pod stops."""
    sleep: Any = pod.lifecycle
    for name in ("preStop", "sleep", "seconds"):
        sleep = sleep.get(name) if isinstance(sleep, dict) else None
    return max(0, sleep) if isinstance(sleep, int) else 0
