"""A service that is deleted and made again has its predecessor's name, and nothing of what was said of it."""

from __future__ import annotations

import pytest

from controlplane.manifests import service
from controlplane.story import Story
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SERVICE_OF_OURS, ServiceKey
from lgs_operator.status.publisher import Publisher

pytestmark = pytest.mark.controlplane


async def test_a_status_is_written_to_the_service_that_it_is_of_and_to_no_other_of_its_name(
    story: Story,
) -> None:
    """`kubectl replace --force` makes it anew while its status is under way, which has a restore that is over
    and the id of a database."""
    key, publisher = ServiceKey(story.namespace, "support"), Publisher(story.cluster)
    story.apply(service())
    old = await story.get(SERVICE_OF_OURS)
    said = {"replicas": 3, "restore": {"result": "Skipped"}, "database": {"id": "12"}}
    assert await publisher.publish(key, old, said)
    assert (await story.get(SERVICE_OF_OURS))["status"] == said

    story.plane.run("delete", "langgraphservice", "support", "-n", story.namespace)
    story.apply(service())

    assert not await publisher.publish(key, old, said | {"replicas": 4})
    new = await story.get(SERVICE_OF_OURS)
    assert "status" not in new
    assert await publisher.publish(key, new, {"replicas": 1})
    with pytest.raises(KubeError, match="replicas"):
        await publisher.publish(key, new, {"replicas": "none"})
    assert (await story.get(SERVICE_OF_OURS))["status"] == {"replicas": 1}
