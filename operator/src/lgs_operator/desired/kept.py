"""The Deployments of old revisions that are kept for what is pinned to them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil

from lgs_crds import LangGraphService
from lgs_crds.status import PinnedStatus
from lgs_operator.desired.revision import MOST_REVISIONS
from lgs_operator.kube.kinds import DEPLOYMENT, Key, Manifest, ServiceKey
from lgs_operator.naming import object_name


def kept_name(service: str, number: int) -> str:
    """The name of the Deployment of a kept revision."""
    return f"{object_name(service, 'pinned')}-{number}"


def kept_deployments(key: ServiceKey, live: Mapping[Key, Manifest]) -> dict[int, Manifest]:
    """The Deployments of kept revisions, by number. Others are ignored: anybody may make one that looks like
    one of these."""
    form = re.compile(rf"{re.escape(object_name(key.name, 'pinned'))}-([1-9]\d{{0,9}})")
    named = ((form.fullmatch(its.name), each) for its, each in live.items() if its.kind == DEPLOYMENT)
    found = {int(match[1]): each for match, each in named if match is not None}
    return {number: each for number, each in found.items() if number <= MOST_REVISIONS}


def kept_keys(key: ServiceKey, live: Mapping[Key, Manifest]) -> frozenset[Key]:
    """The keys of those Deployments."""
    numbers = kept_deployments(key, live)
    return frozenset(Key(DEPLOYMENT, key.namespace, kept_name(key.name, number)) for number in numbers)


def kept_replicas(
    service: LangGraphService, there: Manifest | None, told: PinnedStatus | None, replicas: int
) -> int:
    """How many replicas a kept revision needs for its unfinished runs: at least one, and no more than the
    `replicas` that the whole service has, or may have. It shrinks by halves, as each replica that goes hands
    its runs to others. `service` is the service at that revision."""
    scaling = service.spec.scaling
    most = max(replicas, (scaling.max_replicas or 0) if scaling.mode == "Auto" else 0, 1)
    runs = (told.runs or 0) if told is not None else 0
    needed = max(1, min(ceil(runs / service.spec.workers.concurrency), most))
    has = int(there["spec"].get("replicas", 1)) if there is not None else 0
    if told is None and has:
        return min(has, most)
    return min(has, most) if needed < has < 2 * needed else needed
