"""What is kept in memory of a service: a writer of one service, as large as etcd takes it, must not use up
the memory and the time of all others. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lgs_crds.parsing import MOST_LEVELS, too_deep
from lgs_crds.weight import is_too_large

TOO_LARGE: Final = "lgs.dev/too-large"
"""Field of a service whose spec is too large to keep; only its class is kept."""
_KEPT: Final = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "annotations",
)
_MOST_FINALIZERS: Final = 100
"""Bounded, because each of them may be as long as a manifest."""
_LONGEST_FINALIZER: Final = 200
_LONGEST_CLASS: Final = 253


def kept_service(body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a service that is read."""
    said = body["metadata"]
    metadata = {field: said[field] for field in _KEPT if field in said}
    if held := said.get("finalizers"):
        metadata["finalizers"] = [str(each)[:_LONGEST_FINALIZER] for each in held[:_MOST_FINALIZERS]]
    kept = {field: each for field, each in body.items() if field != "metadata"} | {"metadata": metadata}
    spec = body.get("spec")
    if is_too_large(spec):
        named = spec.get("operatorClass") if isinstance(spec, dict) else None
        is_class = isinstance(named, str) and len(named) <= _LONGEST_CLASS
        kept |= {"spec": {"operatorClass": named} if is_class else {}, TOO_LARGE: True}
    elif too_deep(spec) is not None:
        kept |= {"spec": _cut(spec, MOST_LEVELS + 1)}
    return kept


def with_status(body: Mapping[str, Any]) -> dict[str, Any]:
    """The names of a service, the fields that decide whose it is and what it runs, and its status."""
    said, spec = body["metadata"], body.get("spec") or {}
    wanted = ("operatorClass", "image", "runtimeVersion")
    return {
        "metadata": {field: said[field] for field in ("namespace", "name")},
        "spec": {field: spec.get(field) for field in wanted},
        "status": body.get("status"),
    }


def _cut(value: Any, levels: int) -> Any:
    """The upper levels of a spec. It is refused for the levels below, and comparing two such specs may take
    more levels than Python has."""
    if isinstance(value, dict):
        return {name: _cut(each, levels - 1) for name, each in value.items()} if levels else {}
    if isinstance(value, list):
        return [_cut(each, levels - 1) for each in value] if levels else []
    return value


def without_status(body: Mapping[str, Any]) -> dict[str, Any]:
    """The service as a person wrote it."""
    return {name: value for name, value in body.items() if name != "status"}
