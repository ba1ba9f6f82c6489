"""A database of CloudNativePG by reference, against its own CustomResourceDefinition on a real API server.
Its operator is played: it writes the Cluster's status, and the Secret of the application."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controlplane.controlplane_server import ControlPlane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.story import Story
from controlplane.waiting import established
from lgs_operator.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT
from support.waiting import until

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("operator_everywhere")]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgs-toolchain" / "cloudnativepg"
BY_REFERENCE = {"postgres": {"cloudNativePG": {"cluster": "main"}}}
CLUSTER: dict[str, Any] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "main"},
    "spec": {"instances": 3, "storage": {"size": "1Gi"}},
}


@pytest_asyncio.fixture(scope="module", autouse=True)
async def cloud_native_pg(plane: ControlPlane) -> None:
    """The API server knows Clusters."""
    found = sorted(CACHE.glob("clusters-*.yaml"))
    if not found:
        pytest.skip("the definition of Cluster is not here: tools/setup/definitions.sh brings it")
    plane.run("apply", "--server-side", "-f", str(found[-1]))
    await established(plane, "clusters.postgresql.cnpg.io")


RECOVERED = {"bootstrap": {"recovery": {"backup": {"name": "last"}, "secret": {"name": "mine"}}}}
HEALTHY = "Cluster in healthy state"
INSTANCES = ("main-1", "main-2", "main-3")


def is_at(
    story: Story, phase: str, *healthy: str, primary: str | None = "main-1", hibernates: str | None = None
) -> None:
    """What CloudNativePG's operator says of the Cluster; instances of these names are ready."""
    changed = {"lastTransitionTime": "2026-11-28T03:00:00Z"}
    ready = {"type": "Ready", "status": str(phase == HEALTHY), "reason": "ClusterIsNotReady", "message": ""}
    asleep = {"type": "cnpg.io/hibernation", "status": "True", "reason": "Hibernated", "message": hibernates}
    status = {
        "phase": phase,
        "instances": 3,
        "readyInstances": len(healthy),
        "instancesStatus": {"healthy": healthy} if healthy else None,
        "currentPrimary": primary,
        "targetPrimary": "main-1",
        "conditions": [each | changed for each in (ready, asleep) if each is ready or hibernates],
    }
    patch = ["patch", "cluster.postgresql.cnpg.io", "main", "-n", story.namespace, "--subresource=status"]
    story.plane.run(*patch, "--type=merge", "-p", json.dumps({"status": status}))


def makes_the_secret(story: Story, password: str = "hush") -> None:
    """CloudNativePG's operator does so as soon as it sees the Cluster, long before that is up."""
    uri = f"--from-literal=uri=postgresql://app:{password}@main-rw.story:5432/app"
    story.plane.run("create", "secret", "generic", "main-app", "-n", story.namespace, uri)


def by_hand(replicas: int, **spec: Any) -> dict[str, Any]:
    """A service on the Cluster with so many replicas."""
    return service(replicas=replicas, scaling={"mode": "Manual"}, persistence=BY_REFERENCE, **spec)


async def says(story: Story, reason: str, *words: str, kind: str = "Ready") -> None:
    """The condition has the reason, and all of the words."""

    async def told() -> bool:
        said = await story.has_condition(kind, "False", reason)
        return all(each in said["message"] for each in words)

    await until(told, lambda: f"{words} are not told: {json.dumps(story.status)}")


async def is_released(story: Story, number: int = 1) -> None:
    """Nothing that the manifest names is missing: a revision is made only then, right before its pods."""

    async def released() -> bool:
        found, _ = await story.cluster.list(CONTROLLER_REVISION, story.namespace)
        return number in [each["revision"] for each in found]

    await until(released, f"no revision {number}")


async def has_replicas(story: Story, number: int) -> None:
    async def counted() -> bool:
        return (await story.get(DEPLOYMENT))["spec"]["replicas"] == number

    await until(counted, f"not {number} replicas")


async def test_a_service_waits_for_a_primary_that_serves_in_the_clusters_words(
    story: Story,
) -> None:
    story.apply(service(persistence=BY_REFERENCE))
    await says(story, "ClusterNotFound", "spec.persistence.postgres.cloudNativePG: main")

    story.apply(CLUSTER)
    is_at(story, "Setting up primary", primary=None)
    makes_the_secret(story)
    await is_released(story)
    await says(story, "ClusterNotReady", "Setting up primary", "0 of 3 instances are ready")
    is_at(story, "Waiting for the instances to become active")
    for kind in ("Ready", "Progressing", "Reconciled", "PersistenceReady"):
        await says(story, "ClusterNotReady", "to become active", kind=kind)
    assert not await story.get(DEPLOYMENT)

    is_at(story, "Creating a new replica", "main-1")
    template = (await story.appears(DEPLOYMENT))["spec"]["template"]

    (variable,) = [
        each for each in template["spec"]["containers"][0]["env"] if each["name"] == "DATABASE_URI"
    ]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "main-app", "key": "uri"}
    await story.has_condition("Reconciled", "True", "Done")


async def test_no_replica_is_taken_away_with_its_primary_and_none_is_made_until_there_is_another(
    story: Story,
) -> None:
    story.apply(CLUSTER)
    is_at(story, HEALTHY, *INSTANCES)
    makes_the_secret(story)
    story.apply(by_hand(2))

    async with FakeKubelet(story.cluster, story.namespace) as pods:
        await story.has_condition("Ready", "True", "Serving")
        # Its operator is away, and its status with it: a replica that takes work knows better.
        is_at(story, "Failing over", primary=None)
        story.apply(by_hand(2, image="example.com/support:2"))
        await until(lambda: runs(story, "example.com/support:2"), "the release is held up")
        await story.has_condition("Progressing", "False", "Complete")

        pods.waits("CreateContainerError", "the database is away")
        await says(story, "CreateContainerError", kind="Ready")
        story.apply(by_hand(2, image="example.com/support:3"))
        await is_released(story, 3)
        await says(story, "ClusterNotReady", "Failing over", kind="Reconciled")
        assert await runs(story, "example.com/support:2")
        await has_replicas(story, 2)

        # It is replaced by one that is recovered from a backup, with another password.
        story.plane.run("delete", "cluster.postgresql.cnpg.io", "main", "-n", story.namespace)
        story.plane.run("delete", "secret", "main-app", "-n", story.namespace)
        story.apply(CLUSTER | {"spec": CLUSTER["spec"] | RECOVERED})
        is_at(story, "Setting up primary", primary=None)
        await says(story, "SecretNotFound", "spec.bootstrap.recovery.secret", kind="Reconciled")
        makes_the_secret(story, "another")
        await says(story, "ClusterNotReady", "Setting up primary", kind="Reconciled")
        assert await runs(story, "example.com/support:2")
        await has_replicas(story, 2)

        is_at(story, "Creating a new replica", "main-1")
        pods.runs()
        await until(lambda: runs(story, "example.com/support:3"), "it is not released")
        await story.has_condition("Ready", "True", "Serving")


async def runs(story: Story, image: str) -> bool:
    return bool((await story.template())["spec"]["containers"][0]["image"] == image)


async def test_a_service_sleeps_with_its_cluster_and_wakes_after_it_however_it_is_scaled(
    story: Story,
) -> None:
    awake = service(persistence=BY_REFERENCE, scaling={"minReplicas": 2, "maxReplicas": 3})
    story.apply(CLUSTER)
    is_at(story, HEALTHY, *INSTANCES)
    makes_the_secret(story)
    story.apply(by_hand(1))
    await story.appears(DEPLOYMENT)

    hibernate(story, "on")
    is_at(story, HEALTHY, hibernates="Cluster has been hibernated")
    story.apply(by_hand(0))
    await has_replicas(story, 0)
    await says(story, "ClusterHibernated", "Cluster has been hibernated", "cnpg.io/hibernation-")
    story.apply(by_hand(1))
    await says(story, "ClusterHibernated", kind="Reconciled")
    await has_replicas(story, 0)
    story.apply(awake)
    await story.has_condition("Reconciled", "True", "Done")
    await story.has_condition("ScalingActive", "False", "NoData")
    assert story.status["scaling"]["desiredReplicas"] == 2, "the law has decided"
    await has_replicas(story, 0)

    hibernate(story, "off")
    is_at(story, HEALTHY, "main-1")
    await has_replicas(story, 2)


def hibernate(story: Story, how: str) -> None:
    """As its documentation asks for it."""
    asked = ("annotate", "--overwrite", "cluster.postgresql.cnpg.io", "main", f"cnpg.io/hibernation={how}")
    story.plane.run(*asked, "-n", story.namespace)


async def test_a_service_says_what_a_cluster_is_that_will_never_have_a_database_for_it(
    story: Story,
) -> None:
    follows = {"replica": {"enabled": True, "source": "far"}, "externalClusters": [{"name": "far"}]}
    story.apply(service(persistence=BY_REFERENCE))
    story.apply(CLUSTER | {"spec": CLUSTER["spec"] | RECOVERED})
    is_at(story, HEALTHY, *INSTANCES)
    await says(story, "SecretNotFound", "spec.bootstrap.recovery.secret", "uriSecret")

    story.plane.run("delete", "cluster.postgresql.cnpg.io", "main", "-n", story.namespace)
    story.apply(CLUSTER | {"spec": CLUSTER["spec"] | follows})
    is_at(story, HEALTHY, *INSTANCES)
    makes_the_secret(story)
    await is_released(story)
    for kind in ("Ready", "Reconciled", "PersistenceReady"):
        await says(story, "ClusterReadOnly", "promote it", kind=kind)
    assert not await story.get(DEPLOYMENT)
