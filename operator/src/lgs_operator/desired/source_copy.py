"""The copy of the ConfigMap with code, which the pods mount. Pure.

A mounted ConfigMap changes under its pods: a pod that restarts would start with code that was never
rolled out to it. So each content has an immutable copy with its digest in the name, and a change makes
new pods with a new copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import name_of, owned
from lgs_operator.kube.kinds import CONFIG_MAP, Manifest

SOURCE_VOLUME: Final = "source"


def source_copy(inputs: Inputs, config_map: Mapping[str, Any], digest: str) -> Manifest:
    """An immutable copy of all that `config_map` holds, which is deleted with the service."""
    copy = owned(inputs, CONFIG_MAP, "source")
    copy["metadata"]["name"] = copy_name(inputs, digest)
    held = {part: config_map[part] for part in ("data", "binaryData") if config_map.get(part)}
    return copy | held | {"immutable": True}


def copy_name(inputs: Inputs, digest: str) -> str:
    """The name of the copy whose contents have this digest."""
    return f"{name_of(inputs, 'source')}-{digest}"


def mounted(workloads: Iterable[Manifest]) -> frozenset[str]:
    """The names of the copies that these pods, or the pods of these templates, mount."""
    specs = (each.get("spec") or {} for each in workloads)
    pods = (spec.get("template", {}).get("spec", spec) for spec in specs)
    volumes = (volume for pod in pods for volume in pod.get("volumes") or ())
    return frozenset(
        each["configMap"].get("name", "")
        for each in volumes
        if each.get("name") == SOURCE_VOLUME and each.get("configMap")
    )
