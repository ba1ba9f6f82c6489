"""What a manifest wants to exist, object by object."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from lgs_crds import parse
from lgs_operator.desired.credentials import Credentials, Login
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs, PostgresInputs
from lgs_operator.desired.references import references
from lgs_operator.desired.server_image import ServerImage
from lgs_operator.desired.source_copy import mounted, source_copy
from lgs_operator.kube.referenced import combined, digest_of
from lgs_operator.settings import Images


def inputs(contents: str = "abc", **spec: Any) -> Inputs:
    document = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
        "spec": {"image": "example.com/support:1"} | spec,
    }
    service, images = parse(document), Images()
    postgres = service.spec.persistence.postgres
    managed = None
    if postgres is not None and postgres.managed is not None:
        image = ServerImage(images.postgres, images.postgres_uid)
        managed = PostgresInputs(postgres.managed, image, Credentials(Login("lgs", "pg-password")))
    return Inputs(service, images, contents, managed, "redis-password", "lgs-system")


def objects(**spec: Any) -> dict[tuple[str, str], Any]:
    return {(each["kind"], each["metadata"]["name"]): each for each in everything(inputs(**spec))}


def runtime(**spec: Any) -> dict[str, Any]:
    template: dict[str, Any] = objects(**spec)["Deployment", "support"]["spec"]["template"]
    return template


def env(**spec: Any) -> dict[str, Any]:
    variables = runtime(**spec)["spec"]["containers"][0]["env"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in variables}


def test_a_small_service_wants_four_objects() -> None:
    assert set(objects()) == {
        ("Deployment", "support"),
        ("Service", "support"),
        ("ServiceAccount", "support"),
        ("PodDisruptionBudget", "support"),
    }


def owners(wanted: dict[tuple[str, str], Any]) -> dict[tuple[str, str], list[str]]:
    return {
        key: [owner["uid"] for owner in each["metadata"].get("ownerReferences", [])]
        for key, each in wanted.items()
    }


def test_everything_goes_with_its_service_but_the_volume_and_its_password() -> None:
    wanted = objects(persistence={"postgres": {"managed": {}}}, cache={"redis": {"managed": {}}})

    kept = {key for key, uids in owners(wanted).items() if uids != ["u1"]}

    assert kept == {("PersistentVolumeClaim", "data-support-postgres-0"), ("Secret", "support-postgres")}
    assert all(owners(wanted)[key] == [] for key in kept)


def test_with_the_policy_delete_everything_goes_with_its_service() -> None:
    wanted = objects(persistence={"postgres": {"managed": {"deletionPolicy": "Delete"}}})

    assert all(uids == ["u1"] for uids in owners(wanted).values())


def test_the_replicas_are_the_autoscalers_unless_the_manifest_sets_them() -> None:
    automatic = objects()["Deployment", "support"]["spec"]
    postgres = {"postgres": {"managed": {}}}
    manual = objects(scaling={"mode": "Manual"}, replicas=3, persistence=postgres)["Deployment", "support"]

    assert "replicas" not in automatic
    assert manual["spec"]["replicas"] == 3


def test_the_pods_are_restricted_and_replaced_without_a_gap() -> None:
    deployment = objects(workers={"drainSeconds": 90})["Deployment", "support"]["spec"]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]

    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 0}
    assert pod["terminationGracePeriodSeconds"] == 105
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def unavailable(retreats: bool, **spec: Any) -> dict[str, Any]:
    """How many replicas of each Deployment may be missing while they are replaced."""
    wanted = everything(replace(inputs(**spec), retreats=retreats))
    found = {each["metadata"]["name"]: each["spec"] for each in wanted if each["kind"] == "Deployment"}
    return {name: spec["strategy"]["rollingUpdate"]["maxUnavailable"] for name, spec in found.items()}


def test_replicas_that_fail_what_they_execute_go_before_others_have_come_but_for_those_that_answer() -> None:
    split = {"topology": "Split", "persistence": {"postgres": {"uriSecret": {"name": "db", "key": "uri"}}}}

    assert unavailable(True) == {"support": "50%"}
    assert unavailable(True, **split) == {"support": "100%", "support-api": 0}
    assert unavailable(False, **split) == {"support": 0, "support-api": 0}


def test_replicas_spread_over_nodes_even_where_nodes_have_no_zones() -> None:
    pod = runtime()["spec"]

    # A constraint on zones would make the scheduler ignore every node without one.
    assert [each["topologyKey"] for each in pod["topologySpreadConstraints"]] == ["kubernetes.io/hostname"]
    zones = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [each["podAffinityTerm"]["topologyKey"] for each in zones] == ["topology.kubernetes.io/zone"]


def test_replicas_of_a_lost_node_are_replaced_within_seconds_unless_the_manifest_says_otherwise() -> None:
    unreachable = "node.kubernetes.io/unreachable"
    patient = {"key": unreachable, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 900}

    tolerations = runtime()["spec"]["tolerations"]
    chosen = runtime(pod={"tolerations": [patient]})["spec"]["tolerations"]
    every_taint = runtime(pod={"tolerations": [{"operator": "Exists"}]})["spec"]["tolerations"]

    assert {each["key"]: each["tolerationSeconds"] for each in tolerations} == {
        "node.kubernetes.io/not-ready": 20,
        unreachable: 20,
    }
    assert [each for each in chosen if each["key"] == unreachable] == [patient]
    assert every_taint == [{"operator": "Exists"}]


def test_the_manifest_reaches_the_runtime_as_environment() -> None:
    given = env(
        graphs={"agent": "./graph.py:graph"}, workers={"queues": {"high": 7}, "runTimeoutSeconds": 60}
    )

    assert given["LANGSERVE_GRAPHS"] == '{"agent": "./graph.py:graph"}'
    assert (given["LGS_QUEUE_HIGH"], given["LGS_RUN_TIMEOUT_SECONDS"]) == ("7", "60")
    assert (given["LGS_HOST"], given["LGS_SERVICE"]) == ("0.0.0.0", "team.support")
    assert "DATABASE_URI" not in given


def expanded(value: str, known: str) -> str:
    """What Kubernetes makes of the value of a variable, where one that is known has this value."""

    def of(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else known if found[1] else found[0]

    return re.sub(r"\$\$|\$\((\w+)\)", of, value)


@pytest.mark.parametrize("asked", ["what is $(DATABASE_URI)?", "$$5 or $5", "$$(DATABASE_URI)", "$(", "a$"])
def test_nothing_is_put_in_for_what_an_input_asks(asked: str) -> None:
    warmup = {"inputs": [{"input": {"asked": asked}}], "file": asked}
    given = env(cache={"warmup": warmup}, persistence={"postgres": {"managed": {}}})

    came = json.loads(expanded(given["LGS_CACHE_WARMUP"], "postgresql://secret"))

    assert (came["inputs"], came["file"]) == (warmup["inputs"], asked)


def test_what_kubernetes_leaves_alone_is_written_as_it_stands() -> None:
    """A service whose texts have a price in them has no new pods for another operator."""
    warmup = {"inputs": [{"input": {"asked": "$5 in US$"}}]}

    assert '$5 in US$"' in env(cache={"warmup": warmup})["LGS_CACHE_WARMUP"]


@pytest.mark.parametrize(
    ("postgres", "secret"),
    [
        ({"uriSecret": {"name": "db", "key": "dsn"}}, {"name": "db", "key": "dsn"}),
        ({"cloudNativePG": {"cluster": "main"}}, {"name": "main-app", "key": "uri"}),
        ({"managed": {}}, {"name": "support-postgres", "key": "uri"}),
    ],
)
def test_the_database_comes_from_a_secret(postgres: dict[str, Any], secret: dict[str, str]) -> None:
    assert env(persistence={"postgres": postgres})["DATABASE_URI"] == {"secretKeyRef": secret}


def test_the_pooler_of_a_database_is_named_beside_it() -> None:
    given = env(persistence={"postgres": {"cloudNativePG": {"cluster": "main"}, "pooler": "main-pooler-rw"}})

    assert given["DATABASE_URI"] == {"secretKeyRef": {"name": "main-app", "key": "uri"}}
    assert given["LGS_DATABASE_POOLER"] == "main-pooler-rw"


def test_traces_go_where_the_manifest_says_with_headers_of_a_secret() -> None:
    tracing = {"endpoint": "https://otel.example.com/otlp", "headersSecret": {"name": "collector"}}

    given = env(observability={"tracing": {**tracing, "sampleRatio": 0.1}})

    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://otel.example.com/otlp"
    assert given["OTEL_EXPORTER_OTLP_HEADERS"] == {"secretKeyRef": {"name": "collector", "key": "headers"}}
    assert (given["OTEL_TRACES_SAMPLER"], given["OTEL_TRACES_SAMPLER_ARG"]) == (
        "parentbased_traceidratio",
        "0.1",
    )
    assert given["LGS_TRACING_REDACT"] == "true"
    assert not [name for name in env() if name.startswith("OTEL_")]


def test_what_the_user_sets_wins() -> None:
    assert env(pod={"env": [{"name": "LGS_CONCURRENCY", "value": "3"}]})["LGS_CONCURRENCY"] == "3"


def test_code_from_a_config_map_is_mounted_where_the_runtime_looks() -> None:
    template = runtime(image=None, source={"configMap": "code"})

    mounts = {each["name"]: each["mountPath"] for each in template["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["source"] == "/app"
    assert template["spec"]["containers"][0]["image"] == Images().runtime


def test_pods_mount_the_copy_of_their_code_and_other_code_makes_other_pods() -> None:
    given = inputs(image=None, source={"configMap": "code"})

    def template(data: dict[str, str]) -> Any:
        name = source_copy(given, {"data": data}, digest_of({"data": data}))["metadata"]["name"]
        wanted = everything(replace(given, source_copy=name))
        return next(each for each in wanted if each["kind"] == "Deployment")["spec"]["template"]

    one = template({"graph.py": "1"})
    assert mounted([{"spec": one["spec"]}]) == mounted([{"spec": {"template": one}}])
    assert template({"graph.py": "1"}) == one
    assert template({"graph.py": "2"}) != one


def test_a_copy_holds_what_the_config_map_holds_and_can_not_be_changed() -> None:
    held = {"data": {"graph.py": "1"}, "binaryData": {"model.bin": "/w=="}}
    theirs = held | {"metadata": {"name": "code", "labels": {"team": "a"}, "annotations": {"a": "b"}}}

    copy = source_copy(inputs(image=None, source={"configMap": "code"}), theirs, digest_of(theirs))

    assert {part: copy[part] for part in held} == held
    assert copy["immutable"] is True
    assert "team" not in copy["metadata"]["labels"]
    assert [owner["uid"] for owner in copy["metadata"]["ownerReferences"]] == ["u1"]


def test_as_many_old_replica_sets_are_kept_as_old_revisions() -> None:
    assert objects()["Deployment", "support"]["spec"]["revisionHistoryLimit"] == 10
    assert objects(revisionHistoryLimit=2)["Deployment", "support"]["spec"]["revisionHistoryLimit"] == 2


def test_an_image_of_the_application_keeps_its_working_folder() -> None:
    """That of its langgraph.json, which in a repository of several applications is below /app."""
    stock = runtime(image=None, source={"configMap": "code"})["spec"]["containers"][0]
    own = runtime(image="example.com/support:1")["spec"]["containers"][0]

    assert stock["workingDir"] == "/app"
    assert "workingDir" not in own


def test_api_keys_are_a_file_that_the_pods_read_anew() -> None:
    keys = {"apiKeys": {"secret": {"name": "callers"}}, "path": "./auth.py:auth", "disableStudioAuth": True}
    pod = runtime(auth=keys)["spec"]

    [volume] = [each for each in pod["volumes"] if each["name"] == "api-keys"]
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "api-keys"]
    given = env(auth=keys)
    assert volume["secret"] == {"secretName": "callers", "items": [{"key": "keys", "path": "keys"}]}
    assert given["LGS_API_KEYS_FILE"] == f"{mount['mountPath']}/keys"
    assert "subPath" not in mount
    assert (given["LGS_AUTH_PATH"], given["LGS_DISABLE_STUDIO_AUTH"]) == ("./auth.py:auth", "true")
    assert not [name for name in env() if "AUTH" in name or "API_KEYS" in name]


def test_the_limit_of_a_user_reaches_the_runtime() -> None:
    assert env(workers={"queues": {"user": 5}})["LGS_QUEUE_USER"] == "5"
    assert "LGS_QUEUE_USER" not in env()


def test_changed_api_keys_start_no_new_pods() -> None:
    spec = inputs(auth={"apiKeys": {"secret": {"name": "callers", "key": "list"}}}).service.spec
    [reference] = [each for each in references(spec) if each.name == "callers"]

    hashes = {combined({reference: {"list": digest}}) for digest in ("one", "two")}
    assert (reference.field, reference.key) == ("spec.auth.apiKeys.secret", "list")
    assert len(hashes) == 1


def test_the_volume_of_the_managed_database_stays_when_its_server_goes() -> None:
    wanted = objects(persistence={"postgres": {"managed": {"storage": "5Gi"}}})
    stateful_set = wanted["StatefulSet", "support-postgres"]["spec"]
    uri = b64decode(wanted["Secret", "support-postgres"]["data"]["uri"]).decode()

    assert stateful_set["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
    assert stateful_set["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert uri == "postgres://lgs:pg-password@support-postgres.team.svc:5432/lgs"


def test_a_password_that_was_put_there_by_hand_is_one_in_the_uri_too() -> None:
    odd = "p@ss/w:rd?#% \n"
    given = replace(inputs(cache={"redis": {"managed": {}}}), redis_password=odd)

    [secret] = [each for each in everything(given) if each["kind"] == "Secret"]

    uri = urlsplit(b64decode(secret["data"]["uri"]).decode())
    assert unquote(uri.password or "") == odd
    assert uri.hostname == "support-redis.team.svc"


def test_managed_servers_are_reached_by_the_service_only() -> None:
    wanted = objects(persistence={"postgres": {"managed": {}}}, cache={"redis": {"managed": {}}})

    for name in ("support-postgres", "support-redis"):
        peers = wanted["NetworkPolicy", name]["spec"]["ingress"][0]["from"]
        replicas = [
            {"lgs.dev/service": "support", "app.kubernetes.io/component": each} for each in ("runtime", "api")
        ]
        assert peers == [{"podSelector": {"matchLabels": each}} for each in replicas]


def test_a_closed_service_stays_open_for_the_operator() -> None:
    policy = objects(network={"allowFrom": []})["NetworkPolicy", "support"]

    peers = policy["spec"]["ingress"][0]["from"]
    assert [peer["namespaceSelector"]["matchLabels"] for peer in peers] == [
        {"kubernetes.io/metadata.name": "lgs-system"}
    ]


def test_the_memory_of_a_managed_redis_is_in_bytes() -> None:
    container = objects(cache={"redis": {"managed": {"maxMemory": "64Mi"}}})["Deployment", "support-redis"]
    args = container["spec"]["template"]["spec"]["containers"][0]["args"]

    assert args[args.index("--maxmemory") + 1] == str(64 * 2**20)


def test_all_that_the_pods_read_is_watched() -> None:
    spec = inputs(
        source={"configMap": "code"},
        persistence={"postgres": {"uriSecret": {"name": "db"}}},
        observability={"tracing": {"endpoint": "http://c", "headersSecret": {"name": "collector"}}},
        pod={
            "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}],
            "envFrom": [{"configMapRef": {"name": "flags", "optional": True}}],
        },
    ).service.spec

    found = {(each.kind.name, each.name, each.key, each.optional) for each in references(spec)}

    assert found == {
        ("ConfigMap", "code", None, False),
        ("Secret", "db", "uri", False),
        ("Secret", "collector", "headers", False),
        ("Secret", "keys", "k", False),
        ("ConfigMap", "flags", None, True),
    }
