"""A stranger sees why: what keeps a service from working is in its own conditions and Events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.held_up import is_held_up
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import CLAIM, DEPLOYMENT, POD, SERVICE, STATEFUL_SET
from support.waiting import until

pytestmark = pytest.mark.controlplane

WRITTEN_OTHERWISE: dict[str, Any] = {
    "resources": {
        "requests": {"cpu": "0.5", "memory": "1024Mi"},
        "limits": {"cpu": "1000m", "memory": "1.5Gi"},
    },
    "env": [
        {"name": "SHARE", "value": "0.5"},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0.001"}}},
    ],
    "tolerations": [{"key": "gpu", "operator": "Exists", "value": "", "tolerationSeconds": None}],
    "affinity": {"nodeAffinity": {}},
    "annotations": {"team.example.com/note": ""},
}


async def test_what_kubernetes_writes_otherwise_is_written_once(story: Story, operators: Operators) -> None:
    operator = await operators.start()
    managed = {"storage": "1024Mi", "resources": {"limits": {"memory": "0.5Gi"}}}
    story.apply(service(pod=WRITTEN_OTHERWISE, persistence={"postgres": {"managed": managed}}))
    await story.appears(DEPLOYMENT)
    await story.appears(STATEFUL_SET, "support-postgres")
    await story.appears(CLAIM, "data-support-postgres-0")
    await operator.reconciles(2)
    writes = await operator.metric("lgs_operator_writes_total")
    written = (await story.template())["spec"]["containers"][0]["resources"]

    await operator.reconciles(2)

    assert written["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert await operator.metric("lgs_operator_writes_total") == writes
    assert await operator.metric("lgs_operator_drift_repaired_total") == 0


async def test_a_paused_service_is_ready_only_while_a_replica_takes_work(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service())
    async with FakeKubelet(story.cluster, story.namespace):
        await story.has_condition("Ready", "True", "Serving")
        story.apply(service(paused=True))
        await story.has_condition("Ready", "True", "Paused")

        story.plane.run("delete", "deployment", "support", "-n", story.namespace)

        said = await story.has_condition("Ready", "False", "Paused")
        assert "no replica takes work" in said["message"]
        assert story.status["readyReplicas"] == 0


async def test_a_quota_that_is_used_up_is_named_and_room_in_it_is_enough(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(quota("1"))
    await until(lambda: story.plane.run(*CPU_OF_QUOTA, "-n", story.namespace), "the quota is not counted")
    two = {"resources": {"limits": {"cpu": "2"}}}

    story.apply(service(pod=two))

    said = await story.has_condition("Ready", "False", "QuotaExceeded")
    await story.has_condition("Progressing", "False", "QuotaExceeded")
    assert "exceeded quota: team, requested: limits.cpu=2" in said["message"]
    assert "spec.pod.resources" in said["message"]
    await story.event("QuotaExceeded")

    story.apply(service(pod={"resources": {"limits": {"cpu": "1"}}}))
    await story.has_condition("Ready", "False", "Starting")


async def test_pods_that_are_refused_for_another_reason_by_now_are_told_with_that(
    story: Story, operators: Operators
) -> None:
    """The Deployment's condition says the first one, as long as any pod is refused."""
    await operators.start()
    story.apply(quota("1"))
    await until(lambda: story.plane.run(*CPU_OF_QUOTA, "-n", story.namespace), "the quota is not counted")
    story.apply(service(pod={"resources": {"limits": {"cpu": "2"}}}))
    await story.has_condition("Ready", "False", "QuotaExceeded")

    story.apply(limit_range(max={"memory": "100Mi"}))
    story.plane.run("delete", "resourcequota", "team", "-n", story.namespace)
    story.apply(service(pod={"resources": {"limits": {"memory": "1Gi"}}}))

    said = await story.has_condition("Ready", "False", "LimitRangeViolated")
    assert "maximum memory usage per Container is 100Mi" in said["message"]


async def test_a_managed_database_outside_a_limit_range_is_told(story: Story, operators: Operators) -> None:
    await operators.start()
    story.apply(limit_range(max={"memory": "100Mi"}))

    managed = {"resources": {"limits": {"memory": "1Gi"}}}
    story.apply(service(persistence={"postgres": {"managed": managed}}))

    said = await story.has_condition("PersistenceReady", "False", "LimitRangeViolated")
    assert "the managed database: its pod is refused" in said["message"]
    assert "spec.persistence.postgres.managed.resources" in said["message"]


async def test_a_pod_outside_a_limit_range_is_told_with_the_range(story: Story, operators: Operators) -> None:
    await operators.start()
    story.apply(limit_range(max={"memory": "100Mi"}))

    story.apply(service(pod={"resources": {"limits": {"memory": "1Gi"}}}))

    said = await story.has_condition("Ready", "False", "LimitRangeViolated")
    assert "maximum memory usage per Container is 100Mi" in said["message"]


async def test_the_default_of_a_limit_range_is_blamed_for_what_it_kills(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(limit_range(default={"memory": "64Mi"}))
    story.apply(service())

    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.crashes(137, "", reason="OOMKilled")

        said = await story.has_condition("Ready", "False", "OOMKilled")
        assert "its limit of 64Mi, which is the default of a LimitRange" in said["message"]
        assert "spec.pod.resources.limits.memory is not set" in said["message"]


async def test_what_keeps_a_node_from_the_containers_of_a_pod_is_told_by_its_events(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service(persistence={"postgres": {"managed": {}}}))
    pod = await story.appears(POD, "support-postgres-0")

    is_held_up(story, pod, "FailedAttachVolume", "Multi-Attach error for volume pvc-1")

    said = await story.has_condition("PersistenceReady", "False", "FailedAttachVolume")
    assert "pod support-postgres-0 is held up at its node: Multi-Attach error" in said["message"]
    await story.event("FailedAttachVolume")


async def test_a_rollout_that_stands_still_is_told_with_its_cause_and_an_event(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service())

    async def is_counted() -> bool:
        # that would be progress, and what is written below would be taken back
        return bool((await story.get(DEPLOYMENT))["status"].get("unavailableReplicas") == 1)

    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.waits("ImagePullBackOff", "no such image")
        await story.has_condition("Progressing", "False", "ImagePullBackOff")
        await until(is_counted, "the Deployment does not count its pod")

        # ten minutes later, as the Deployment's controller would say it
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        patch = json.dumps({"status": {"conditions": [late]}})
        where = ("deployment", "support", "-n", story.namespace, "--subresource=status")
        story.plane.run("patch", *where, "-p", patch)

        said = await story.has_condition("Progressing", "False", "ProgressDeadlineExceeded")
        assert "image example.com/support:1 can't be had: no such image" in said["message"]
        await story.event("ProgressDeadlineExceeded")

        kubelet.runs()
        await story.has_condition("Progressing", "False", "Complete")


async def test_what_a_policy_of_the_cluster_refuses_is_told_where_it_stops_the_service(
    story: Story, operators: Operators
) -> None:
    scaling = {"maxReplicas": 5}
    await operators.start()
    story.apply(service(cache={"redis": {"managed": {}}}, scaling=scaling | {"minReplicas": 1}, **DATABASE))
    for kind, name in ((SERVICE, "support-redis"), (DEPLOYMENT, "support")):
        await story.appears(kind, name)
    policies = json.dumps(guarded(story.namespace))
    story.plane.run("apply", "-f", "-", stdin=policies)
    try:
        tried = ("delete", "service", "support-redis", "--dry-run=server", "-n", story.namespace)
        await until(lambda: GUARD in story.plane.run(*tried, check=False), "the policy does not hold")

        story.apply(service(scaling=scaling | {"minReplicas": 3}, **DATABASE))

        said = await story.has_condition("Reconciled", "False", "Refused")
        assert "Service support-redis can't be deleted" in said["message"]
        assert said["observedGeneration"] == 2
        said = await story.has_condition("ScalingActive", "False", "Refused")
        assert "1 to 3 replicas was refused" in said["message"]
        assert GUARD in said["message"]
    finally:
        story.plane.run("delete", "-f", "-", stdin=policies)
    story.apply(service(scaling=scaling | {"minReplicas": 3}, workers={"concurrency": 7}, **DATABASE))
    await story.vanishes(SERVICE, "support-redis")
    await story.has_condition("Reconciled", "True", "Done")
    await until(lambda: has_replicas(story, 3), "the replicas are not made")
    await story.has_condition("ScalingActive", "False", "NoReplica")


async def has_replicas(story: Story, number: int) -> bool:
    return bool((await story.get(DEPLOYMENT))["spec"]["replicas"] == number)


DATABASE: dict[str, Any] = {"persistence": {"postgres": {"managed": {"storage": "1Gi"}}}}
GUARD = "at most 2 replicas, and no Service goes"


def guarded(namespace: str) -> dict[str, Any]:
    """A policy of the cluster for one namespace."""
    group = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": f"guard-{namespace}"}}
    deployments = {"apiGroups": ["apps"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}
    services = {"apiGroups": [""], "operations": ["DELETE"], "resources": ["services"]}
    rule = "request.operation != 'DELETE' && object.spec.replicas <= 2"
    policy = {
        "matchConstraints": {
            "resourceRules": [each | {"apiVersions": ["v1"]} for each in (deployments, services)]
        },
        "validations": [{"expression": rule, "message": GUARD}],
    }
    binding = {
        "policyName": f"guard-{namespace}",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    }
    kinds = {"ValidatingAdmissionPolicy": policy, "ValidatingAdmissionPolicyBinding": binding}
    items = [group | {"kind": kind, "spec": spec} for kind, spec in kinds.items()]
    return {"apiVersion": "v1", "kind": "List", "items": items}


CPU_OF_QUOTA = ("get", "resourcequota", "team", "-o", "jsonpath={.status.hard}")


def quota(cpu: str) -> dict[str, Any]:
    spec = {"hard": {"limits.cpu": cpu}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": spec}


def limit_range(**limits: dict[str, str]) -> dict[str, Any]:
    spec = {"limits": [{"type": "Container"} | limits]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "team"}, "spec": spec}
