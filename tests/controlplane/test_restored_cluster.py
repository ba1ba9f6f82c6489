"""A cluster whose etcd is restored from a backup: its resource versions go back, and the operator, which
nobody restarts, goes on with what there is (https://github.com/kubernetes/kubernetes/issues/118501).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from controlplane.conftest import started
from controlplane.controlplane_server import ControlPlane
from controlplane.databases import SET, managed
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from controlplane.waiting import patient_client
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import CONFIG_MAP, STATEFUL_SET
from support.waiting import until

pytestmark = pytest.mark.controlplane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of its own: others would not outlive what happens to it."""
    with started(tmp_path_factory.mktemp("restored")) as running:
        yield running


@pytest_asyncio.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[KubeClient]:
    connected = await patient_client(plane)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def operators(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Operators]:
    running = Operators(plane, "team", tmp_path)
    yield running
    await running.stop_all()


async def test_what_was_made_after_the_backup_is_made_again_when_its_manifest_is(
    plane: ControlPlane, cluster: KubeClient, operators: Operators
) -> None:
    plane.run("create", "namespace", "team")
    story = Story(plane, cluster, "team")
    # A Lease that outlasts the restore: an operator that loses it ends, and nobody starts another one here.
    operator = await operators.start(env={"LGS_OPERATOR_LEASE_SECONDS": "600"})
    story.apply(service())
    await story.has_condition("Reconciled", "True", "Done")
    plane.servers.save()
    await versions_pass(cluster, 1000)
    story.apply(managed())
    await story.appears(STATEFUL_SET, SET)
    await story.has_condition("Reconciled", "True", "Done")

    plane.servers.restore()
    again = managed()
    again["spec"]["image"] = "example.com/support:2"
    story.apply(again)

    await story.appears(STATEFUL_SET, SET)

    async def released() -> bool:
        return (await story.template())["spec"]["containers"][0]["image"] == "example.com/support:2"

    await until(released, "another manifest of the same generation is not seen")
    await story.has_condition("Reconciled", "True", "Done")
    assert operator.process.returncode is None, operator.log.read_text()[-3000:]


async def versions_pass(cluster: KubeClient, count: int) -> None:
    """So many writes: what comes after them has a version that a restored server does not reach for long."""
    await cluster.create(CONFIG_MAP, "default", {"metadata": {"name": "often-written"}})
    for number in range(count):
        patch = {"data": {"number": str(number)}}
        await cluster.merge(CONFIG_MAP, "default", "often-written", patch)
