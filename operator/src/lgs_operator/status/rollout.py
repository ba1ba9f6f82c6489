"""What Kubernetes reports of a Deployment or StatefulSet whose pods it can't create, and of a rollout that
makes no progress. Pure.

A Deployment has conditions for both, `ReplicaFailure` and `Progressing`. Those of an older generation are
ignored; the present cause is in the Events of its ReplicaSet. A StatefulSet has only Events.
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

# What the API server says when it refuses a pod, the reason, and the way out.
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
"""Most characters quoted from an Event, whose writer may write long ones."""
OTHERWISE: Final = "`kubectl describe replicaset` tells more"


def refused_pods(deployment: Manifest | None, field: str) -> Diagnosis | None:
    """Why no pod can be created, or None; `field` is where the manifest has the resources of its pods."""
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    # the name of a pod that was not created differs at each try
    said = _POD.sub("", failure.get("message", "")) or "no reason is told"
    if failure.get("reason") == "FailedDelete":
        return Diagnosis("FailedDelete", f"a pod can't be deleted: {said}: {OTHERWISE}")
    if _is_of_an_older_template(deployment or {}):
        return None
    return _refusal("pods are refused", said, field, OTHERWISE)


def says_refused(deployment: Manifest | None) -> bool:
    """Whether a Deployment reports that a pod can't be created."""
    failure = _condition(deployment, "ReplicaFailure")
    return failure.get("status") == "True" and failure.get("reason") == "FailedCreate"


def newest_replica_set(deployment: Manifest, replica_sets: Iterable[Manifest]) -> Manifest | None:
    """The newest ReplicaSet of the Deployment, by the revision that its controller gave them."""
    uid = deployment["metadata"].get("uid")
    own = [each for each in replica_sets if uid in _owners(each)]
    return max(own, key=_revision, default=None)


def refused_now(deployment: Manifest, said: str) -> Manifest:
    """The Deployment with the message of its ReplicaSet's newest Event `FailedCreate` in place of its own:
    its controller keeps the first message as long as any pod is refused, whatever the cause is by now."""
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
    """Whether every pod of this template exists: then the refused ones are the old ReplicaSet's, which asks
    for its pods until a new one is ready."""
    return bool(deployment["status"].get("updatedReplicas", 0) >= deployment["spec"].get("replicas", 1) > 0)


def refused_server(said: str, field: str) -> Diagnosis:
    """Why a StatefulSet has no pod, from the message of its Event `FailedCreate`. `field` has the pod's
    resources; the storage of its claim is the field beside it."""
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
    """For how many seconds at least a late rollout has made no progress; None if it is not late."""
    progress = _condition(deployment, "Progressing")
    if progress.get("reason") != "ProgressDeadlineExceeded":
        return None
    return int((deployment or {}).get("spec", {}).get("progressDeadlineSeconds", 600))


def late_since(deployment: Manifest | None) -> datetime | None:
    """Since when the rollout is late; None if it is not."""
    progress = _condition(deployment, "Progressing")
    if progress.get("reason") != "ProgressDeadlineExceeded":
        return None
    return moment(str(progress.get("lastUpdateTime", "")))


def is_rolled_out(deployment: Manifest | None) -> bool:
    """Whether all pods are of its template and ready, as many as are wanted."""
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
