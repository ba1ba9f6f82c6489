"""What the operator writes into a container's environment is what the runtime reads there; and a manifest
that leaves a number out means the runtime's own default."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from lgs_crds import LangGraphService, parse
from lgs_crds.model.circuit_breaker import CircuitBreaker, GraphCircuitBreaker
from lgs_crds.model.workers import Workers
from lgs_operator.desired.environment import (
    API_KEYS_DIR,
    API_KEYS_FILE,
    DATA_DIR,
    SOURCE_DIR,
    environment,
    variables_of,
)
from lgs_operator.desired.inputs import Inputs, Revision
from lgs_operator.naming import RUNTIME_PORT, Component
from lgs_operator.settings import Images
from lgs_runtime.breaker.policy import Policy as BreakerPolicy
from lgs_runtime.budgets.limits import Budgets, Limit, Price
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.circuit_section import GraphPolicy
from lgs_runtime.graphs.warmup_section import Warmup, WarmupInput
from lgs_runtime.roles import Role
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import load_settings

FOLDER = Path(__file__).parent
"""What is mounted where the container has its source."""
SECRETS = {
    "DATABASE_URI": "postgres://lgs@db/lgs",
    "REDIS_URI": "redis://cache:6379",
    "LGS_DATABASE_ID": "0d9f8a5e",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b",
}
"""What Kubernetes puts in for the references to Secrets."""
SPEC: Mapping[str, Any] = {
    "source": {"configMap": "support-graph"},
    "graphs": {"agent": "./graph.py:graph"},
    "workers": {
        "concurrency": 7,
        "queues": {"high": 11, "normal": 12, "low": 13, "user": 14},
        "runTimeoutSeconds": 15.5,
        "maxAttempts": 4,
        "unservedSeconds": 18.5,
        "drainSeconds": 17,
    },
    "persistence": {
        "postgres": {"uriSecret": {"name": "db", "key": "uri"}},
        "runTTLHours": 1.5,
        "versions": {"limit": 19},
    },
    "cache": {
        "redis": {"uriSecret": {"name": "cache", "key": "uri"}},
        "ttlSeconds": 20,
        "compressionThresholdBytes": 21,
        "warmup": {
            "timeoutSeconds": 31.5,
            "inputs": [{"assistant": "agent", "input": {"no": None}, "context": {"city": "Bonn"}}],
            "file": "warmup.jsonl",
        },
        "answers": {"agent": {"ttlSeconds": 31}},
    },
    "circuitBreaker": {
        "failureThreshold": 0.22,
        "minimumCalls": 23,
        "windowSeconds": 24.5,
        "recoverySeconds": 25.5,
        "probes": 26,
        "slowCallSeconds": 27.5,
        "slowCallThreshold": 0.28,
        "ignore": ["shop.errors.BadQuestion"],
        "graphs": {"agent": {"recoverySeconds": 29}},
    },
    "budgets": {
        "limits": [{"cost": 34.5, "per": "Day", "of": "User"}],
        "prices": {"*": {"input": 3, "output": 15.5, "cachedInput": 0.5}},
    },
    "observability": {
        "tracing": {
            "endpoint": "http://collector:4318",
            "headersSecret": {"name": "collector"},
            "sampleRatio": 0.25,
            "redact": False,
        },
    },
    "auth": {
        "path": "./auth.py:auth",
        "disableStudioAuth": True,
        "apiKeys": {"secret": {"name": "keys", "key": "keys"}},
    },
    "rollout": {"strategy": "Pinned"},
}
READ: Mapping[str, tuple[Callable[[Settings], Any], Any]] = {
    "LGS_SERVICE": (lambda s: s.service, "shop.support"),
    "LGS_HOST": (lambda s: s.host, "0.0.0.0"),
    "LGS_PORT": (lambda s: s.port, RUNTIME_PORT),
    "LGS_DATA_DIR": (lambda s: s.data_dir, Path(DATA_DIR)),
    "LGS_SOURCE": (lambda s: s.source, FOLDER),
    "LGS_REPLICA_ID": (lambda s: s.replica_id, "support-1"),
    "LGS_CONCURRENCY": (lambda s: s.concurrency, 7),
    "LGS_QUEUE_HIGH": (lambda s: s.queue_limits.high, 11),
    "LGS_QUEUE_NORMAL": (lambda s: s.queue_limits.normal, 12),
    "LGS_QUEUE_LOW": (lambda s: s.queue_limits.low, 13),
    "LGS_QUEUE_USER": (lambda s: s.queue_limits.user, 14),
    "LGS_RUN_TIMEOUT_SECONDS": (lambda s: s.run_timeout_seconds, 15.5),
    "LGS_MAX_ATTEMPTS": (lambda s: s.max_attempts, 4),
    "LGS_UNSERVED_SECONDS": (lambda s: s.unserved_seconds, 18.5),
    "LGS_DRAIN_SECONDS": (lambda s: s.drain_seconds, 17),
    "LGS_RUN_TTL_HOURS": (lambda s: s.run_ttl_hours, 1.5),
    "LGS_VERSIONS_LIMIT": (lambda s: s.versions_limit, 19),
    "LGS_CACHE_TTL_SECONDS": (lambda s: s.cache_ttl_seconds, 20),
    "LGS_CACHE_COMPRESSION_THRESHOLD_BYTES": (lambda s: s.cache_compression_threshold_bytes, 21),
    "LGS_CACHE_WARMUP": (
        lambda s: s.warmup,
        Warmup(
            (WarmupInput("LGS_CACHE_WARMUP.inputs[0]", {"no": None}, "agent", {"city": "Bonn"}),),
            "warmup.jsonl",
            31.5,
        ),
    ),
    "LANGSERVE_GRAPHS": (lambda s: list(s.graphs), ["agent"]),
    "LGS_AUTH_PATH": (lambda s: s.auth_path, "./auth.py:auth"),
    "LGS_DISABLE_STUDIO_AUTH": (lambda s: s.disable_studio_auth, True),
    "LGS_API_KEYS_FILE": (lambda s: s.api_keys_file, Path(API_KEYS_DIR) / API_KEYS_FILE),
    "LGS_CIRCUIT_BREAKER": (
        lambda s: s.circuits["agent"],
        GraphPolicy(
            BreakerPolicy(
                failure_threshold=0.22,
                minimum_calls=23,
                window_seconds=24.5,
                recovery_timeout=29,
                probes=26,
                slow_call_seconds=27.5,
                slow_call_threshold=0.28,
            ),
            ignore=("shop.errors.BadQuestion",),
        ),
    ),
    "LGS_BUDGETS": (
        lambda s: s.budgets,
        Budgets((Limit(34.5, "cost", 86400, by_user=True),), {"*": Price(3, 15.5, 0.5)}),
    ),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (
        lambda s: s.tracing and s.tracing.endpoint,
        "http://collector:4318/v1/traces",
    ),
    "OTEL_EXPORTER_OTLP_HEADERS": (lambda s: s.tracing and s.tracing.headers, (("x-key", "a b"),)),
    "OTEL_TRACES_SAMPLER": (lambda s: s.tracing and s.tracing.parent_based, True),
    "OTEL_TRACES_SAMPLER_ARG": (lambda s: s.tracing and s.tracing.ratio, 0.25),
    "LGS_TRACING_REDACT": (lambda s: s.tracing and s.tracing.redact, False),
    "LGS_ANSWER_CACHE": (lambda s: s.answers, {"agent": 31}),
    "LGS_REVISION": (lambda s: s.revision, "33"),
    "LGS_PINNING": (lambda s: s.pinning, "open"),
    "LGS_REVISION_DIGEST": (lambda s: len(s.revision_digest), 16),
    "LGS_ROLE": (lambda s: s.role, Role.COMBINED),
    "LGS_DATABASE_ID": (lambda s: s.database_id, SECRETS["LGS_DATABASE_ID"]),
    "DATABASE_URI": (lambda s: s.database_uri, SECRETS["DATABASE_URI"]),
    "REDIS_URI": (lambda s: s.redis_uri, SECRETS["REDIS_URI"]),
    "REDIS_URI_CUSTOM": (lambda s: s.redis_uri, SECRETS["REDIS_URI"]),
}
"""For each variable: where the settings have it, and what the manifest above says."""


ALIASES = ("N_JOBS_PER_WORKER", "POSTGRES_URI", "POSTGRES_URI_CUSTOM")
"""By which the runtime takes the same from the environment of LangGraph's own server."""


def service(spec: Mapping[str, Any]) -> LangGraphService:
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService"}
    return parse(
        {**head, "metadata": {"name": "support", "namespace": "shop"}, "spec": spec}, on_cluster=True
    )


def inputs(spec: Mapping[str, Any]) -> Inputs:
    revision = Revision(33, "support-revision-1f", {})
    return Inputs(service(spec), Images(), "", None, "", operator_namespace="lgs-system", revision=revision)


def in_the_container(
    spec: Mapping[str, Any],
    component: Component = "runtime",
    env_from: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The variables as a process finds them: those of `env` win over those of `envFrom`, says Kubernetes."""
    fields = {"metadata.name": "support-1"}
    found = dict(env_from)
    for one in environment(inputs(spec), component):
        source = one.get("valueFrom", {})
        if "value" in one:
            found[one["name"]] = one["value"].replace(SOURCE_DIR, str(FOLDER))
        elif "fieldRef" in source:
            found[one["name"]] = fields[source["fieldRef"]["fieldPath"]]
        else:
            found[one["name"]] = SECRETS[one["name"]]
    return found


def test_every_variable_that_the_operator_writes_has_its_place_in_the_settings() -> None:
    assert in_the_container(SPEC).keys() == READ.keys(), (
        "SPEC above must say each field, and READ where the settings have the variable of each"
    )


@pytest.mark.parametrize("name", READ)
def test_the_runtime_reads_what_the_manifest_says(name: str) -> None:
    settings = load_settings(in_the_container(SPEC))

    found, said = READ[name]
    assert found(settings) == said, f"SPEC above must say it, settings_loader.py must read {name}"


@pytest.mark.parametrize(
    ("topology", "component", "role"),
    [("Combined", "runtime", "combined"), ("Split", "runtime", "worker"), ("Split", "api", "api")],
)
def test_a_variable_of_the_operators_that_is_in_a_secret_of_env_from_changes_nothing(
    topology: str, component: Component, role: str
) -> None:
    """As in the `.env` that somebody wrote for another server, or by what `env` printed in a pod."""
    spec = {**SPEC, "topology": topology}
    theirs = dict.fromkeys([*READ, *ALIASES], "theirs")

    settings = load_settings(in_the_container(spec, component, theirs))

    assert settings == load_settings(in_the_container(spec, component))
    assert settings.role == role


def test_what_replicas_are_there_for_is_in_no_secret_of_env_from_where_the_manifest_says_little() -> None:
    little = {"image": "example.com/support:1", "graphs": {"agent": "./graph.py:graph"}}

    settings = load_settings(in_the_container(little, env_from={"LGS_ROLE": "api"}))

    assert settings.role is Role.COMBINED


def test_what_a_manifest_leaves_out_is_what_the_runtime_takes_by_itself() -> None:
    written = variables_of(service({"image": "example.com/support:1"}).spec)
    graphs = {"LANGSERVE_GRAPHS": '{"agent": "./graph.py:graph"}'}

    of_manifest, of_runtime = load_settings(graphs | written), load_settings(graphs)

    assert written.keys() <= READ.keys(), "READ above must say where the settings have it"
    for name in written:
        found, _ = READ[name]
        assert found(of_manifest) == found(of_runtime), f"{name}: the model and Settings have other defaults"


def test_what_the_manifest_says_of_a_default_that_it_leaves_to_the_runtime_holds() -> None:
    said = {
        name: re.findall(r"Default: (\d+)\.", field.description or "")
        for name, field in Workers.model_fields.items()
    }

    left = {name: float(found[0]) for name, found in said.items() if found}

    assert left == {"unserved_seconds": Settings().unserved_seconds}


def test_a_zero_that_means_for_ever_reaches_the_runtime() -> None:
    spec = {"image": "example.com/support:1", "graphs": SPEC["graphs"], "workers": {"unservedSeconds": 0}}

    assert load_settings(in_the_container(spec)).unserved_seconds == 0.0


def test_a_replica_starts_though_nobody_has_known_its_database_yet() -> None:
    written = {one["name"]: one for one in environment(inputs(SPEC))}

    references = {
        name: one["valueFrom"]["secretKeyRef"].get("optional", False)
        for name, one in written.items()
        if "secretKeyRef" in one.get("valueFrom", {})
    }
    optional = {name for name, may_lack in references.items() if may_lack}

    assert optional == {"LGS_DATABASE_ID"}


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "example.com/support:2"},
        {"graphs": {"agent": "./other.py:graph"}},
        {"pod": {"env": [{"name": "MODEL", "value": "another"}]}},
    ],
    ids=["image", "graphs", "env"],
)
def test_answers_are_cached_for_what_makes_them_and_no_longer(changed: dict[str, Any]) -> None:
    spec = {"image": "example.com/support:1", "graphs": SPEC["graphs"], "cache": {"answers": {"agent": {}}}}
    kept = load_settings(in_the_container(spec)).revision_digest

    others = load_settings(in_the_container({**spec, "workers": {"concurrency": 3}})).revision_digest
    after = load_settings(in_the_container({**spec, **changed})).revision_digest

    assert kept == others != after


def test_what_tracing_leaves_out_is_what_the_runtime_takes_by_itself() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    spec = {"observability": {"tracing": {"endpoint": endpoint["OTEL_EXPORTER_OTLP_ENDPOINT"]}}}
    graphs = {"LANGSERVE_GRAPHS": '{"agent": "./graph.py:graph"}'}

    of_manifest = load_settings(
        in_the_container({"graphs": {"agent": "./graph.py:graph"}, **spec, "image": "x"})
    )

    assert of_manifest.tracing == load_settings(graphs | endpoint).tracing
    assert of_manifest.tracing is not None


LEAST: Mapping[str, tuple[dict[str, Any], Any]] = {
    "LGS_CIRCUIT_BREAKER": ({"circuitBreaker": {}}, {}),
    "LGS_CACHE_WARMUP": ({"cache": {"warmup": {"file": "warmup.jsonl"}}}, {"file": "warmup.jsonl"}),
    "LGS_ANSWER_CACHE": ({"cache": {"answers": {"agent": {}}}}, {"agent": {}}),
    "LGS_BUDGETS": (
        {"budgets": {"limits": [{"tokens": 5, "per": "Hour"}]}},
        {"limits": [{"tokens": 5, "per": "Hour"}]},
    ),
    "LANGSERVE_GRAPHS": ({}, SPEC["graphs"]),
}
"""Of each variable that holds a section: as little as a manifest may say in it, and the same by itself."""


def test_every_variable_that_holds_a_section_is_compared_with_the_runtimes_defaults() -> None:
    written = in_the_container(SPEC)

    assert {name for name, value in written.items() if value.startswith("{")} == LEAST.keys()


@pytest.mark.parametrize("name", LEAST)
def test_what_a_section_leaves_out_is_what_the_runtime_takes_by_itself(name: str) -> None:
    said, alone = LEAST[name]
    spec = service({"image": "example.com/support:1", "graphs": SPEC["graphs"], **said}).spec
    graphs = {"LANGSERVE_GRAPHS": json.dumps(SPEC["graphs"])}
    found, whole = READ[name]

    of_manifest = found(load_settings(variables_of(spec)))
    of_runtime = found(load_settings(graphs | {name: json.dumps(alone)}))

    assert of_manifest == of_runtime
    assert name == "LANGSERVE_GRAPHS" or of_runtime != whole, "SPEC above must say something else"


def test_what_a_graph_may_have_of_its_own_is_what_all_have() -> None:
    assert CircuitBreaker.model_fields.keys() - {"graphs"} == GraphCircuitBreaker.model_fields.keys()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"circuitBreaker": {"graphs": {"agnet": {"probes": 1}}}},
            "LGS_CIRCUIT_BREAKER.graphs.agnet: unknown: must be one of agent",
        ),
        (
            {"cache": {"answers": {"agnet": {}}}},
            "LGS_ANSWER_CACHE.agnet: unknown: must be one of agent",
        ),
    ],
    ids=["circuitBreaker", "cache.answers"],
)
def test_a_graph_that_the_images_file_does_not_have_ends_the_replica_by_its_name(
    tmp_path: Path, spec: dict[str, Any], words: str
) -> None:
    """Where the manifest leaves the graphs to the image, nobody knows them before the replica does: its last
    words stand in the condition."""
    file = tmp_path / "langgraph.json"
    file.write_text('{"graphs": {"agent": "./graph.py:graph"}}')
    written = variables_of(service({"image": "example.com/support:1"} | spec).spec)

    with pytest.raises(ConfigError) as refused:
        load_settings(written | {"LGS_CONFIG": str(file)})

    assert words in str(refused.value)
