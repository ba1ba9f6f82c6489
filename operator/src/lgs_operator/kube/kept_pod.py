"""What is kept in memory of a pod: everything but its managed fields; what pods of one template have in
common is kept only once. Replicas are the most numerous objects, and all of one revision have the same
containers and volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from weakref import WeakValueDictionary

from lgs_operator.kube.kinds import Manifest


class _Shared(list[Any]):
    """A list that is freed when the last pod that has it is gone."""

    __slots__ = ("__weakref__",)


_lists: WeakValueDictionary[bytes, _Shared] = WeakValueDictionary()


def kept_pod(pod: Manifest) -> Manifest:
    """The pod without its managed fields, with lists in its spec that other pods may share: nobody may change
    them."""
    metadata = {name: each for name, each in pod["metadata"].items() if name != "managedFields"}
    kept = pod | {"metadata": metadata}
    spec = pod.get("spec")
    if isinstance(spec, Mapping):
        kept["spec"] = {name: _one(each) if isinstance(each, list) else each for name, each in spec.items()}
    return kept


def _one(items: list[Any]) -> list[Any]:
    if isinstance(items, _Shared):
        return items
    digest = sha256(json.dumps(items, sort_keys=True).encode()).digest()
    known = _lists.get(digest)
    if known is None:
        known = _lists[digest] = _Shared(items)
    return known
