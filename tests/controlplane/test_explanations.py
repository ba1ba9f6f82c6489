"""A stranger sees why: what keeps a service from working is told in its own conditions and Events."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators, Running
from controlplane.story import Story
from controlplane.waiting import until
from lgs_operator.kube.kinds import DEPLOYMENT, STATEFUL_SET

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
    await reconciles(operator, 1)
    writes = await operator.metric("lgs_operator_writes_total")
    written = (await story.template())["spec"]["containers"][0]["resources"]

    await reconciles(operator, 2)

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


async def reconciles(operator: Running, times: int) -> None:
    """So many more looks at the services have been taken; one that waits for its pods is looked at again."""
    before = await operator.metric("lgs_operator_reconciles_total")

    async def taken() -> bool:
        return await operator.metric("lgs_operator_reconciles_total") >= before + times

    await until(taken, "the operator does not look again")
