"""The copy of a ConfigMap with code that the pods mount. Pure.

A ConfigMap that pods mount changes under them: one that restarts would start with code that was never rolled
out to it. So each content has an immutable copy, named for it, and a change makes new pods with a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import name_of, owned
from lgs_operator.kube.kinds import CONFIG_MAP, Manifest

SOURCE_VOLUME: Final = "source"


def source_copy(inputs: Inputs, config_map: Mapping[str, Any], digest: str) -> Manifest:
    """All that `config_map` holds, for as long as the service is there."""
    copy = owned(inputs, CONFIG_MAP, "source")
    copy["metadata"]["name"] = copy_name(inputs, digest)
    held = {part: config_map[part] for part in ("data", "binaryData") if config_map.get(part)}
    return copy | held | {"immutable": True}


def copy_name(inputs: Inputs, digest: str) -> str:
    """The name of the copy of contents with this digest."""
    return f"{name_of(inputs, 'source')}-{digest}"


def mounted(workloads: Iterable[Manifest]) -> frozenset[str]:
    """The names of the copies that pods, or pods of these templates, mount."""
    specs = (each.get("spec") or {} for each in workloads)
    pods = (spec.get("template", {}).get("spec", spec) for spec in specs)
    volumes = (volume for pod in pods for volume in pod.get("volumes") or ())
    return frozenset(
        each["configMap"].get("name", "")
        for each in volumes
        if each.get("name") == SOURCE_VOLUME and each.get("configMap")
    )
