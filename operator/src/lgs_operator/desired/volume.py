"""The claim of the managed database's volume: its owner, its size, and which service finds it. Pure.

The claim is applied before the StatefulSet, which uses an existing claim of the name that it would
give it. So the operator controls its size and its owner, while the template in a StatefulSet can't
be changed any more.
"""

from __future__ import annotations

from typing import Any, Final

from lgs_crds.model.persistence import ManagedPostgres
from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import CLAIM, Manifest
from lgs_operator.kube.quantity import is_more, same_quantity
from lgs_operator.naming import FIELD_MANAGER, claim_name

SIZE_PATH: Final = ("spec", "resources", "requests", "storage")
SERVICE_UID_ANNOTATION: Final = "lgs.dev/service-uid"
LAST_BACKUP_ANNOTATION: Final = "lgs.dev/last-backup"


def postgres_claim(inputs: Inputs) -> Wanted:
    """The claim. Wanted with a managed database; an existing one keeps its size, which `growth` raises."""
    postgres = inputs.postgres
    if postgres is None:
        return None
    manifest = owned(inputs, CLAIM, "postgres")
    metadata = manifest["metadata"] | {"name": claim_name(inputs.name)}
    metadata["annotations"] = postgres.image.annotations() | {
        SERVICE_UID_ANNOTATION: inputs.service.metadata.uid or ""
    }
    if noted := inputs.last_backup or last_backup_of(postgres.claim):
        metadata["annotations"][LAST_BACKUP_ANNOTATION] = noted
    owner = metadata.pop("ownerReferences")
    if postgres.spec.deletion_policy == "Delete":
        # The StatefulSet's controller ignores a claim that has another controller, and warns of it.
        metadata["ownerReferences"] = [each | {"controller": False} for each in owner]
    spec = new_claim(postgres.spec) if postgres.claim is None else _as_it_is(postgres.claim, postgres.spec)
    return manifest | {"metadata": metadata, "spec": spec}


def last_backup_of(claim: Manifest | None) -> str | None:
    """The last backup noted at the claim, by the service or by an earlier one with this
    volume; None without."""
    noted = ((claim or {}).get("metadata", {}).get("annotations") or {}).get(LAST_BACKUP_ANNOTATION)
    return None if noted is None else str(noted)


def new_claim(managed: ManagedPostgres) -> Manifest:
    """The spec of a claim that does not exist yet."""
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": managed.storage}},
    }
    if managed.storage_class_name:
        spec["storageClassName"] = managed.storage_class_name
    return spec


def size_of(claim: Manifest | None) -> str | None:
    """The storage that the claim requests; None without a claim."""
    size = (claim or {}).get("spec", {}).get("resources", {}).get("requests", {}).get("storage")
    return None if size is None else str(size)


def growth(claim: Manifest | None, storage: str) -> dict[str, Any] | None:
    """The patch that enlarges the claim if the manifest asks for more; None otherwise. A claim can grow
    once it is bound."""
    size = size_of(claim)
    bound = (claim or {}).get("status", {}).get("phase") == "Bound"
    if size is None or not bound or not is_more(storage, size):
        return None
    return {"spec": {"resources": {"requests": {"storage": storage}}}}


def unchangeable(there: Manifest | None, wanted: Manifest, said: str) -> str | None:
    """Why the backups' claim can't become what is wanted, and the way out; None for another reason. `said` is
    the API server's message, which shows the whole spec if any part of it differs."""
    size, asked = size_of(there), size_of(wanted)
    if there is None or size is None or asked is None:
        return None
    volume = "spec.persistence.postgres.managed.backup.volume"
    kept, given = (each["spec"].get("storageClassName") for each in (there, wanted))
    if given is not None and given != kept:
        rule = "a claim stays in the class that it was made in"
        return f"is of the class {kept}; {volume}.storageClassName: {given}: {rule}; set it to {kept} again"
    if same_quantity(size, asked, SIZE_PATH):
        return None
    back = f"set it to {size} again"
    if is_more(size, asked):
        rule, out = "a volume can't shrink", back
    elif there.get("status", {}).get("phase") != "Bound":
        rule = "a claim grows only when it has a volume"
        out = f"{back} until it has, which most classes see to at the first backup; or delete the empty claim"
    else:
        rule, out = f"its volume can't grow ({said})", f"{back}, or name another claim by claimName"
    return f"has {size}; {volume}.size: {asked}: {rule}; {out}"


def goes_with(manifest: Manifest, uid: str) -> bool:
    """Whether an object is deleted with the service of this uid."""
    return any(each.get("uid") == uid for each in manifest["metadata"].get("ownerReferences") or [])


def let_go(manifest: Manifest, uid: str) -> dict[str, Any]:
    """The patch after which an object outlives the service; it applies only if the object has not changed."""
    metadata = manifest["metadata"]
    others = [each for each in metadata["ownerReferences"] if each.get("uid") != uid]
    return {"metadata": {"ownerReferences": others or None, "resourceVersion": metadata["resourceVersion"]}}


def not_let_go(wanted: Manifest, said: str) -> str | None:
    """Why the database's claim can't be made to outlive its service, and the way out; None
    for another reason."""
    metadata = wanted["metadata"]
    if "ownerRef" not in said or metadata.get("ownerReferences"):
        return None
    way = f"kubectl patch pvc {metadata['name']} -n {metadata['namespace']} --type=merge -p "
    return (
        "is still deleted with the service, as this cluster has whose it is changed by nobody but who may "
        f'delete it; do so with: {way}\'{{"metadata":{{"ownerReferences":null}}}}\' ({said})'
    )


def adopted(claim: Manifest | None, stateful_set: Manifest | None, uid: str) -> str | None:
    """What a service finds that an earlier one of its name left, in words; None if the claim is its own."""
    if claim is None or stateful_set is not None:
        return None
    metadata = claim["metadata"]
    if (metadata.get("annotations") or {}).get(SERVICE_UID_ANNOTATION) == uid:
        return None
    made = metadata.get("creationTimestamp", "an unknown time")
    return f"volume {metadata['name']} ({size_of(claim)}, made {made}) was there and is used, with its data"


def _as_it_is(claim: Manifest, managed: ManagedPostgres) -> Manifest:
    """The spec of an existing claim. All but its size is fixed at creation; the size is raised separately,
    since a storage class may refuse that. A size equal to the manifest's stays in the manifest's notation."""
    wanted, spec, size = new_claim(managed), claim["spec"], size_of(claim)
    if not same_quantity(size, managed.storage, SIZE_PATH):
        wanted["resources"] = {"requests": {"storage": size}}
    wanted["accessModes"] = spec.get("accessModes", wanted["accessModes"])
    if "storageClassName" in spec and ("storageClassName" in wanted or _is_ours(claim, "f:storageClassName")):
        wanted["storageClassName"] = spec["storageClassName"]
    return wanted


def _is_ours(claim: Manifest, field: str) -> bool:
    """Whether an earlier apply of the operator set the field: an apply without it would remove it,
    which is refused."""
    return any(
        entry.get("manager") == FIELD_MANAGER
        and entry.get("operation") == "Apply"
        and field in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in claim["metadata"].get("managedFields", [])
    )
