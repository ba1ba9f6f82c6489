"""A database of CloudNativePG by reference, against its own CustomResourceDefinition on a real API server.
Its operator is played: it writes the Cluster's status, and the Secret of the application."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from controlplane.waiting import established
from lgs_operator.kube.kinds import DEPLOYMENT
from support.waiting import until

pytestmark = pytest.mark.controlplane
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgs-toolchain" / "cloudnativepg"
BY_REFERENCE = {"postgres": {"cloudNativePG": {"cluster": "main"}}}
CLUSTER: dict[str, Any] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "main"},
    "spec": {"instances": 3, "storage": {"size": "1Gi"}},
}


@pytest_asyncio.fixture
async def cloud_native_pg(story: Story) -> None:
    """The API server knows Clusters."""
    found = sorted(CACHE.glob("clusters-*.yaml"))
    if not found:
        pytest.skip("the definition of Cluster is not here: tools/setup/definitions.sh brings it")
    story.plane.run("apply", "--server-side", "-f", str(found[-1]))
    await established(story.plane, "clusters.postgresql.cnpg.io")


def is_at(story: Story, phase: str, ready: str, instances: int) -> None:
    """What CloudNativePG's operator says of the Cluster."""
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": "ClusterIsNotReady",
        "message": "",
        "lastTransitionTime": "2026-11-28T03:00:00Z",
    }
    status = {"phase": phase, "instances": 3, "readyInstances": instances, "conditions": [condition]}
    patch = ["patch", "cluster.postgresql.cnpg.io", "main", "-n", story.namespace, "--subresource=status"]
    story.plane.run(*patch, "--type=merge", "-p", json.dumps({"status": status}))


@pytest.mark.usefixtures("cloud_native_pg")
async def test_a_service_waits_for_its_cluster_in_the_clusters_words_and_starts_with_its_secret(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service(persistence=BY_REFERENCE))
    said = await story.has_condition("Ready", "False", "ClusterNotFound")
    assert "spec.persistence.postgres.cloudNativePG: main" in said["message"]

    story.apply(CLUSTER)
    await story.has_condition("PersistenceReady", "False", "ClusterNotReady")
    is_at(story, "Setting up primary", "False", 0)

    async def is_told() -> bool:
        return "Setting up primary" in json.dumps(
            await story.has_condition("Ready", "False", "ClusterNotReady")
        )

    await until(is_told, "the phase is not told")
    said = await story.has_condition("Ready", "False", "ClusterNotReady")
    assert "0 of 3 instances are ready" in said["message"]
    assert not await story.get(DEPLOYMENT)

    is_at(story, "Cluster in healthy state", "True", 3)
    uri = "--from-literal=uri=postgresql://app:hush@main-rw.story:5432/app"
    story.plane.run("create", "secret", "generic", "main-app", "-n", story.namespace, uri)
    template = (await story.appears(DEPLOYMENT))["spec"]["template"]

    (variable,) = [
        each for each in template["spec"]["containers"][0]["env"] if each["name"] == "DATABASE_URI"
    ]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "main-app", "key": "uri"}
    await story.has_condition("Reconciled", "True", "Done")
