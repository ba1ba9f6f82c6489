"""The environment of the runtime's container: the manifest as the variables in `docs/architecture.md`.

Secrets are referred to, never copied. What the user sets in `pod.env` comes last and wins.
`pod.envFrom` does not: Kubernetes uses it only for variables that are not set here. So whatever the
manifest decides is always set here.
"""

from __future__ import annotations

import hashlib
import json
import re

from lgs_crds import Spec
from lgs_crds.model.base import SecretKey
from lgs_crds.model.cache import Warmup
from lgs_crds.model.pod import EnvVar
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.known_database import KEY
from lgs_operator.desired.objects import name_of
from lgs_operator.kube.kinds import Manifest
from lgs_operator.naming import RUNTIME_PORT, Component, application_secret

DATA_DIR = "/var/lib/lgs"
SOURCE_DIR = "/app"
API_KEYS_DIR = "/var/run/lgs/api-keys"
API_KEYS_FILE = "keys"
ROLE_VARIABLE = "LGS_ROLE"
PINNING_VARIABLE = "LGS_PINNING"
COMBINED, API, WORKER = "combined", "api", "worker"
"""The roles of replicas. A worker answers no requests."""


def environment(inputs: Inputs, component: Component = "runtime") -> list[Manifest]:
    """The `env` of a container of the runtime, each name once."""
    spec = inputs.service.spec
    values = {
        "LGS_SERVICE": f"{inputs.namespace}.{inputs.name}",
        "LGS_HOST": "0.0.0.0",
        "LGS_PORT": str(RUNTIME_PORT),
        "LGS_DATA_DIR": DATA_DIR,
    } | variables_of(spec)
    if inputs.revision is not None:
        values["LGS_REVISION"] = str(inputs.revision.number)
        if spec.rollout.strategy == "Pinned":
            values[PINNING_VARIABLE] = "open"
    values[ROLE_VARIABLE] = role(inputs, component)
    if spec.source and spec.source.config_map:
        values["LGS_SOURCE"] = SOURCE_DIR
    if spec.persistence.postgres and spec.persistence.postgres.pooler:
        values["LGS_DATABASE_POOLER"] = spec.persistence.postgres.pooler
    if spec.auth.api_keys is not None:
        values["LGS_API_KEYS_FILE"] = f"{API_KEYS_DIR}/{API_KEYS_FILE}"
    given: dict[str, Manifest] = {
        name: {"name": name, "value": _literal(value)} for name, value in values.items()
    }
    given["LGS_REPLICA_ID"] = {
        "name": "LGS_REPLICA_ID",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
    }
    secrets = {"DATABASE_URI": database_reference(inputs), "REDIS_URI": redis_reference(inputs)}
    for name, secret in secrets.items():
        if secret is not None:
            reference = {"name": secret.name, "key": secret.key}
            given[name] = {"name": name, "valueFrom": {"secretKeyRef": reference}}
    if secrets["REDIS_URI"] is not None:
        # This variable would win over the Redis of the manifest; an empty one counts as not set.
        given["REDIS_URI_CUSTOM"] = {"name": "REDIS_URI_CUSTOM", "value": ""}
    if database_reference(inputs) is not None:
        known = {"name": name_of(inputs, "database-id"), "key": KEY, "optional": True}
        given["LGS_DATABASE_ID"] = {"name": "LGS_DATABASE_ID", "valueFrom": {"secretKeyRef": known}}
    given |= {each["name"]: each for each in _tracing(spec)}
    given |= {each.name: _as_written(each) for each in spec.pod.env}
    return list(given.values())


def _literal(value: str) -> str:
    """A value escaped so that Kubernetes passes it on as it is: it would replace `$(NAME)` by a variable, and
    `$$` by `$`. Other `$` stay unescaped, as they always were, so that no pods are replaced for nothing."""
    return re.sub(r"\$(?=[$(])", "$$", value)


def role(inputs: Inputs, component: Component) -> str:
    """The role of a Deployment's replicas, as `LGS_ROLE` has it."""
    if not inputs.split:
        return COMBINED
    return API if component == "api" else WORKER


def variables_of(spec: Spec) -> dict[str, str]:
    """The variables by which the manifest configures the runtime, both in a cluster and under `lgs up`."""
    workers, queues = spec.workers, spec.workers.queues
    values = {
        "LGS_CONCURRENCY": str(workers.concurrency),
        "LGS_QUEUE_HIGH": str(queues.high),
        "LGS_QUEUE_NORMAL": str(queues.normal),
        "LGS_QUEUE_LOW": str(queues.low),
        "LGS_RUN_TIMEOUT_SECONDS": _plain(workers.run_timeout_seconds),
        "LGS_MAX_ATTEMPTS": str(workers.max_attempts),
        "LGS_DRAIN_SECONDS": str(workers.drain_seconds),
        "LGS_RUN_TTL_HOURS": _plain(spec.persistence.run_ttl_hours),
        "LGS_VERSIONS_LIMIT": str(spec.persistence.versions.limit),
        "LGS_CACHE_TTL_SECONDS": str(spec.cache.ttl_seconds),
        "LGS_CACHE_COMPRESSION_THRESHOLD_BYTES": str(spec.cache.compression_threshold_bytes),
    }
    if queues.user is not None:
        values["LGS_QUEUE_USER"] = str(queues.user)
    if workers.unserved_seconds is not None:
        values["LGS_UNSERVED_SECONDS"] = _plain(workers.unserved_seconds)
    if spec.graphs:
        values["LANGSERVE_GRAPHS"] = json.dumps(spec.graphs, sort_keys=True)
    if spec.circuit_breaker is not None:
        written = spec.circuit_breaker.model_dump(by_alias=True, exclude_none=True)
        values["LGS_CIRCUIT_BREAKER"] = json.dumps(written, sort_keys=True)
    if spec.budgets is not None:
        written = spec.budgets.model_dump(by_alias=True, exclude_none=True)
        values["LGS_BUDGETS"] = json.dumps(written, sort_keys=True)
    if spec.cache.warmup is not None:
        values["LGS_CACHE_WARMUP"] = _warmup(spec.cache.warmup)
    if spec.cache.answers:
        kept = {
            graph: own.model_dump(by_alias=True, exclude_none=True)
            for graph, own in spec.cache.answers.items()
        }
        values["LGS_ANSWER_CACHE"] = json.dumps(kept, sort_keys=True)
        values["LGS_REVISION_DIGEST"] = _digest(spec)
    if spec.auth.path is not None:
        values["LGS_AUTH_PATH"] = spec.auth.path
    if spec.auth.disable_studio_auth:
        values["LGS_DISABLE_STUDIO_AUTH"] = "true"
    return values


def _tracing(spec: Spec) -> list[Manifest]:
    """The OpenTelemetry variables that say where the traces of runs go; empty if the
    manifest names no place."""
    tracing = spec.observability.tracing
    if tracing is None:
        return []
    values = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": tracing.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": _plain(tracing.sample_ratio),
        "LGS_TRACING_REDACT": str(tracing.redact).lower(),
    }
    written: list[Manifest] = [{"name": name, "value": value} for name, value in values.items()]
    if (secret := tracing.headers_secret) is not None:
        reference = {"name": secret.name, "key": secret.key}
        written.append({"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": {"secretKeyRef": reference}})
    return written


def _warmup(warmup: Warmup) -> str:
    # A null inside an input is the user's own value, so only top-level ones are left out.
    inputs = [
        {name: value for name, value in each.model_dump(mode="json").items() if value is not None}
        for each in warmup.inputs
    ]
    written = {"timeoutSeconds": warmup.timeout_seconds, "inputs": inputs, "file": warmup.file}
    return json.dumps(written, sort_keys=True)


def database_reference(inputs: Inputs) -> SecretKey | None:
    """The Secret key with the database's URI; None means SQLite in the pod."""
    postgres = inputs.service.spec.persistence.postgres
    if postgres is None:
        return None
    if postgres.cloud_native_pg is not None:
        return SecretKey(name=application_secret(postgres.cloud_native_pg.cluster), key="uri")
    if postgres.managed is not None:
        return SecretKey(name=name_of(inputs, "postgres"), key="uri")
    return postgres.uri_secret


def redis_reference(inputs: Inputs) -> SecretKey | None:
    """The Secret key with the URI of Redis; None means memory in each pod."""
    redis = inputs.service.spec.cache.redis
    if redis is None:
        return None
    return SecretKey(name=name_of(inputs, "redis"), key="uri") if redis.managed else redis.uri_secret


def _digest(spec: Spec) -> str:
    """A digest of what in a manifest decides its graphs' answers, apart from the files of
    image and source."""
    variables = [each.model_dump(mode="json", by_alias=True) for each in spec.pod.env]
    said = json.dumps([spec.image, spec.graphs, variables], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _as_written(variable: EnvVar) -> Manifest:
    written: Manifest = {"name": variable.name}
    if variable.value_from is not None:
        written["valueFrom"] = variable.value_from
    else:
        written["value"] = variable.value or ""
    return written


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)
