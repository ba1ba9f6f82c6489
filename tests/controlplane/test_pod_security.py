"""All pods of a service keep to the restricted profile: a namespace that enforces it takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import CRON_JOB, DEPLOYMENT, STATEFUL_SET
from support.waiting import until

pytestmark = pytest.mark.controlplane
WORKLOADS = "deployments,statefulsets,cronjobs,jobs"
BACKUP = {"schedule": "0 3 * * *", "volume": {}}
TEMPLATE = {"CronJob": ("jobTemplate", "spec", "template")}


def template_of(workload: dict[str, Any]) -> dict[str, Any]:
    found = workload["spec"]
    for name in TEMPLATE.get(workload["kind"], ("template",)):
        found = found[name]
    return dict(found)


async def test_a_namespace_that_enforces_the_restricted_profile_takes_every_pod(
    story: Story, operators: Operators
) -> None:
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    story.plane.run("label", "namespace", story.namespace, enforce)
    await operators.start()
    everything = {
        "persistence": {"postgres": {"managed": {"backup": BACKUP}}},
        "cache": {"redis": {"managed": {}}},
        "auth": {"apiKeys": {"secret": {"name": "keys"}}},
        "pod": {
            "volumes": [
                {"name": "keys", "secret": {"secretName": "keys"}},
                {"name": "models", "emptyDir": {}},
            ],
            "volumeMounts": [{"name": "models", "mountPath": "/models"}],
            "containers": [{"name": "proxy", "image": "example.com/proxy:1"}],
            "initContainers": [
                {
                    "name": "fetch",
                    "image": "example.com/fetch:1",
                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                    "securityContext": {"readOnlyRootFilesystem": False, "runAsUser": 2000},
                }
            ],
            "securityContext": {"runAsUser": 1234, "fsGroup": 1234},
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["models.example.com"]}],
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["10.0.0.10"]},
            "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
        },
    }
    story.plane.run("create", "secret", "generic", "keys", "-n", story.namespace, "--from-literal=keys=x")

    story.apply(service(**everything))
    story.apply(service("copy", persistence={"postgres": {"managed": {"restoreFrom": {"service": "old"}}}}))

    await story.appears(STATEFUL_SET, "support-postgres")
    await story.appears(DEPLOYMENT, "support-redis")
    await story.appears(DEPLOYMENT)
    await story.appears(CRON_JOB, "support-backup")
    await until(lambda: "job.batch/" in story.plane.run("get", "jobs", "-n", story.namespace, "-o", "name"))
    workloads = json.loads(story.plane.run("get", WORKLOADS, "-n", story.namespace, "-o", "json"))["items"]
    for workload in workloads:
        # The pod that its controller would make: the API server says at once whether it takes it.
        head = {"apiVersion": "v1", "kind": "Pod"}
        pod = head | template_of(workload)
        claims = workload["spec"].get("volumeClaimTemplates", [])
        pod["spec"]["volumes"] += [{"name": each["metadata"]["name"], "emptyDir": {}} for each in claims]
        pod["metadata"] = pod["metadata"] | {"name": workload["metadata"]["name"]}
        story.plane.run("create", "--dry-run=server", "-n", story.namespace, "-f", "-", stdin=json.dumps(pod))

    async def made() -> bool:
        pods = story.plane.run("get", "pods", "-n", story.namespace, "-o", "name")
        names = [each["metadata"]["name"] for each in workloads if each["kind"] != "CronJob"]
        return all(f"pod/{name}-" in pods for name in names)

    await until(made, "a controller makes no pod")
