"""The API server takes the CRD and refuses what can't work, with words that name field, value and rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import service

pytestmark = pytest.mark.controlplane
SIDECAR = {"name": "proxy", "image": "example.com/proxy:1"}
MODELS = {"name": "models", "emptyDir": {}}
MANAGED = {"postgres": {"managed": {"storage": "1Gi"}}}


def apply(plane: ControlPlane, namespace: str, manifest: dict[str, Any]) -> str:
    return plane.run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest), check=False)


def test_a_small_manifest_is_taken_and_its_defaults_are_filled_in(
    plane: ControlPlane, namespace: str
) -> None:
    apply(plane, namespace, service())

    spec = json.loads(plane.run("get", "lgs", "support", "-n", namespace, "-o", "json"))["spec"]

    assert spec["workers"]["queues"] == {"high": 100, "normal": 500, "low": 1000}
    assert spec["scaling"]["mode"] == "Auto"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"scaling": {"minReplicas": 5, "maxReplicas": 2}, "persistence": MANAGED},
         "spec.scaling.minReplicas: 5: must not be above maxReplicas, which is 2"),
        ({"persistence": {"postgres": {"managed": {}, "uriSecret": {"name": "db"}}}},
         "spec.persistence.postgres: uriSecret managed: must have exactly one of uriSecret, cloudNativePG"),
        ({"persistence": {"postgres": {"managed": {}, "pooler": "pooler"}}},
         "spec.persistence.postgres.pooler: pooler: must be absent with managed"),
        ({"persistence": {"postgres": {}}},
         "spec.persistence.postgres: none of them: must have exactly one of"),
        ({"cache": {"redis": {}}},
         "spec.cache.redis: none of them: must have exactly one of uriSecret, managed"),
        ({"scaling": {"maxReplicas": 3}}, "spec.scaling.maxReplicas: 3: more than one replica needs"),
        ({"scaling": {"minReplicas": 2}}, "spec.scaling.minReplicas: 2: more than one replica needs"),
        ({"scaling": {"maxReplicas": 4, "schedule": [{"cron": "@daily", "minReplicas": 5}]},
          "persistence": MANAGED},
         "spec.scaling.schedule: minReplicas of each entry must not be above maxReplicas, which is 4"),
        ({"scaling": {"minReplicas": 3, "schedule": [{"cron": "@daily", "minReplicas": 2}]},
          "persistence": MANAGED},
         "spec.scaling.schedule: minReplicas of each entry must not be below minReplicas of all"),
        ({"scaling": {"schedule": [{"cron": "@daily", "minReplicas": 2}]}},
         "spec.scaling.schedule: minReplicas of each entry must not be above 1: more than one replica needs"),
        ({"scaling": {"schedule": [{"cron": "8 o'clock", "minReplicas": 1}]}},
         "must be minute, hour, day of month, month and day of week, such as '0 3 * * *'"),
        ({"scaling": {"schedule": [{"cron": "@daily", "minReplicas": 1, "timeZone": "Europe/Berln"}]}},
         "unknown time zone Europe/Berln"),
        ({"scaling": {"mode": "Manual"}, "replicas": 4}, "spec.replicas: 4: more than one replica needs"),
        ({"scaling": {"minReplicas": 0}, "persistence": MANAGED},
         "spec.scaling.minReplicas: 0: must be at least 1 unless topology is Split: somebody must be there"),
        ({"pod": {"env": [{"name": "LGS_ROLE", "value": "worker"}]}},
         "spec.pod.env: name of each entry must not be LGS_ROLE: topology says what replicas are there for"),
        ({"pod": {"containers": [{"name": "runtime", "image": "x"}]}},
         "spec.pod.containers: name of each entry, and of initContainers, must occur once; runtime belongs"),
        ({"pod": {"containers": [SIDECAR], "initContainers": [SIDECAR]}},
         "spec.pod.containers: name of each entry, and of initContainers, must occur once"),
        ({"pod": {"containers": [SIDECAR | {"ports": [{"containerPort": 8000}]}]}},
         "spec.pod.containers: port 8000 and its name http of each entry: belongs to the runtime"),
        ({"pod": {"containers": [SIDECAR | {"securityContext": {"privileged": True}}]}},
         'unknown field "spec.pod.containers[0].securityContext.privileged"'),
        ({"pod": {"containers": [{"name": "proxy"}]}}, "spec.pod.containers[0].image: Required value"),
        ({"pod": {"volumes": [{"name": "tmp", "emptyDir": {}}]}},
         "spec.pod.volumes: tmp, data, source, api-keys: name of each entry belongs to the runtime"),
        ({"pod": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}},
         'unknown field "spec.pod.volumes[0].hostPath"'),
        ({"pod": {"lifecycle": {"stopSignal": "SIGUSR1"}}}, 'unknown field "spec.pod.lifecycle.stopSignal"'),
        ({"pod": {"lifecycle": {"preStop": {"sleep": {"seconds": 3601}}}}},
         "spec.pod.lifecycle.preStop.sleep.seconds"),
        ({"pod": {"volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {
             "volumeName": "theirs"}}}}]}}, 'volumeClaimTemplate.spec.volumeName"'),
        ({"pod": {"volumeMounts": [{"name": "models", "mountPath": "/models"}]}},
         "spec.pod.volumeMounts: name of each entry must be one of spec.pod.volumes"),
        ({"pod": {"volumes": [MODELS], "volumeMounts": [{"name": "models", "mountPath": "/var/lib"}]}},
         "spec.pod.volumeMounts: mountPath of each entry must not be at or above a path which the runtime"),
        ({"pod": {"volumes": [MODELS], "volumeMounts": [{"name": "models", "mountPath": "/x/../tmp"}]}},
         "spec.pod.volumeMounts[0].mountPath"),
        ({"pod": {"volumes": [MODELS], "volumeMounts": [{"name": "models", "mountPath": "/app"}]},
          "source": {"configMap": "code"}},
         "spec.pod.volumeMounts: mountPath of each entry must not be in /app, which the runtime needs"),
        ({"pod": {"securityContext": {"runAsUser": 0}}}, "spec.pod.securityContext.runAsUser"),
        ({"topology": "Split"}, "spec.topology: Split: needs persistence.postgres: replicas that answer"),
        ({"runtimeVersion": "0.1.0"}, "spec.runtimeVersion: 0.1.0: not beside image, which has a version"),
        ({"image": "example.com/support@sha256:0a"}, "spec.image"),
        ({"image": None}, "spec.image: not set: set image, or source.configMap"),
        ({"graphs": {"agent": "./graph.py:graph"}, "circuitBreaker": {"graphs": {"agnet": {"probes": 1}}}},
         "spec.circuitBreaker.graphs: agnet: must be a graph of spec.graphs"),
        ({"graphs": {"agent": "./graph.py:graph"},
          "cache": {"warmup": {"inputs": [{"assistant": "agnet", "input": {}}]}}},
         "spec.cache.warmup.inputs: an assistant: must be a graph of spec.graphs, or the id of an assistant"),
        ({"graphs": {"a": "./graph.py:graph", "b": "./graph.py:b"},
          "cache": {"warmup": {"inputs": [{"input": {}}]}}},
         "spec.cache.warmup.inputs: no assistant: each must name its assistant, since there are several"),
        ({"graphs": {"agent": "./graph.py:graph"}, "cache": {"answers": {"agnet": {}}}},
         "spec.cache.answers: agnet: must be a graph of spec.graphs"),
        ({"persistence": {"postgres": {"managed": {"backup": {"schedule": "99 3 * * *", "volume": {}}}}}},
         "must be minute, hour, day of month, month and day of week, such as '0 3 * * *'"),
        ({"observability": {"tracing": {"endpoint": "here:4318"}}}, "spec.observability.tracing.endpoint"),
        ({"budgets": {"limits": [{"per": "Day"}]}},
         "spec.budgets.limits: each must have exactly one of tokens, cost"),
        ({"budgets": {"limits": [{"cost": 5, "per": "Day"}], "prices": {"m-*": {"input": 1, "output": 2}}}},
         "spec.budgets.prices: none for *: must be given, since a budget is of cost"),
        ({"budgets": {"limits": [{"tokens": 5, "per": "Week"}]}}, "spec.budgets.limits[0].per"),
        ({"observability": {"slo": {"window": "30d"}}},
         "spec.observability.slo: none of them: must have availability, p95Seconds or both"),
        ({"observability": {"slo": {"availability": 99.9}}}, "spec.observability.slo.availability"),
        ({"observability": {"slo": {"p95Seconds": 5, "window": "1d"}}}, "spec.observability.slo.window"),
        ({"workers": {"queues": {"high": 0}}}, "spec.workers.queues.high"),
        ({"workers": {"queue": {}}}, 'unknown field "spec.workers.queue"'),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_work_is_refused(
    plane: ControlPlane, namespace: str, spec: dict[str, Any], words: str
) -> None:
    answer = apply(plane, namespace, service(**spec))

    assert words in answer


def test_a_long_name_is_refused(plane: ControlPlane, namespace: str) -> None:
    answer = apply(plane, namespace, service("a" * 41))

    assert f"metadata.name: {'a' * 41}: must start with a letter" in answer


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (
            {"postgres": {"managed": {"storage": "1023Mi"}}},
            "managed.storage: 1023Mi: a volume can't shrink: must not be below its size, which is 1Gi",
        ),
        (
            {"postgres": {"uriSecret": {"name": "db"}}},
            "managed: removed: the managed database can't be taken away",
        ),
        ({}, "managed: removed: the managed database can't be taken away"),
    ],
)
def test_what_would_lose_sessions_cannot_be_changed(
    plane: ControlPlane, namespace: str, after: dict[str, Any], words: str
) -> None:
    apply(plane, namespace, service(persistence=MANAGED))

    answer = plane.run(
        "replace", "-n", namespace, "-f", "-", stdin=json.dumps(service(persistence=after)), check=False
    )

    assert words in answer


def test_kubectl_scale_sets_the_replicas(plane: ControlPlane, namespace: str) -> None:
    apply(plane, namespace, service(scaling={"mode": "External"}, persistence=MANAGED))

    plane.run("scale", "lgs/support", "-n", namespace, "--replicas=3")

    assert plane.run("get", "lgs", "support", "-n", namespace, "-o", "jsonpath={.spec.replicas}") == "3"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (
            "spec.workers.drainSeconds",
            "Seconds that running work gets when its replica is to stop. Default: 60",
        ),
        ("spec.pod.resources", "What one replica asks for and may use at most."),
        ("status.conditions.reason", "docs/errors.md"),
    ],
)
def test_kubectl_explains_each_field(plane: ControlPlane, field: str, words: str) -> None:
    told = plane.run("explain", f"lgs.{field}")

    assert words in " ".join(told.split())
