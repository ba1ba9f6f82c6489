"""What is made and told for who watches services from outside: metrics by service."""

from __future__ import annotations

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT

pytestmark = pytest.mark.controlplane


async def test_the_operator_tells_the_replicas_of_a_service_until_it_is_gone(
    story: Story, operators: Operators
) -> None:
    operator = await operators.start()
    story.apply(service(scaling={"mode": "Manual"}, replicas=1))
    await story.appears(DEPLOYMENT)
    await operator.shows("lgs_operator_service_desired_replicas", 1)
    async with FakeKubelet(story.cluster, story.namespace):
        await operator.shows("lgs_operator_service_ready_replicas", 1)
    conditions = await operator.metric("lgs_operator_service_condition")

    story.plane.run("delete", "lgs", "support", "-n", story.namespace)

    assert conditions >= 5, "one for each condition"
    await operator.shows("lgs_operator_service_condition", 0)
    await operator.shows("lgs_operator_service_desired_replicas", 0)
