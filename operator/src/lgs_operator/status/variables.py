"""Which variable of a manifest's pods names their database or Redis, as far as the operator can tell. Pure.

It knows the names of variables, not what Secrets and ConfigMaps hold. Kubernetes takes `env` before
`envFrom`, and the last source of `envFrom` before the others; the runtime takes the first variable of several
that is not empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lgs_crds import Spec
from lgs_operator.kube.kinds import CONFIG_MAP, SECRET, Kind

Held = Mapping[tuple[Kind, str], Collection[str]]
"""By kind and name, the keys of a ConfigMap or Secret that hold something, as far as it was read."""
DATABASE: Final = ("DATABASE_URI", "POSTGRES_URI_CUSTOM", "POSTGRES_URI")
REDIS: Final = ("REDIS_URI_CUSTOM", "REDIS_URI")
"""The variables that name the runtime's servers, the first ones first."""


@dataclass(frozen=True)
class Named:
    """A variable and the field of the manifest that sets it; `value` is None where that is not known."""

    variable: str
    field: str
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.variable} of {self.field}"


def database_variable(spec: Spec, held: Held) -> Named | None:
    """The variable that names the database; None if there is none, or that of `spec.persistence`."""
    ours = ("DATABASE_URI",) if spec.persistence.postgres is not None else ()
    return _first(spec, DATABASE, ours, held)


def redis_variable(spec: Spec, held: Held) -> Named | None:
    """The variable that names Redis; None if there is none, or that of `spec.cache.redis`."""
    return _first(spec, REDIS, REDIS if spec.cache.redis is not None else (), held)


def _first(spec: Spec, names: tuple[str, ...], ours: tuple[str, ...], held: Held) -> Named | None:
    for name in names:
        field, entry = next(_in_env(spec, name), ("", None))
        if entry is not None and not entry.value_from:
            if entry.value:
                return Named(name, field, entry.value)
            continue
        if entry is not None and _is_set(entry.value_from or {}, held):
            return Named(name, field)
        if name in ours:
            if name == ours[-1]:
                return None
            continue
        if (found := _in_env_from(spec, name, held)) is not None:
            return Named(name, found)
    return None


def _in_env(spec: Spec, name: str) -> Iterator[tuple[str, Any]]:
    for index, each in reversed([*enumerate(spec.pod.env)]):
        if each.name == name:
            yield f"spec.pod.env[{index}]", each


def _is_set(value_from: dict[str, Any], held: Held) -> bool:
    """Whether the variable is set. Pods don't start without what it refers to, unless that is optional."""
    for kind, source in ((SECRET, "secretKeyRef"), (CONFIG_MAP, "configMapKeyRef")):
        each = value_from.get(source)
        if isinstance(each, dict) and each.get("optional"):
            return each.get("key") in held.get((kind, str(each.get("name"))), ())
    return True


def _in_env_from(spec: Spec, name: str, held: Held) -> str | None:
    for index, source in reversed([*enumerate(spec.pod.env_from)]):
        prefix = source.get("prefix") or ""
        for kind, field in ((SECRET, "secretRef"), (CONFIG_MAP, "configMapRef")):
            each = source.get(field)
            has = held.get((kind, str(each.get("name"))), ()) if isinstance(each, dict) else ()
            if name.startswith(prefix) and name.removeprefix(prefix) in has:
                return f"spec.pod.envFrom[{index}]"
    return None
