"""The revisions of a service: what its replicas run, kept and numbered. Pure.

A revision is the part of a manifest that decides what runs: the image, the copy of the source, the graphs and
the settings of the application. Each is a ControllerRevision, like those of a StatefulSet, with a hash of its
contents in its name, so that what is released again has the number that it had. Where it runs, how many
replicas it has, where its data are, and what Secrets hold are no part of it.
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
from lgs_operator.naming import COMPONENT_LABEL, PINNED, REVISION_LABEL, TRACK_LABEL

SECTIONS: Final = frozenset({"image", "graphs", "workers", "cache", "circuit_breaker", "auth", "pod"})
"""The sections of a spec that belong to a revision."""
NOT_OF_THE_CACHE: Final = "redis"
"""The part of `cache` that belongs to no revision: where the Redis is."""
MOST_REVISIONS: Final = 2**31
"""The highest number of a revision that is believed: the one after it must be possible too."""


def controller_revision(inputs: Inputs) -> Wanted:
    """The ControllerRevision of the current revision. Wanted when it is known what the pods are to run."""
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
    """What the pods are to run, with its number: the one that it had before, else the next. `history` are the
    revisions of the service that are kept. Since somebody may delete those, `told` has the numbers last
    reported or now running, by digest or another key."""
    data = contents(inputs.service.spec, inputs.source_copy, inputs.images.runtime)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{name_of(inputs, 'revision')}-{digest}"
    numbers = {each["metadata"]["name"]: number_of(each) for each in history}
    known = {**told, **{each.rpartition("-")[2]: number for each, number in numbers.items()}}
    return Revision(known.get(digest, max(known.values(), default=0) + 1), name, data)


def contents(spec: Spec, source_copy: str | None, stock_image: str) -> Mapping[str, Any]:
    """What a revision keeps. Defaults that a manifest does not change are left out, so that a new operator
    with new fields makes no new revision."""
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
    """The revisions to delete: those beyond the newest `limit`, not counting the current one, except any that
    a pod runs, and the one with the highest number, so that no other gets it."""
    newest = sorted(history, key=number_of, reverse=True)
    old = [each for each in newest if number_of(each) != current.number]
    run = set(map(revision_of, pods))
    return [each for each in old[limit:] if each is not newest[0] and number_of(each) not in run]


def number_of(revision: Manifest) -> int:
    """The number of a kept revision."""
    return int(revision["revision"])


def revision_of(pod: Manifest) -> int | None:
    """The number of a pod's or a pod template's revision; None if it has none."""
    said = pod.get("metadata", {}).get("labels", {}).get(REVISION_LABEL, "")
    return int(said) if said.isdecimal() else None


def track_of(pod: Manifest) -> str | None:
    """What a pod belongs to beside the service's own replicas: `canary`, or `pinned` for those of an old
    revision that is kept; None: it is one of its own."""
    return pod.get("metadata", {}).get("labels", {}).get(TRACK_LABEL) or None


def is_canary(pod: Manifest) -> bool:
    """Whether a pod belongs to a canary."""
    return track_of(pod) not in (None, PINNED)


def is_kept(pod: Manifest) -> bool:
    """Whether a pod belongs to an old revision that is kept for what is pinned to it."""
    return track_of(pod) == PINNED


def is_own(pod: Manifest) -> bool:
    """Whether a pod is one of the service's own replicas, and none beside them."""
    return track_of(pod) is None


def source_of(revision: Manifest) -> str | None:
    """The name of a revision's copy of the source; None without one."""
    source: str | None = revision["data"].get("source")
    return source


def image_of_revision(revision: Manifest) -> str | None:
    """The image that a revision's pods run."""
    data = revision["data"]
    image: str | None = data.get("spec", {}).get("image") or data.get("stockImage")
    return image


def history_of(live: Mapping[Key, Manifest]) -> list[Manifest]:
    """The revisions among the objects of a service. Other ControllerRevisions are left out: the managed
    database has some, and anybody may write one that only resembles a revision."""
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
