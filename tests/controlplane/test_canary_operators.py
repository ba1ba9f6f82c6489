"""A canary goes on at its step when the operator that led ends in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, SERVICE_OF_OURS
from support.waiting import until

pytestmark = pytest.mark.controlplane
BESIDE = "support-canary"
SPEC: dict[str, Any] = {
    "replicas": 3,
    "scaling": {"mode": "Manual"},
    "persistence": {"postgres": {"managed": {}}},
    "rollout": {"strategy": "Canary", "steps": [10, 50], "pauseSeconds": 1, "minRuns": 10},
}


async def canary(story: Story) -> tuple[int, int] | None:
    """Its step and its share, by the status."""
    found = (await story.get(SERVICE_OF_OURS)).get("status", {}).get("canary")
    return None if found is None else (found["step"], found["percent"])


async def percent(story: Story) -> str:
    """By the variables of its replicas; empty where there is none."""
    beside = await story.get(DEPLOYMENT, BESIDE)
    containers = beside["spec"]["template"]["spec"]["containers"] if beside else [{"env": []}]
    return next((each["value"] for each in containers[0]["env"] if each["name"] == "LGS_CANARY_PERCENT"), "")


async def test_a_canary_goes_on_at_its_step_with_the_next_operator(
    story: Story, operators: Operators
) -> None:
    first = await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        story.apply(service(**SPEC))
        await story.has_condition("Ready", "True", "Serving")
        story.apply(service(**SPEC, image="example.com/support:2"))
        await until(lambda: canary(story), "no canary begins")
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)

        async def is_at_the_second() -> bool:
            return await canary(story) == (2, 50) and await percent(story) == "50"

        # From here on none of its pods is ready, so that the step lasts.
        kubelet.lets_start("2", 1)
        await until(is_at_the_second, "the canary does not take its second step")
        before = await story.get(DEPLOYMENT)
        await operators.kill(first)
        await operators.start()
        await story.has_condition("Healthy", "Unknown", "Unverified")
        story.apply(service(**SPEC, image="example.com/support:2", network={"allowFrom": []}))
        await until(lambda: acted_on(story), "the next operator does nothing")
        assert await is_at_the_second()
        assert (await story.get(DEPLOYMENT))["metadata"]["generation"] == before["metadata"]["generation"]

        kubelet.lets_start("2", 100)

        async def is_whole() -> bool:
            return await canary(story) is None and not await story.get(DEPLOYMENT, BESIDE)

        await until(is_whole, "the canary does not become the whole")
        assert (await story.get(SERVICE_OF_OURS))["status"]["revision"] == 2


async def acted_on(story: Story) -> bool:
    """The newest manifest was."""
    found = await story.get(SERVICE_OF_OURS)
    return bool(found["status"].get("observedGeneration") == found["metadata"]["generation"])
