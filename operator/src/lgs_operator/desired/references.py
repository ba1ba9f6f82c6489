"""The user's ConfigMaps and Secrets that a service's pods read. Pure.

A missing one would keep the pods from starting unless it is optional; a changed one must reach them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from lgs_crds import Spec
from lgs_operator.kube.kinds import CONFIG_MAP, SECRET
from lgs_operator.kube.referenced import Reference
from lgs_operator.naming import application_secret

SOURCE_FIELD: Final = "spec.source.configMap"
CLUSTER_FIELD: Final = "spec.persistence.postgres.cloudNativePG"


def references(spec: Spec) -> tuple[Reference, ...]:
    """All references of a spec, each place once."""
    return tuple(dict.fromkeys(_all(spec)))


def _all(spec: Spec) -> Iterator[Reference]:
    if spec.source and spec.source.config_map:
        yield Reference(CONFIG_MAP, spec.source.config_map, SOURCE_FIELD, copied=True)
    postgres, redis = spec.persistence.postgres, spec.cache.redis
    if postgres and postgres.uri_secret:
        secret = postgres.uri_secret
        yield Reference(SECRET, secret.name, "spec.persistence.postgres.uriSecret", secret.key)
    if postgres and postgres.cloud_native_pg:
        name = application_secret(postgres.cloud_native_pg.cluster)
        yield Reference(SECRET, name, CLUSTER_FIELD, "uri")
    if redis and redis.uri_secret:
        yield Reference(SECRET, redis.uri_secret.name, "spec.cache.redis.uriSecret", redis.uri_secret.key)
    if spec.auth.api_keys:
        keys = spec.auth.api_keys.secret
        yield Reference(SECRET, keys.name, "spec.auth.apiKeys.secret", keys.key, live=True)
    tracing = spec.observability.tracing
    if tracing and tracing.headers_secret:
        headers = tracing.headers_secret
        yield Reference(SECRET, headers.name, "spec.observability.tracing.headersSecret", headers.key)
    for index, variable in enumerate(spec.pod.env):
        yield from _env_reference(variable.value_from or {}, f"spec.pod.env[{index}]")
    for index, source in enumerate(spec.pod.env_from):
        yield from _env_from_reference(source, f"spec.pod.envFrom[{index}]")
    for index, volume in enumerate(spec.pod.volumes):
        yield from _volume_reference(volume, f"spec.pod.volumes[{index}]")
    for name, containers in (
        ("initContainers", spec.pod.init_containers),
        ("containers", spec.pod.containers),
    ):
        for index, container in enumerate(containers):
            yield from _container_references(container, f"spec.pod.{name}[{index}]")


def _container_references(container: dict[str, Any], field: str) -> Iterator[Reference]:
    for index, variable in enumerate(_entries(container, "env")):
        yield from _env_reference(variable.get("valueFrom") or {}, f"{field}.env[{index}]")
    for index, source in enumerate(_entries(container, "envFrom")):
        yield from _env_from_reference(source, f"{field}.envFrom[{index}]")


def _entries(container: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = container.get(name)
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _volume_reference(volume: dict[str, Any], field: str) -> Iterator[Reference]:
    """The references of a volume. They are live: the nodes bring a change into the pods that mount it."""
    for source, kind, name in (("secret", SECRET, "secretName"), ("configMap", CONFIG_MAP, "name")):
        each = volume.get(source)
        if isinstance(each, dict) and each.get(name):
            found = Reference(
                kind, str(each[name]), f"{field}.{source}", optional=bool(each.get("optional")), live=True
            )
            yield found
            keys = (item.get("key") for item in _entries(each, "items"))
            # Without such a key the pod waits for its volume for ever.
            yield from (replace(found, key=key) for key in keys if isinstance(key, str))


def _env_reference(value_from: Any, field: str) -> Iterator[Reference]:
    if not isinstance(value_from, dict):
        return
    for name, kind in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
        each = value_from.get(name)
        if isinstance(each, dict) and each.get("name"):
            key = None if each.get("key") is None else str(each["key"])
            yield Reference(kind, str(each["name"]), field, key, bool(each.get("optional")))


def _env_from_reference(source: dict[str, Any], field: str) -> Iterator[Reference]:
    for name, kind in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
        each = source.get(name)
        if isinstance(each, dict) and each.get("name"):
            yield Reference(kind, str(each["name"]), field, optional=bool(each.get("optional")))
