"""Computes what must be written from what is wanted and what exists. Pure; `reconciler.py` carries it out.

The plan for a service that is as it should be is empty, so reconciling an unchanged service costs no call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lgs_crds import KIND
from lgs_operator.kube.drift import as_admitted, covers
from lgs_operator.kube.kinds import CLAIM, DEPLOYMENT, STATEFUL_SET, Key, Manifest, key_of
from lgs_operator.naming import MANAGED_BY, MANAGED_BY_LABEL, SERVICE_LABEL, claim_name, object_name

DESIRED_ANNOTATION = "lgs.dev/desired"
SCALER = "lgs-autoscaler"


@dataclass(frozen=True)
class Plan:
    """What to write. `drifted` names the objects in `applies` that somebody else changed, for an Event."""

    applies: tuple[Manifest, ...] = ()
    deletes: tuple[Manifest, ...] = ()
    drifted: tuple[Key, ...] = ()
    adopt_replicas: int | None = None
    """Give the number of replicas to the autoscaler, at this value, before the rest is written."""

    def __bool__(self) -> bool:
        return bool(self.applies or self.deletes or self.adopt_replicas is not None)


@dataclass(frozen=True)
class Admitted:
    """What admission made of an object: the wanted fields, with the values that they got. `signature` is that
    of what was applied."""

    signature: str | None
    manifest: Manifest


def plan(
    wanted: Iterable[Manifest],
    live: Mapping[Key, Manifest],
    *,
    uid: str,
    first_replicas: int,
    hold: frozenset[Key] = frozenset(),
    admitted: Mapping[Key, Admitted] = MappingProxyType({}),
) -> Plan:
    """Plans the writes for one service. `live` are its objects as last seen; `uid` is the service's.

    `hold` are left as they are: neither written nor deleted. `first_replicas` is the first number of replicas
    of a Deployment that the autoscaler scales. `admitted` is what admission made of objects, where that
    differs from what was applied: applying the same again would change nothing.
    """
    signed = {key_of(each): _signed(each) for each in wanted}
    applies, drifted = [], []
    for key, manifest in signed.items():
        there = live.get(key)
        if key in hold or (there is not None and _is_as_wanted(there, manifest, admitted.get(key))):
            continue
        applies.append(manifest)
        if there is not None and signature_of(there) == signature_of(manifest):
            drifted.append(key)
    deletes = [
        manifest
        for key, manifest in live.items()
        if key not in signed and key not in hold and not _is_going(manifest)
        if owner_uid(manifest) == uid or _are_left_replicas(key, manifest)
    ]
    adopt = _to_adopt(signed, live, hold, first_replicas)
    return Plan(tuple(applies), tuple(deletes), tuple(drifted), adopt)


def _are_left_replicas(key: Key, manifest: Manifest) -> bool:
    """Whether these are replicas of an earlier service of this name that was deleted without its objects:
    they would go on taking runs beside those of the manifest, and nobody would ever bring them up to date.
    All else that was left and is not wanted stays, as nothing happens by it."""
    metadata = manifest["metadata"]
    service = metadata.get("labels", {}).get(SERVICE_LABEL, "")
    names = {object_name(service, "canary"), object_name(service, "api")}
    kept = f"{object_name(service, 'pinned')}-"
    is_named = key.name in names or (key.name.startswith(kept) and key.name.removeprefix(kept).isdecimal())
    return key.kind == DEPLOYMENT and is_named and not metadata.get("ownerReferences")


def changed_at_admission(answer: Manifest, wanted: Manifest) -> Admitted | None:
    """What admission made of `wanted`; None if the object is as wanted."""
    if covers(answer, wanted):
        return None
    return Admitted(signature_of(wanted), as_admitted(answer, wanted))


def _is_as_wanted(there: Manifest, wanted: Manifest, admitted: Admitted | None) -> bool:
    if covers(there, wanted):
        return True
    is_same = admitted is not None and admitted.signature == signature_of(wanted)
    return admitted is not None and is_same and covers(there, admitted.manifest)


def begins_pods(todo: Plan, live: Mapping[Key, Manifest]) -> frozenset[Key]:
    """The Deployments that may get new pods by this plan: all that it writes without making them smaller."""
    begun = []
    for manifest in todo.applies:
        if manifest["kind"] != DEPLOYMENT.name:
            continue
        there = live.get(key_of(manifest))
        count = 0 if there is None else there["spec"].get("replicas", 1)
        adopted = count if todo.adopt_replicas is None else todo.adopt_replicas
        wanted = manifest["spec"].get("replicas", adopted)
        if wanted and wanted >= count:
            begun.append(key_of(manifest))
    return frozenset(begun)


def owner_uid(manifest: Mapping[str, object]) -> str | None:
    """The uid of the object's controller, or None."""
    metadata = manifest.get("metadata")
    references = metadata.get("ownerReferences", []) if isinstance(metadata, Mapping) else []
    return next((each.get("uid") for each in references if each.get("controller")), None)


def taken_by(there: Manifest, uid: str, service: str) -> str | None:
    """Whom the object that has the wanted name belongs to, and the way out, in words; None if the service may
    have it. What a deleted service left behind (its data, or with `--cascade=orphan` everything) belongs to
    nobody: the next service of the same name gets it."""
    metadata = there["metadata"]
    owners = metadata.get("ownerReferences", [])
    is_data = there["kind"] == CLAIM.name and metadata["name"] == claim_name(service)
    if is_data:
        # An older operator let the StatefulSet own the claim. Whose the StatefulSet is was checked before.
        server = (STATEFUL_SET.name, object_name(service, "postgres"))
        owners = [each for each in owners if (each.get("kind"), each.get("name")) != server]
    if any(each.get("kind") == KIND and each.get("uid") == uid for each in owners):
        return None
    other = next((each for each in owners if each.get("kind") == KIND or each.get("controller")), None)
    if other is not None:
        return _belongs_to(other, service)
    if is_data:
        # The StatefulSet would take the claim by its name, however it was made: from a snapshot, for
        # instance.
        return None
    given = metadata.get("labels", {})
    if given.get(SERVICE_LABEL) == service and given.get(MANAGED_BY_LABEL) == MANAGED_BY:
        return None
    return (
        f"was made by somebody else; delete it, give the service another name, or hand it over by the labels "
        f"{SERVICE_LABEL}={service} and {MANAGED_BY_LABEL}={MANAGED_BY}"
    )


def _belongs_to(owner: Mapping[str, Any], service: str) -> str:
    if (owner.get("kind"), owner.get("name")) == (KIND, service):
        return "belongs to a service of this name that was deleted, and goes with it: this one waits for that"
    if owner.get("kind") == KIND:
        return f"belongs to {KIND} {owner.get('name')}; give one of the two services another name"
    return f"belongs to {owner.get('kind')} {owner.get('name')}; delete that or give the service another name"


def scaler_owns_replicas(deployment: Manifest) -> bool:
    """Whether server-side apply has noted the number of replicas as the autoscaler's."""
    return any(
        entry.get("manager") == SCALER and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields", [])
    )


def replicas_only(key: Key, replicas: int) -> Manifest:
    """What the autoscaler applies: only the number of replicas."""
    return {
        "apiVersion": key.kind.api_version,
        "kind": key.kind.name,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"replicas": replicas},
    }


def _to_adopt(
    signed: Mapping[Key, Manifest], live: Mapping[Key, Manifest], hold: frozenset[Key], first: int
) -> int | None:
    for key, manifest in signed.items():
        if key.kind != DEPLOYMENT or key in hold or "replicas" in manifest["spec"]:
            continue
        there = live.get(key)
        if there is None:
            return first
        if not scaler_owns_replicas(there):
            return int(there["spec"].get("replicas", first))
    return None


def _signed(manifest: Manifest) -> Manifest:
    """The object with a hash of itself: so a field that is no longer wanted shows as a change, too."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    annotations = metadata.get("annotations", {}) | {DESIRED_ANNOTATION: digest}
    return manifest | {"metadata": metadata | {"annotations": annotations}}


def signature_of(manifest: Manifest) -> str | None:
    """The hash of everything that was wanted when the object was applied; None if it has none."""
    signature: str | None = manifest["metadata"].get("annotations", {}).get(DESIRED_ANNOTATION)
    return signature


def _is_going(manifest: Manifest) -> bool:
    return "deletionTimestamp" in manifest["metadata"]
