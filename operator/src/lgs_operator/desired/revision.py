"""The revisions of a service: what its replicas run, kept and numbered. Pure.

A revision is what of a manifest decides what runs: the image, the copy of the source, the graphs and the
settings of the application. Each is a ControllerRevision, as those of a StatefulSet, named for its contents:
what is released again has the number that it had. Where it runs, how many replicas it has and where its data
are is no part of it, and neither is what Secrets hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from lgs_crds import Spec
from lgs_operator.desired.inputs import Inputs, Revision, Wanted
from lgs_operator.desired.objects import name_of, owned
from lgs_operator.kube.kinds import CONTROLLER_REVISION, Key, Manifest
from lgs_operator.naming import COMPONENT_LABEL, REVISION_LABEL, TRACK_LABEL

SECTIONS: Final = frozenset({"image", "graphs", "workers", "cache", "circuit_breaker", "auth", "pod"})
"""What a revision has of a spec."""
NOT_OF_THE_CACHE: Final = "redis"
"""Where the Redis is."""
MOST_REVISIONS: Final = 2**31
"""A higher number is none that a release got: the next one after it must be a number, too."""


def controller_revision(inputs: Inputs) -> Wanted:
    """The current revision. Wanted when it is known what the pods are to run."""
    if inputs.revision is None:
        return None
    manifest = owned(inputs, CONTROLLER_REVISION, "revision")
    manifest["metadata"]["name"] = inputs.revision.name
    return manifest | {"revision": inputs.revision.number, "data": dict(inputs.revision.data)}


def numbered(
    inputs: Inputs,
    history: Iterable[Manifest],
    told: Mapping[str, int] = MappingProxyType({}),
) -> Revision:
    """What the pods are to run, with its number: the one that it had, else the next. `history` are the
    revisions of the service that are kept. Somebody may delete those: `told` has the numbers that were said
    last, or are run, by digest or what else there is."""
    data = contents(inputs.service.spec, inputs.source_copy, inputs.images.runtime)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{name_of(inputs, 'revision')}-{digest}"
    numbers = {each["metadata"]["name"]: number_of(each) for each in history}
    known = {**told, **{each.rpartition("-")[2]: number for each, number in numbers.items()}}
    return Revision(known.get(digest, max(known.values(), default=0) + 1), name, data)


def contents(spec: Spec, source_copy: str | None, stock_image: str) -> Mapping[str, Any]:
    """What a revision keeps. What a manifest leaves out stays out, so that a new operator with new fields
    makes no new revision."""
    said = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=set(SECTIONS))
    cache = {name: each for name, each in said.pop("cache", {}).items() if name != NOT_OF_THE_CACHE}
    data: dict[str, Any] = {"spec": said | ({"cache": cache} if cache else {})}
    if spec.image is None:
        data["stockImage"] = stock_image
    if source_copy is not None:
        data["source"] = source_copy
    return data


def superseded(
    history: Iterable[Manifest], current: Revision, pods: Iterable[Manifest], limit: int
) -> list[Manifest]:
    """The revisions that go: those beyond the newest `limit` that are not the current one, but for any that a
    pod runs, and for the one with the highest number, which no other is to get."""
    newest = sorted(history, key=number_of, reverse=True)
    old = [each for each in newest if number_of(each) != current.number]
    run = set(map(revision_of, pods))
    return [each for each in old[limit:] if each is not newest[0] and number_of(each) not in run]


def number_of(revision: Manifest) -> int:
    """The number of a revision as it is kept."""
    return int(revision["revision"])


def revision_of(pod: Manifest) -> int | None:
    """The number of the revision that a pod, or a template of some, is of; None where it has none."""
    said = pod.get("metadata", {}).get("labels", {}).get(REVISION_LABEL, "")
    return int(said) if said.isdecimal() else None


def is_canary(pod: Manifest) -> bool:
    """Whether a pod is one of a canary's."""
    return bool(pod.get("metadata", {}).get("labels", {}).get(TRACK_LABEL))


def source_of(revision: Manifest) -> str | None:
    """The copy of the source that it has."""
    source: str | None = revision["data"].get("source")
    return source


def image_of_revision(revision: Manifest) -> str | None:
    """The image that its pods run."""
    data = revision["data"]
    image: str | None = data.get("spec", {}).get("image") or data.get("stockImage")
    return image


def history_of(live: Mapping[Key, Manifest]) -> list[Manifest]:
    """The revisions among the objects of a service; the managed database has others of this kind, and anybody
    may write some that only look like one."""
    found = (each for key, each in live.items() if key.kind == CONTROLLER_REVISION)
    revisions = (each for each in found if each["metadata"]["labels"].get(COMPONENT_LABEL) == "revision")
    return [each for each in revisions if _has_our_form(each)]


def _has_our_form(revision: Manifest) -> bool:
    data = revision.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("spec"), dict):
        return False
    texts = (data.get("source"), data.get("stockImage"), data["spec"].get("image"))
    number = revision.get("revision")
    is_number = type(number) is int and 0 < number <= MOST_REVISIONS
    return is_number and all(isinstance(each, str | None) for each in texts)
