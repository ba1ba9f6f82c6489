"""A stranger sees why: what keeps pods away is in the service's own conditions, with the way out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from lgs_operator.kube.kinds import CONFIG_MAP, SECRET, Kind
from lgs_operator.kube.newest_events import NewestEvents
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.reporter import condition_events
from lgs_operator.status.rollout import (
    newest_replica_set,
    refused_now,
    refused_pods,
    refused_server,
    says_refused,
)
from lgs_operator.status.service import cache_ready, persistence_ready, progressing, ready
from support.desired import service


def deployment(*conditions: dict[str, Any], seen: int = 1) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "support", "generation": 1},
        "spec": {"replicas": 2, "progressDeadlineSeconds": 600},
        "status": {"observedGeneration": seen, "conditions": list(conditions)},
    }


def failure(message: str, reason: str = "FailedCreate") -> dict[str, Any]:
    words = f'pods "support-7f9-x2x4z" is forbidden: {message}'
    return {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": words}


LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
QUOTA = "exceeded quota: team, requested: limits.memory=1Gi, used: limits.memory=2Gi, limited: 2Gi"
SERVING = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}


def pod(name: str = "support-1", *, status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name} | metadata, "status": status or {}}


@pytest.mark.parametrize(
    ("message", "reason", "way_out"),
    [
        (QUOTA, "QuotaExceeded", "raise the ResourceQuota"),
        (
            "failed quota: team: must specify limits.cpu for: runtime",
            "ResourcesRequired",
            "spec.pod.resources",
        ),
        (
            "maximum memory usage per Container is 100Mi, but limit is 1Gi",
            "LimitRangeViolated",
            "change spec.pod.resources",
        ),
        (
            "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
            "LimitRangeViolated",
            "change spec.pod.resources",
        ),
        ('violates PodSecurity "restricted:latest": runAsNonRoot', "PodSecurityViolated", "restricted"),
        ('admission webhook "policy.example.com" denied the request: no', "AdmissionDenied", "its owner"),
        (
            "error looking up service account team/support: not found",
            "FailedCreate",
            "describe",
        ),
    ],
)
def test_pods_that_are_refused_are_told_with_the_way_out(message: str, reason: str, way_out: str) -> None:
    seen = ObservedService(service(), deployment(failure(message)))

    for said in (ready(seen), progressing(seen)):
        assert (said.status, said.reason) == ("False", reason)
        assert message in said.message
        assert way_out in said.message
        assert "x2x4z" not in said.message, "the name of a pod that was not made changes with each try"


def test_replicas_that_serve_go_on_where_more_are_refused() -> None:
    seen = ObservedService(service(), deployment(failure(QUOTA)), (pod(status=SERVING),))

    assert ready(seen).status == "True"
    assert (progressing(seen).status, progressing(seen).reason) == ("False", "QuotaExceeded")


def test_what_the_pods_lack_that_are_there_is_told_beside_the_refusal_of_more() -> None:
    """Room for more of them would not help."""
    seen = ObservedService(service(), deployment(failure(QUOTA)), (killed("64Mi"),))

    for said in (ready(seen), progressing(seen)):
        assert (said.status, said.reason) == ("False", "QuotaExceeded")
        assert "Besides, pod support-1 needed more memory" in said.message


def replica_set(name: str, revision: object, owner: str = "u1") -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": revision}
    return {"metadata": {"name": name, "annotations": annotations, "ownerReferences": [{"uid": owner}]}}


def test_the_newest_replica_set_is_that_of_the_greatest_revision() -> None:
    mine: dict[str, Any] = {"metadata": {"uid": "u1"}}
    found = [
        replica_set("b", "10"),
        replica_set("a", "9"),
        replica_set("c", "x"),
        replica_set("d", "11", "u2"),
    ]

    newest = newest_replica_set(mine, [*found, {"metadata": {"name": "e"}}])

    assert newest is not None and newest["metadata"]["name"] == "b"
    assert newest_replica_set(mine, []) is None


@pytest.mark.parametrize("head", ["", "(combined from similar events): "])
def test_pods_are_refused_for_what_was_said_last(head: str) -> None:
    """A Deployment's condition keeps the message of its first refusal."""
    before, said = (
        deployment(LATE, failure(QUOTA)),
        "maximum memory usage per Container is 1Gi, but limit is 2Gi",
    )
    event = f'{head}Error creating: pods "support-7f9-q8q8q" is forbidden: {said}'

    seen = ObservedService(service(), refused_now(before, event))

    assert says_refused(before)
    assert (ready(seen).reason, progressing(ObservedService(service(), before)).reason) == (
        "LimitRangeViolated",
        "ProgressDeadlineExceeded",
    )
    assert said in ready(seen).message and "q8q8q" not in ready(seen).message
    assert QUOTA in before["status"]["conditions"][1]["message"], "the watched copy was changed"


def test_only_the_newest_events_are_kept_however_many_and_long() -> None:
    newest = NewestEvents()
    for number in range(5000):
        when = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        event = {
            "reason": "FailedMount",
            "message": "x" * 9000,
            "lastTimestamp": when,
            "metadata": {"x": "y"},
        }
        assert newest.keep(event) == {}
    newest.keep({"reason": ["no text"], "lastTimestamp": None, "eventTime": None})

    assert len(newest.found) == 100
    assert newest.found[0]["lastTimestamp"] == "2026-01-01T01:23:19Z"
    assert {len(each["message"]) for each in newest.found} == {4000}


@pytest.mark.parametrize("name", ["DATABASE_URI", "POSTGRES_URI_CUSTOM", "POSTGRES_URI"])
def test_a_database_that_a_variable_names_is_not_taken_for_the_pods_own(name: str) -> None:
    reference = {"valueFrom": {"secretKeyRef": {"name": "db", "key": "uri"}}}
    for given in ({"value": "postgres://db/x"}, reference):
        wanted = service(pod={"env": [{"name": name} | given]})
        assert persistence_ready(ObservedService(wanted, deployment())).reason == "NoReplica"
        serving = ObservedService(wanted, deployment(), (pod(status=SERVING),))
        assert persistence_ready(serving).reason == "Connected"

    for value in ("", "sqlite:///x"):
        wanted = service(pod={"env": [{"name": name, "value": value}]})
        assert persistence_ready(ObservedService(wanted, deployment())).reason == "Embedded"


@pytest.mark.parametrize("kind", [SECRET, CONFIG_MAP])
@pytest.mark.parametrize("name", ["DATABASE_URI", "POSTGRES_URI_CUSTOM", "POSTGRES_URI"])
def test_a_database_of_env_from_is_not_taken_for_the_pods_own(name: str, kind: Kind) -> None:
    field = "secretRef" if kind == SECRET else "configMapRef"
    wanted = service(pod={"envFrom": [{field: {"name": "keys"}}]})
    held = {(kind, "keys"): frozenset({name})}

    seen = ObservedService(wanted, deployment(), (pod(status=SERVING),), held=held)

    said = persistence_ready(seen)
    assert (said.status, said.reason) == ("True", "Connected")
    assert said.message == f"replicas reach the database that {name} of spec.pod.envFrom[0] names"
    unread = replace(seen, held={(kind, "keys"): frozenset({"OPENAI_API_KEY", f"X_{name}"})})
    assert persistence_ready(unread).reason == "Embedded"


@pytest.mark.parametrize(
    ("pod_of_ours", "field"),
    [
        ({"envFrom": [{"prefix": "DATABASE_", "secretRef": {"name": "parts"}}]}, "spec.pod.envFrom[0]"),
        ({"envFrom": [{"prefix": "X_", "secretRef": {"name": "keys"}}]}, None),
        (
            {"env": [{"name": "DATABASE_URI", "value": ""}], "envFrom": [{"secretRef": {"name": "keys"}}]},
            None,
        ),
        (
            {
                "env": [{"name": "DATABASE_URI", "valueFrom": {"secretKeyRef": {"name": "no", "key": "x"}}}],
                "envFrom": [{"secretRef": {"name": "keys"}}],
            },
            "spec.pod.env[0]",
        ),
        (
            {
                "env": [
                    {
                        "name": "DATABASE_URI",
                        "valueFrom": {"secretKeyRef": {"name": "no", "key": "x", "optional": True}},
                    }
                ],
                "envFrom": [{"secretRef": {"name": "other"}}, {"secretRef": {"name": "keys"}}],
            },
            "spec.pod.envFrom[1]",
        ),
    ],
)
def test_it_is_told_which_variable_names_the_database_as_kubernetes_and_the_runtime_take_it(
    pod_of_ours: dict[str, Any], field: str | None
) -> None:
    held = {(SECRET, "keys"): frozenset({"DATABASE_URI"}), (SECRET, "parts"): frozenset({"URI"})}

    seen = ObservedService(service(pod=pod_of_ours), deployment(), (pod(status=SERVING),), held=held)

    said = persistence_ready(seen)
    assert said.reason == ("Embedded" if field is None else "Connected")
    assert field is None or f"DATABASE_URI of {field} names" in said.message


def test_a_variable_that_goes_before_the_manifests_own_database_and_redis_is_told() -> None:
    env = [
        {"name": "DATABASE_URI", "value": "postgres://x/y"},
        {"name": "REDIS_URI_CUSTOM", "value": "redis://x"},
    ]
    servers = {"persistence": {"postgres": {"uriSecret": {"name": "db"}}}}
    servers |= {"cache": {"redis": {"uriSecret": {"name": "redis"}}}}

    seen = ObservedService(service(pod={"env": env}, **servers), deployment(), (pod(status=SERVING),))

    assert "not that of spec.persistence.postgres" in persistence_ready(seen).message
    assert "REDIS_URI_CUSTOM of spec.pod.env[1], not that of spec.cache.redis" in cache_ready(seen).message
    keys = {(SECRET, "keys"): frozenset({"DATABASE_URI", "REDIS_URI", "REDIS_URI_CUSTOM"})}
    own = service(pod={"envFrom": [{"secretRef": {"name": "keys"}}]}, **servers)
    ours = ObservedService(own, deployment(), (pod(status=SERVING),), held=keys)
    assert persistence_ready(ours).message == "replicas reach the database"
    assert cache_ready(ours).message == "Redis by the Secret redis"


def test_a_redis_that_a_variable_names_is_told() -> None:
    wanted = service(pod={"envFrom": [{"secretRef": {"name": "keys"}}]})
    held = {(SECRET, "keys"): frozenset({"REDIS_URI"})}

    said = cache_ready(ObservedService(wanted, deployment(), held=held))

    assert (said.reason, said.message) == ("Configured", "Redis by REDIS_URI of spec.pod.envFrom[0]")


def test_what_was_said_of_an_older_manifest_is_not_repeated() -> None:
    seen = ObservedService(service(), deployment(failure(QUOTA), LATE, seen=0))

    assert (progressing(seen).status, progressing(seen).reason) == ("True", "RollingOut")


def test_a_managed_server_whose_pods_are_refused_says_so() -> None:
    wanted = service(cache={"redis": {"managed": {}}}, persistence={"postgres": {"managed": {}}})
    postgres = {"kind": "StatefulSet", "metadata": {"name": "support-postgres"}, "status": {}}

    seen = ObservedService(wanted, deployment(), postgres=postgres, redis=deployment(failure(QUOTA)))

    assert cache_ready(seen).reason == "QuotaExceeded"
    assert "spec.cache.redis.managed.resources" in cache_ready(seen).message
    assert "`kubectl describe statefulset support-postgres`" in persistence_ready(seen).message


SET = "support-postgres-0 in StatefulSet support-postgres"


@pytest.mark.parametrize(
    ("said", "reason", "field"),
    [
        (f'create Pod {SET} failed error: pods "support-postgres-0" is forbidden: {QUOTA}',
         "QuotaExceeded", "postgres.managed.resources"),
        (f"create Claim data-{SET} failed error: persistentvolumeclaims is forbidden: "
         "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 10Gi",
         "LimitRangeViolated", "postgres.managed.storage"),
    ],
)  # fmt: skip
def test_a_managed_database_that_is_refused_is_told_from_its_events(
    said: str, reason: str, field: str
) -> None:
    postgres = {"kind": "StatefulSet", "metadata": {"name": "support-postgres"}, "status": {}}
    wanted = service(persistence={"postgres": {"managed": {}}})

    seen = ObservedService(wanted, deployment(), postgres=postgres, postgres_refused=said)

    assert ready(seen).reason == persistence_ready(seen).reason == reason
    assert field in persistence_ready(seen).message


def test_a_rollout_that_stands_still_is_told_with_what_keeps_it() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "gone"}}, "image": "a:2"}
    new = pod("support-2", status={"containerStatuses": [waiting]}, creationTimestamp="2")
    seen = ObservedService(service(), deployment(LATE), (pod(status=SERVING), new))

    said = progressing(seen)

    assert (said.status, said.reason) == ("False", "ProgressDeadlineExceeded")
    assert "600 s" in said.message
    assert "image a:2 can't be had: gone" in said.message


def test_a_rollout_that_stands_still_is_an_event() -> None:
    before = [{"type": "Progressing", "status": "False", "reason": "ImagePullBackOff"}]
    serving = {"type": "Ready", "status": "True", "reason": "Serving"}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}

    assert list(condition_events([*before, serving], [serving, late])) == [late]
    assert list(condition_events([serving, late], [serving, late])) == []


def test_an_image_that_can_not_be_had_is_one_event_whatever_the_node_says_of_it_by_turns() -> None:
    serving = {"type": "Ready", "status": "True", "reason": "Serving"}
    tried, waits = (
        {**serving, "status": "False", "reason": each} for each in ("ErrImagePull", "ImagePullBackOff")
    )

    assert list(condition_events([serving], [waits])) == [waits]
    assert list(condition_events([waits], [tried])) == list(condition_events([tried], [waits])) == []
    assert list(condition_events([tried], [serving])) == [serving]


def test_progress_and_what_ready_says_already_are_no_events() -> None:
    moving = {"type": "Progressing", "status": "True", "reason": "RollingOut"}
    done = {"type": "Progressing", "status": "False", "reason": "Complete"}
    broken = [{"type": kind, "status": "False", "reason": "OOMKilled"} for kind in ("Ready", "Progressing")]

    assert list(condition_events([], [moving])) == list(condition_events([moving], [done])) == []
    assert [each["type"] for each in condition_events([], broken)] == ["Ready"]


def killed(limit: str | None, **annotations: str) -> dict[str, Any]:
    ended = {"name": "runtime", "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    resources = {"limits": {"memory": limit}} if limit else {}
    spec = {"containers": [{"name": "runtime", "resources": resources}]}
    return pod(status={"containerStatuses": [ended]}, annotations=annotations) | {"spec": spec}


DEFAULTS = {
    "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu, memory request for container runtime; "
    "cpu, memory limit for container runtime"
}
ONLY_CPU = {
    "kubernetes.io/limit-ranger": "LimitRanger plugin set: memory request for container runtime; "
    "cpu limit for container runtime"
}


@pytest.mark.parametrize(
    ("given", "troubled", "words"),
    [
        (
            {"limits": {"memory": "1Gi"}},
            killed("1Gi"),
            "its limit of 1Gi; raise spec.pod.resources",
        ),
        (None, killed("256Mi", **DEFAULTS), "its limit of 256Mi, which is the default of a LimitRange"),
        (None, killed("256Mi", **ONLY_CPU), "its limit of 256Mi, which something in the cluster has set"),
        (
            None,
            killed(None),
            "when its node had no memory left, as spec.pod.resources",
        ),
    ],
)
def test_memory_that_is_too_little_is_blamed_on_who_set_it(
    given: dict[str, Any] | None, troubled: dict[str, Any], words: str
) -> None:
    wanted = service(pod={"resources": given} if given else {})

    said = ready(ObservedService(wanted, deployment(), (troubled,)))

    assert said.reason == "OOMKilled"
    assert words in said.message


@pytest.mark.parametrize(
    ("own", "field"), [({"limits": {"memory": "1Gi"}}, "spec.api.resources"), (None, "spec.pod.resources")]
)
def test_replicas_that_answer_apart_are_told_by_resources_of_their_own_where_they_have_some(
    own: dict[str, Any] | None, field: str
) -> None:
    wanted = service(
        topology="Split",
        persistence={"postgres": {"managed": {}}},
        cache={"redis": {"managed": {}}},
        pod={"resources": {"limits": {"memory": "1Gi"}}},
        api={"resources": own} if own else {},
    )
    seen = ObservedService(wanted, deployment(), (killed("1Gi"),))

    said = {part: ready(replace(seen, part=part)).message for part in ("api", "runtime")}

    assert f"its limit of 1Gi; raise {field}" in said["api"]
    assert "its limit of 1Gi; raise spec.pod.resources" in said["runtime"]


def test_what_is_refused_of_an_older_template_is_not_told_of_one_whose_pods_are_all_there() -> None:
    refused = deployment(failure(QUOTA))
    refused["status"]["updatedReplicas"] = 1
    assert refused_pods(refused, "spec.pod.resources") is not None

    refused["status"]["updatedReplicas"] = 2
    assert refused_pods(refused, "spec.pod.resources") is None


def test_long_words_of_strangers_take_no_time() -> None:
    """Annotations of a pod stand in the manifest, and Events may be written by others."""
    began = time.process_time()

    annotated = killed("1Gi", **{"kubernetes.io/limit-ranger": "memory " * 35_000})
    said = ready(ObservedService(service(), deployment(), (annotated,)))
    refused = refused_server("failed quota: " * 70_000, "spec.pod.resources")

    assert said.reason == "OOMKilled"
    assert len(refused.message) < 2500
    assert time.process_time() - began < 5
