"""What a manifest adds to the pods is there, and what makes them the runtime's stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lgs_crds import ManifestError, parse
from lgs_crds.rules import pod as rules
from lgs_operator.desired.deployment import CONTAINER, canary_deployment, deployment, percent_of
from lgs_operator.desired.environment import API_KEYS_DIR, DATA_DIR, SOURCE_DIR
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.references import references
from lgs_operator.desired.revision import is_canary, revision_of
from lgs_operator.desired.service_account import service_account
from lgs_operator.naming import REVISION_LABEL, RUNTIME_PORT, TRACK_LABEL
from lgs_operator.settings import Images
from lgs_operator.status.diagnosis import Budget, diagnose_pod
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.service import ready

PROXY = {"name": "proxy", "image": "example.com/proxy:1"}
MODELS = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}


def document(**pod: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
        "spec": {"image": "example.com/support:1", "pod": pod},
    }


def inputs(**pod: Any) -> Inputs:
    return Inputs(parse(document(**pod)), Images(), "abc", None, "redis-password", "lgs-system")


def template(**pod: Any) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(inputs(**pod))["spec"]["template"]["spec"]
    return spec


def without(spec: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: each for name, each in spec.items() if name not in names}


@pytest.mark.parametrize(
    ("said", "value", "made"),
    [
        ("serviceAccountName", "reader", "serviceAccountName"),
        ("runtimeClassName", "gvisor", "runtimeClassName"),
        ("priorityClassName", "high", "priorityClassName"),
        ("dnsPolicy", "None", "dnsPolicy"),
        ("dnsConfig", {"nameservers": ["10.0.0.10"]}, "dnsConfig"),
        ("hostAliases", [{"ip": "10.0.0.1", "hostnames": ["a"]}], "hostAliases"),
        (
            "topologySpreadConstraints",
            [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "topologySpreadConstraints",
        ),
    ],
)
def test_a_field_of_a_pod_is_as_the_manifest_says_and_nothing_else_changes(
    said: str, value: Any, made: str
) -> None:
    plain, changed = template(), template(**{said: value})

    assert changed[made] == value
    assert without(changed, made) == without(plain, made)


def test_volumes_and_mounts_come_beside_the_runtimes_own() -> None:
    mount = {"name": "models", "mountPath": "/models", "readOnly": True}
    plain, changed = template(), template(volumes=[MODELS], volumeMounts=[mount])

    assert changed["volumes"] == [*plain["volumes"], MODELS]
    assert changed["containers"][0]["volumeMounts"] == [*plain["containers"][0]["volumeMounts"], mount]


def test_containers_come_behind_the_runtimes_and_keep_to_the_restricted_profile() -> None:
    asked = PROXY | {
        "securityContext": {"runAsUser": 1234, "privileged": True, "capabilities": {"add": ["ALL"]}}
    }

    spec = template(containers=[asked], initContainers=[{"name": "fetch", "image": "example.com/fetch:1"}])

    runtime, proxy = spec["containers"]
    assert runtime == template()["containers"][0]
    for each in (proxy, *spec["initContainers"]):
        assert each["securityContext"].get("privileged") is None
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert proxy["securityContext"]["runAsUser"] == 1234


def test_a_container_may_write_its_own_file_system() -> None:
    (_, proxy) = template(containers=[PROXY | {"securityContext": {"readOnlyRootFilesystem": False}}])[
        "containers"
    ]

    assert proxy["securityContext"]["readOnlyRootFilesystem"] is False


def test_who_the_pods_run_as_is_chosen_within_the_restricted_profile() -> None:
    chosen = template(securityContext={"runAsUser": 2000, "fsGroup": 3000, "supplementalGroups": [4000]})

    assert chosen["securityContext"] == template()["securityContext"] | {
        "runAsUser": 2000,
        "fsGroup": 3000,
        "supplementalGroups": [4000],
    }
    assert chosen["securityContext"]["runAsNonRoot"] is True


def test_what_the_pod_sleeps_before_it_stops_is_no_part_of_the_drain() -> None:
    asleep = template(lifecycle={"preStop": {"sleep": {"seconds": 20}}})

    assert asleep["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 20}}}
    assert asleep["terminationGracePeriodSeconds"] == template()["terminationGracePeriodSeconds"] + 20


@pytest.mark.parametrize(
    "hook", [{}, {"preStop": {"exec": {"command": ["true"]}}}, {"preStop": {"sleep": {}}}]
)
def test_another_hook_is_part_of_it(hook: dict[str, Any]) -> None:
    assert (
        template(lifecycle=hook)["terminationGracePeriodSeconds"]
        == template()["terminationGracePeriodSeconds"]
    )


def test_a_cloud_knows_the_account_by_its_annotations() -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/support"}

    account = service_account(inputs(serviceAccountAnnotations=role))

    assert account["metadata"]["annotations"] == role
    assert account["automountServiceAccountToken"] is False
    assert template(serviceAccountName="reader")["automountServiceAccountToken"] is False


def test_a_canary_is_one_by_a_variable_of_the_runtime_alone() -> None:
    manifest = canary_deployment(inputs(containers=[PROXY, PROXY | {"name": "log", "env": []}]), 10, 1)

    runtime, *others = manifest["spec"]["template"]["spec"]["containers"]

    assert percent_of(manifest) == 10
    assert {"name": "LGS_CANARY_PERCENT", "value": "10"} in runtime["env"]
    assert [each.get("env") for each in others] == [None, []]


def test_no_label_makes_a_replica_one_of_a_canary_or_of_another_revision() -> None:
    said = {TRACK_LABEL: "canary", REVISION_LABEL: "7", "team": "support"}

    made = deployment(inputs(labels=said))["spec"]["template"]

    assert not is_canary(made)
    assert revision_of(made) is None
    assert made["metadata"]["labels"]["team"] == "support"


def test_nothing_that_is_not_said_changes_what_the_pods_were_before() -> None:
    assert "initContainers" not in template()
    assert "lifecycle" not in template()["containers"][0]
    assert "annotations" not in service_account(inputs())["metadata"]


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (
            {"containers": [PROXY | {"name": "runtime"}]},
            "spec.pod.containers[0].name: runtime: belongs to the runtime",
        ),
        (
            {"initContainers": [PROXY], "containers": [PROXY]},
            "spec.pod.containers[0].name: proxy: must occur once among containers and initContainers",
        ),
        (
            {"containers": [PROXY | {"ports": [{"containerPort": 8000}]}]},
            "spec.pod.containers[0].ports[0].containerPort: 8000: belongs to the runtime",
        ),
        (
            {"containers": [PROXY | {"ports": [{"containerPort": 80, "name": "http"}]}]},
            "spec.pod.containers[0].ports[0].name: http: belongs to the runtime",
        ),
        (
            {"containers": [PROXY | {"volumeMounts": [{"name": "models", "mountPath": "/models"}]}]},
            "spec.pod.containers[0].volumeMounts[0].name: models: must be one of spec.pod.volumes",
        ),
        ({"volumes": [MODELS | {"name": "tmp"}]}, "spec.pod.volumes[0].name: tmp: belongs to the runtime"),
        ({"volumes": [MODELS, MODELS]}, "spec.pod.volumes[1].name: models: must occur once"),
        (
            {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]},
            "spec.pod.volumes[0]: hostPath: must have exactly one of configMap, csi",
        ),
        ({"volumes": [{"name": "nothing"}]}, "spec.pod.volumes[0]: none of them: must have exactly one of"),
        (
            {"volumeMounts": [{"name": "models", "mountPath": "/models"}]},
            "spec.pod.volumeMounts[0].name: models: must be one of spec.pod.volumes",
        ),
        *(
            (
                {"volumes": [MODELS], "volumeMounts": [{"name": "models", "mountPath": path}]},
                f"spec.pod.volumeMounts[0].mountPath: {path}: must not be at or above {over}",
            )
            for path, over in (
                ("/tmp", "/tmp"),
                (DATA_DIR, DATA_DIR),
                ("/var/lib", DATA_DIR),
                ("/var/run/lgs", API_KEYS_DIR),
                ("/etc", "/etc"),
                ("/usr", "/usr/bin"),
            )
        ),
        ({"securityContext": {"runAsUser": 0}}, "spec.pod.securityContext.runAsUser: 0: must be at least 1"),
        (
            {"priorityClassName": "system-node-critical"},
            "spec.pod.priorityClassName: system-node-critical: must not begin with system-",
        ),
        ({"serviceAccountName": "../x"}, "spec.pod.serviceAccountName: ../x: must have only"),
        (
            {"annotations": {f"{rules.APP_ARMOR}runtime": "unconfined"}},
            f"spec.pod.annotations.{rules.APP_ARMOR}runtime: unconfined: must be runtime/default or begin",
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 2**40}}}},
            "spec.pod.lifecycle.preStop.sleep.seconds: 1099511627776: must be at least 0 and at most 3600",
        ),
        (
            {"containers": [PROXY | {"lifecycle": {"postStart": {"sleep": {"seconds": -1}}}}]},
            "spec.pod.containers[0].lifecycle.postStart.sleep.seconds: -1: must be at least 0",
        ),
    ],
)
def test_what_would_break_the_runtime_is_refused_with_its_path(pod: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse(document(**pod))

    assert words in str(refused.value)


@pytest.mark.parametrize(
    "path", ["/models", "/tmp/models", "/etc/ssl/certs", "/var/run/secrets/x", "/tmpfs", "/app"]
)
def test_a_mount_beside_the_runtimes_paths_is_taken(path: str) -> None:
    spec = template(volumes=[MODELS], volumeMounts=[{"name": "models", "mountPath": path}])

    assert spec["containers"][0]["volumeMounts"][-1]["mountPath"] == path


@pytest.mark.parametrize("profile", ["runtime/default", "localhost/strict"])
def test_a_profile_of_app_armor_that_confines_is_taken(profile: str) -> None:
    said = {f"{rules.APP_ARMOR}runtime": profile}

    made = deployment(inputs(annotations=said))["spec"]["template"]["metadata"]["annotations"]

    assert said.items() <= made.items()


@pytest.mark.parametrize(("path", "words"), [("/app", "at or above /app"), ("/app/models", "below /app")])
def test_the_folder_of_a_source_is_the_sources(path: str, words: str) -> None:
    said = document(volumes=[MODELS], volumeMounts=[{"name": "models", "mountPath": path}])
    said["spec"]["source"] = {"configMap": "code"}

    with pytest.raises(ManifestError, match=f"must not be {words}"):
        parse(said)


def test_the_rules_know_what_the_runtime_has_of_its_own() -> None:
    service = parse(document())
    spec = service.spec.model_copy(
        update={
            "source": parse({**document(), "spec": {"source": {"configMap": "code"}}}).spec.source,
            "auth": parse(
                {**document(), "spec": {"image": "x", "auth": {"apiKeys": {"secret": {"name": "keys"}}}}}
            ).spec.auth,
        }
    )
    known = replace(inputs(), service=service.model_copy(update={"spec": spec}))

    pod = deployment(known)["spec"]["template"]["spec"]

    (container,) = pod["containers"]
    assert {each["name"] for each in pod["volumes"]} == set(rules.VOLUMES)
    assert {each["mountPath"] for each in container["volumeMounts"]} == {*rules.PATHS, rules.SOURCE_PATH}
    assert (container["name"], rules.SOURCE_PATH) == (rules.CONTAINER, SOURCE_DIR)
    assert container["ports"] == [{"name": rules.PORT_NAME, "containerPort": rules.PORT, "protocol": "TCP"}]
    assert (rules.CONTAINER, rules.PORT) == (CONTAINER, RUNTIME_PORT)


def test_what_volumes_and_containers_read_is_looked_for_before_the_pods_are_made() -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "token"}}}]
    service = parse(
        document(
            volumes=[
                {"name": "ca", "configMap": {"name": "ca"}},
                {"name": "key", "secret": {"secretName": "key", "optional": True}},
                {"name": "id", "secret": {"secretName": "id", "items": [{"key": "crt", "path": "a"}, {}]}},
            ],
            containers=[PROXY | {"env": env, "envFrom": [{"configMapRef": {"name": "proxy"}}]}],
        )
    )

    found = {(each.kind.name, each.name, each.field, each.key): each for each in references(service.spec)}

    assert set(found) == {
        ("ConfigMap", "ca", "spec.pod.volumes[0].configMap", None),
        ("Secret", "key", "spec.pod.volumes[1].secret", None),
        ("Secret", "id", "spec.pod.volumes[2].secret", None),
        ("Secret", "id", "spec.pod.volumes[2].secret", "crt"),
        ("Secret", "proxy", "spec.pod.containers[0].env[0]", "token"),
        ("ConfigMap", "proxy", "spec.pod.containers[0].envFrom[0]", None),
    }
    volumes = {each.name: (each.live, each.optional) for each in found.values() if "volumes" in each.field}
    assert volumes == {"ca": (True, False), "key": (True, True), "id": (True, False)}


def test_a_container_that_ends_again_and_again_is_named() -> None:
    ended = {"terminated": {"exitCode": 1, "message": "no config"}}
    pod = {
        "metadata": {"name": "support-1"},
        "spec": {"containers": [{"name": "runtime"}, PROXY]},
        "status": {"containerStatuses": [{"name": "proxy", "lastState": ended}]},
    }

    found = diagnose_pod(pod, Budget())

    assert found is not None
    assert found.message == "container proxy of pod support-1 ended with exit code 1: no config"
    del ended["terminated"]["message"]
    silent = diagnose_pod(pod, Budget())
    assert silent is not None
    assert silent.message.endswith("; `kubectl logs support-1 -c proxy --previous` has what it printed")


def test_a_volume_that_is_not_made_is_told_with_where_to_look() -> None:
    why = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}

    found = diagnose_pod({"metadata": {"name": "db-0"}, "status": {"conditions": [told]}}, Budget())

    assert found is not None
    assert found.message.startswith(f"pod db-0 has no node: {why}: `kubectl describe pvc`")


def test_a_container_that_keeps_the_pod_from_work_is_told_where_the_runtime_would_take_it() -> None:
    def status(name: str, ready: bool) -> dict[str, Any]:
        return {"name": name, "ready": ready, "started": True, "state": {"running": {}}}

    pod = {
        "metadata": {"name": "support-1"},
        "spec": {"containers": [{"name": "runtime"}, PROXY]},
        "status": {"containerStatuses": [status("runtime", True), status("proxy", False)]},
    }
    service, whole = inputs().service, {"spec": {"replicas": 1}, "status": {}, "metadata": {}}

    def said(**checks: str) -> tuple[str | None, str | None]:
        told = ready(ObservedService(service, whole, (pod,), reports={"support-1": checks}))
        return told.reason, told.message

    proxy = "pod support-1: its container proxy runs and is not ready: its readinessProbe fails"
    assert said(queue="ok") == ("NotReady", proxy)
    assert said(queue="starting") == ("NotReady", "pod support-1: queue: starting")


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
@pytest.mark.parametrize(
    ("limit", "words"), [("64Mi", "its limit of 64Mi; raise its resources"), (None, "as its resources")]
)
def test_a_container_without_memory_is_told_by_its_own_limit(
    kind: str, limit: str | None, words: str
) -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    own = PROXY | {"resources": {"limits": {"memory": limit}} if limit else {}}
    runtime = {"name": "runtime", "resources": {"limits": {"memory": "1Gi"}}}
    pod: dict[str, Any] = {
        "metadata": {"name": "support-1"},
        "spec": {"containers": [runtime]},
        "status": {"initContainerStatuses": [{"name": "proxy", "lastState": ended}]},
    }
    pod["spec"].setdefault(kind, []).append(own)

    found = diagnose_pod(pod, Budget())

    assert found is not None
    assert found.message.startswith("container proxy of pod support-1 ")
    assert f"{words}.limits.memory" in found.message
    assert "spec.pod.resources" not in found.message
