"""What Kubernetes says of a Deployment or StatefulSet whose pods it can't make, and of a rollout that stands
still. Pure.

Both are conditions of a Deployment, `ReplicaFailure` and `Progressing`; those of a generation that is not its
own any more say nothing, and why it is now the Events of its ReplicaSet say. A StatefulSet has only Events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from lgs_crds.reasons import Refusal
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import moment
from lgs_operator.status.diagnosis import Diagnosis

# What the API server says when it takes no pod, the reason, and the way out.
_REFUSALS: Final[tuple[tuple[str, Refusal, str], ...]] = (
    (
        r"exceeded quota: ",
        "QuotaExceeded",
        "raise the ResourceQuota of the namespace, or ask for less in {field} or for fewer replicas",
    ),
    (r"failed quota: .* must specify ", "ResourcesRequired", "set what is named in {field}"),
    (
        r"(maximum|minimum) \S+ usage per |max limit to request ratio per ",
        "LimitRangeViolated",
        "change {field} to what the LimitRange of the namespace allows",
    ),
    (
        r"violates PodSecurity ",
        "PodSecurityViolated",
        "pods keep to the level restricted; what was added to them by the manifest or by others does not",
    ),
    (
        r"admission webhook .* denied |ValidatingAdmissionPolicy ",
        "AdmissionDenied",
        "a rule of this cluster refuses the pods; its owner can say what they must have",
    ),
)
_POD: Final = re.compile(r'^pods "[^"]*" is forbidden: ')
_EVENT: Final = re.compile(r"^(\(combined from similar events\): )?Error creating: ")
_REVISION: Final = "deployment.kubernetes.io/revision"
_LONGEST_QUOTE: Final = 1500
"""Who may write Events may write long ones."""
OTHERWISE: Final = "`kubectl describe replicaset` tells more"


def refused_pods(deployment: Manifest | None, field: str) -> Diagnosis | None:
    """Why no pod can be made, or None; `field` is where the manifest says what its pods ask for."""
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    # the name of a pod that was not made is another one at each try
    said = _POD.sub("", failure.get("message", "")) or "no reason is told"
    if failure.get("reason") == "FailedDelete":
        return Diagnosis("FailedDelete", f"a pod can't be deleted: {said}: {OTHERWISE}")
    if _is_of_an_older_template(deployment or {}):
        return None
    return _refusal("pods are refused", said, field, OTHERWISE)


def says_refused(deployment: Manifest | None) -> bool:
    """It says that a pod can't be made."""
    failure = _condition(deployment, "ReplicaFailure")
    return failure.get("status") == "True" and failure.get("reason") == "FailedCreate"


def newest_replica_set(deployment: Manifest, replica_sets: Iterable[Manifest]) -> Manifest | None:
    """The one of the Deployment's template, as its controller counts them."""
    uid = deployment["metadata"].get("uid")
    own = [each for each in replica_sets if uid in _owners(each)]
    return max(own, key=_revision, default=None)


def refused_now(deployment: Manifest, said: str) -> Manifest:
    """The Deployment with the words of its ReplicaSet's newest Event `FailedCreate` in place of its own: its
    controller keeps the first ones as long as any pod is refused, whatever keeps them by now."""
    conditions = [
        each | {"message": _EVENT.sub("", said)} if each.get("type") == "ReplicaFailure" else each
        for each in deployment["status"]["conditions"]
    ]
    return deployment | {"status": deployment["status"] | {"conditions": conditions}}


def _owners(replica_set: Manifest) -> set[str]:
    return {each.get("uid", "") for each in replica_set["metadata"].get("ownerReferences") or ()}


def _revision(replica_set: Manifest) -> int:
    said = (replica_set["metadata"].get("annotations") or {}).get(_REVISION, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0


def _is_of_an_older_template(deployment: Manifest) -> bool:
    """Every pod of this template is there: what is refused is the old ReplicaSet's, which asks for its pods
    until one of the new ones is ready."""
    return bool(deployment["status"].get("updatedReplicas", 0) >= deployment["spec"].get("replicas", 1) > 0)


def refused_server(said: str, field: str) -> Diagnosis:
    """Why a StatefulSet has no pod, from the words of its Event `FailedCreate`; what the manifest says of its
    claim stands beside the field."""
    why = _POD.sub("", said.rpartition(" failed error: ")[2])
    if said.startswith("create Claim "):
        field = field.replace("resources", "storage")
        return _refusal("its volume is refused", why, field, "`kubectl describe statefulset` tells more")
    return _refusal("its pod is refused", why, field, "`kubectl describe statefulset` tells more")


def _refusal(head: str, said: str, field: str, otherwise: str) -> Diagnosis:
    said = said[:_LONGEST_QUOTE]
    for form, reason, way_out in _REFUSALS:
        if re.search(form, said):
            return Diagnosis(reason, f"{head}: {said}: {way_out.format(field=field)}")
    return Diagnosis("FailedCreate", f"{head}: {said}: {otherwise}")


def seconds_past(deployment: Manifest | None) -> int | None:
    """For how long at least the rollout has stood still, if that is longer than it may."""
    progress = _condition(deployment, "Progressing")
    if progress.get("reason") != "ProgressDeadlineExceeded":
        return None
    return int((deployment or {}).get("spec", {}).get("progressDeadlineSeconds", 600))


def late_since(deployment: Manifest | None) -> datetime | None:
    """When the rollout was late; None for one that is not."""
    progress = _condition(deployment, "Progressing")
    if progress.get("reason") != "ProgressDeadlineExceeded":
        return None
    return moment(str(progress.get("lastUpdateTime", "")))


def is_rolled_out(deployment: Manifest | None) -> bool:
    """All pods are of its template, and ready, as many as are wanted."""
    if deployment is None:
        return False
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    is_seen = status.get("observedGeneration") == deployment["metadata"].get("generation")
    names = ("replicas", "updatedReplicas", "readyReplicas")
    return is_seen and {status.get(each, 0) for each in names} == {wanted}


def _condition(deployment: Manifest | None, kind: str) -> Mapping[str, Any]:
    status = (deployment or {}).get("status", {})
    if status.get("observedGeneration") != (deployment or {}).get("metadata", {}).get("generation"):
        return {}
    return next((each for each in status.get("conditions", []) if each.get("type") == kind), {})
