"""The status of a service that is not worked on: it is paused, being deleted, has a spec that can't work, or
was stopped by an error of the operator itself or by a refusal of the API server. Pure; what is not newly
known stays as it was reported last.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from lgs_crds.status import Truth, condition, merged, status_before
from lgs_operator.desired.revision import is_own
from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.pods import is_ended, is_ready
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.service import as_json

_MOST_FINALIZERS: Final = 5
_LONGEST_FINALIZER: Final = 100


def halted_status(
    before: Mapping[str, Any],
    generation: int,
    halt: Diagnosis,
    pods: tuple[Manifest, ...],
    now: datetime,
    *,
    api_pods: tuple[Manifest, ...] = (),
) -> dict[str, Any]:
    """The status of a service that is not worked on (paused, being deleted, or with a spec that can't work).

    Its pods go on running and are counted; all else stays as it was last observed. A service that is paused
    or being deleted is Ready while a replica takes work; one with a wrong spec is not. `api_pods` are those
    that answer requests, with topology Split.
    """
    seen = status_before(before)
    kept = {each.type: each for each in seen.conditions}
    working, answering = (sum(1 for pod in each if is_ready(pod)) for each in (pods, api_pods))
    serving, own = answering if api_pods else working, [pod for pod in pods if is_own(pod)]
    kept["Ready"] = condition("Ready", "False", halt.reason, halt.message)
    if halt.reason in {"Paused", "Deleting"}:
        count = f"{serving or 'no'} {'replica takes' if serving < 2 else 'replicas take'} work"
        status: Truth = "True" if serving else "False"
        kept["Ready"] = condition("Ready", status, halt.reason, f"{halt.message}; {count}")
    kept["Progressing"] = condition("Progressing", "False", halt.reason, halt.message)
    kept["Reconciled"] = condition("Reconciled", "False", halt.reason, halt.message)
    if "ScalingActive" in kept:
        kept["ScalingActive"] = condition("ScalingActive", "False", halt.reason, halt.message)
    update = {
        "conditions": merged(before.get("conditions", []), kept.values(), generation=generation, at=now),
        "observed_generation": generation,
        "replicas": sum(1 for pod in own if not is_ended(pod)),
        "ready_replicas": sum(1 for pod in own if is_ready(pod)),
    }
    if seen.api is not None:
        there = sum(1 for pod in api_pods if not is_ended(pod))
        update["api"] = seen.api.model_copy(update={"replicas": there, "ready_replicas": answering})
    return as_json(seen.model_copy(update=update))


def deleting_message(body: Mapping[str, Any]) -> str:
    """What keeps a service that is being deleted from going, in words."""
    held = body["metadata"].get("finalizers") or []
    named = ", ".join(str(each)[:_LONGEST_FINALIZER] for each in held[:_MOST_FINALIZERS])
    more = f" and {len(held) - _MOST_FINALIZERS} more" if len(held) > _MOST_FINALIZERS else ""
    return (
        f"it is being deleted since {body['metadata']['deletionTimestamp']}, and nothing is changed or "
        f"repaired; it goes when nothing holds it: metadata.finalizers has {named or 'nothing'}{more}"
    )


def crashed_status(
    before: Mapping[str, Any], generation: int, crash: Diagnosis, now: datetime
) -> dict[str, Any]:
    """The status of a service whose reconciliation failed; all else stays as it was."""
    seen = status_before(before)
    kept = {each.type: each for each in seen.conditions}
    kept["Reconciled"] = condition("Reconciled", "False", crash.reason, crash.message)
    conditions = merged(before.get("conditions", []), kept.values(), generation=generation, at=now)
    return as_json(seen.model_copy(update={"conditions": conditions}))
