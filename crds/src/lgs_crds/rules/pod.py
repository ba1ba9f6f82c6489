"""Rules of `spec.pod`: additions to the pods must leave the runtime's own container, volumes and paths as
they are. Values inside a part with Kubernetes' own schema may be of any type here, since only the API server
has checked them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule

CONTAINER: Final = "runtime"
PORT: Final = 8000
PORT_NAME: Final = "http"
VOLUMES: Final = ("tmp", "data", "source", "api-keys")
SOURCE_PATH: Final = "/app"
PATHS: Final = ("/tmp", "/var/lib/lgs", "/var/run/lgs/api-keys")
SYSTEM_PATHS: Final = (
    *("/bin", "/dev", "/etc", "/lib", "/proc", "/sbin", "/sys"),
    *("/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/lib"),
)
"""System folders without which nothing starts."""
VOLUME_KINDS: Final = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "secret",
)
"""Kinds of volumes that Pod Security's `restricted` allows, without projected ones, which may hold a
service account's token."""
OURS: Final = "belongs to the runtime; take another"
SYSTEM: Final = "system-"
NEEDED: Final = "which the runtime needs as it is"
APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
"""The prefix, before a container's name, of the annotation that sets its AppArmor profile
if no field does."""
CONFINED: Final = re.compile(r"|runtime/default|localhost/.*", re.DOTALL)
LONGEST_SLEEP: Final = 3600
"""Most seconds that a hook may sleep: a node waits for the pod longer by the sleep of preStop."""
_POD: Final = "spec.pod"


def _texts(entries: Sequence[dict[str, Any]], field: str) -> Iterator[tuple[int, str]]:
    found = ((index, each.get(field)) for index, each in enumerate(entries))
    return ((index, text) for index, text in found if isinstance(text, str))


def _beside(spec: Spec) -> Iterator[tuple[str, dict[str, Any]]]:
    """The containers beside the runtime's, each after its path in the manifest."""
    for name, entries in (("initContainers", spec.pod.init_containers), ("containers", spec.pod.containers)):
        yield from ((f"{_POD}.{name}[{index}]", each) for index, each in enumerate(entries))


def _parts(container: dict[str, Any], field: str) -> list[dict[str, Any]]:
    entries = container.get(field)
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _container_names(spec: Spec) -> Problem | None:
    seen: set[object] = set()
    for path, each in _beside(spec):
        name = each.get("name")
        if name == CONTAINER:
            return Problem(f"{path}.name", OURS, name)
        if isinstance(name, str) and name in seen:
            return Problem(f"{path}.name", "must occur once among containers and initContainers", name)
        seen.add(name if isinstance(name, str) else None)
    return None


def _volume_names(spec: Spec) -> Problem | None:
    names: set[str] = set()
    for index, name in _texts(spec.pod.volumes, "name"):
        if name in VOLUMES:
            return Problem(f"{_POD}.volumes[{index}].name", OURS, name)
        if name in names:
            return Problem(f"{_POD}.volumes[{index}].name", "must occur once", name)
        names.add(name)
    return None


def _volume_kinds(spec: Spec) -> Problem | None:
    for index, volume in enumerate(spec.pod.volumes):
        kinds = [each for each in volume if each != "name"]
        if len(kinds) != 1 or kinds[0] not in VOLUME_KINDS:
            rule = f"must have exactly one of {', '.join(VOLUME_KINDS)}"
            return Problem(f"{_POD}.volumes[{index}]", rule, " ".join(kinds)[:100] or "none of them")
    return None


def _mounted(spec: Spec) -> Problem | None:
    """The problem of a mount whose volume does not exist."""
    volumes = {name for _, name in _texts(spec.pod.volumes, "name")}
    mounts = [(f"{_POD}.volumeMounts", spec.pod.volume_mounts)]
    mounts += [(f"{path}.volumeMounts", _parts(each, "volumeMounts")) for path, each in _beside(spec)]
    for path, entries in mounts:
        for index, name in _texts(entries, "name"):
            if name not in volumes:
                return Problem(f"{path}[{index}].name", "must be one of spec.pod.volumes", name)
    return None


def _paths(spec: Spec) -> Problem | None:
    """The problem of a mount over a path that the runtime owns or needs."""
    has_source = spec.source is not None and spec.source.config_map is not None
    own = (*PATHS, SOURCE_PATH) if has_source else PATHS
    for index, path in _texts(spec.pod.volume_mounts, "mountPath"):
        over = next((each for each in (*own, *SYSTEM_PATHS) if f"{each}/".startswith(f"{path}/")), None)
        below = path.startswith(f"{SOURCE_PATH}/") and has_source
        if over is not None or below:
            rule = f"must not be {'below' if over is None else 'at or above'} {over or SOURCE_PATH}"
            return Problem(f"{_POD}.volumeMounts[{index}].mountPath", f"{rule}, {NEEDED}", path)
    return None


def _ports(spec: Spec) -> Problem | None:
    """The problem of another container's port that would get the runtime's requests."""
    for path, container in _beside(spec):
        for index, port in enumerate(_parts(container, "ports")):
            for field, ours in (("containerPort", PORT), ("name", PORT_NAME)):
                if port.get(field) == ours:
                    return Problem(f"{path}.ports[{index}].{field}", OURS, ours)
    return None


def _priority(spec: Spec) -> Problem | None:
    """The problem of a priority class for critical parts of a cluster, which evict everything else."""
    name = spec.pod.priority_class_name
    if name is None or not name.startswith(SYSTEM):
        return None
    return Problem(f"{_POD}.priorityClassName", f"must not begin with {SYSTEM}", name)


def _app_armor(spec: Spec) -> Problem | None:
    """The problem of an AppArmor profile that Pod Security's `restricted` does not allow."""
    for name, profile in spec.pod.annotations.items():
        if name.startswith(APP_ARMOR) and not CONFINED.fullmatch(profile):
            rule = "must be runtime/default or begin with localhost/"
            return Problem(f"{_POD}.annotations.{name}", rule, profile)
    return None


def _sleeps(spec: Spec) -> Problem | None:
    """The problem of a hook whose sleep is negative or too long for a node to wait."""
    hooks = [(f"{_POD}.lifecycle", spec.pod.lifecycle)]
    hooks += [(f"{path}.lifecycle", each.get("lifecycle")) for path, each in _beside(spec)]
    for path, given in hooks:
        for name in ("postStart", "preStop"):
            seconds: Any = given
            for part in (name, "sleep", "seconds"):
                seconds = seconds.get(part) if isinstance(seconds, dict) else None
            if isinstance(seconds, int) and not 0 <= seconds <= LONGEST_SLEEP:
                rule = f"must be at least 0 and at most {LONGEST_SLEEP}"
                return Problem(f"{path}.{name}.sleep.seconds", rule, seconds)
    return None


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(f"'{each}'" for each in texts)


def _no_list(name: str, holds: str) -> str:
    return f"(!has(self.{name}) || self.{name}.all(each, {holds}))"


def _free(paths: Sequence[str]) -> str:
    """A CEL expression that a mount is neither at one of these paths nor at a folder above one."""
    return f"[{_listed(paths)}].all(own, !(own + '/').startsWith(each.mountPath + '/'))"


_FREE_PORTS: Final = (
    "!has(each.ports) || each.ports.all(port, port.containerPort != "
    f"{PORT} && (!has(port.name) || port.name != '{PORT_NAME}'))"
)
_MOUNTED: Final = "has(self.volumes) && self.volumes.exists(other, other.name == each.name)"
_NOT_OURS: Final = f"each.name != '{CONTAINER}'"
_ONE: Final = "!has(self.containers) || !self.containers.exists(other, other.name == each.name)"

RULES: Final = (
    Rule(
        "pod",
        f"{_no_list('containers', _NOT_OURS)} && {_no_list('initContainers', f'{_NOT_OURS} && ({_ONE})')}",
        f"'{_POD}.containers: name of each entry, and of initContainers, must occur once; '"
        f" + '{CONTAINER} {OURS}'",
        _container_names,
    ),
    Rule(
        "pod",
        _no_list("volumes", f"!(each.name in [{_listed(VOLUMES)}])"),
        f"'{_POD}.volumes: {', '.join(VOLUMES)}: name of each entry {OURS}'",
        _volume_names,
    ),
    Rule("pod", None, None, _volume_kinds),
    Rule(
        "pod",
        _no_list("volumeMounts", _MOUNTED),
        f"'{_POD}.volumeMounts: name of each entry must be one of spec.pod.volumes'",
        _mounted,
    ),
    Rule(
        "pod",
        _no_list("volumeMounts", _free((*PATHS, *SYSTEM_PATHS))),
        f"'{_POD}.volumeMounts: mountPath of each entry must not be at or above a path {NEEDED}'",
        _paths,
    ),
    Rule(
        "",
        "!has(self.source) || !has(self.source.configMap) || !has(self.pod.volumeMounts)"
        f" || self.pod.volumeMounts.all(each, {_free((SOURCE_PATH,))}"
        f" && !each.mountPath.startsWith('{SOURCE_PATH}/'))",
        f"'{_POD}.volumeMounts: mountPath of each entry must not be in {SOURCE_PATH}, {NEEDED}'",
    ),
    Rule(
        "pod",
        f"{_no_list('containers', _FREE_PORTS)} && {_no_list('initContainers', _FREE_PORTS)}",
        f"'{_POD}.containers: port {PORT} and its name {PORT_NAME} of each entry: {OURS}'",
        _ports,
    ),
    Rule(
        "pod",
        f"!has(self.priorityClassName) || !self.priorityClassName.startsWith('{SYSTEM}')",
        f"'{_POD}.priorityClassName: ' + self.priorityClassName + ': must not begin with {SYSTEM}'",
        _priority,
    ),
    Rule("pod", None, None, _app_armor),
    Rule("pod", None, None, _sleeps),
)
