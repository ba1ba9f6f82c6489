"""`helm upgrade` from the chart of the release before, while services run that its operator made: what is
stored goes with the new schema, no replica is replaced, and what is new can be had.

The operators are processes with the rights and the settings that each chart gives them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.chart import CHART
from controlplane.installation import TEAM, Installation, empty_cluster
from controlplane.manifests import condition, service
from controlplane.operators import Running
from controlplane.story import Story
from lgs_operator.kube.drift import covers
from lgs_operator.kube.kinds import (
    CLAIM,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    POD,
    SECRET,
    SERVICE_OF_OURS,
    STATEFUL_SET,
    Kind,
    Manifest,
)
from support.waiting import until

pytestmark = pytest.mark.controlplane
CODE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"graph.py": "1"}}
BACKUP = {"schedule": "0 3 * * *", "volume": {}}
POOL = {"persistence": {"postgres": {"uriSecret": {"name": "db"}}}}
SERVICES = (
    service(
        "stock",
        image=None,
        source={"configMap": "code"},
        graphs={"agent": "./graph.py:graph"},
        persistence={
            "postgres": {"managed": {"storage": "1Gi", "backup": {"schedule": "0 3 * * *", "volume": {}}}}
        },
        cache={"redis": {"managed": {}}},
        network={"allowFrom": [{"podSelector": {}}]},
    ),
    service(
        "split",
        topology="Split",
        api={"replicas": 2},
        scaling={"minReplicas": 2, "maxReplicas": 4, "scaleDown": {"holdSeconds": 600}},
        workers={"concurrency": 7},
        circuitBreaker={},
        rollout={"autoRollback": True},
        **POOL,
    ),
    service(
        "manual",
        replicas=2,
        scaling={"mode": "Manual"},
        observability={"tracing": {"endpoint": "http://collector.monitoring:4318"}},
        pod={"env": [{"name": "A", "value": "1"}], "labels": {"team": "a"}, "annotations": {"b": "c"}},
        **POOL,
    ),
)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    async with empty_cluster(tmp_path) as made:
        yield made


async def test_helm_upgrade_with_services_running_replaces_nothing_and_what_is_new_can_be_had(
    installation: Installation,
) -> None:
    story, previous = installation.story, installation.previous
    settings = installation.install(previous.chart)
    first = settings | {"PYTHONPATH": previous.python_path}
    old = await installation.start(first, leads=True, by_command=True)
    for each in (CODE, *SERVICES):
        story.apply(each)
    await until(lambda: are_rolled_out(story), "the release before does not roll out its services")
    await until(lambda: have_their_pods(story), "a Deployment or a StatefulSet has not all of its pods")
    before, asked = await what_there_is(story), await specs(story)

    settings = installation.install(CHART)
    new = await installation.start(settings, leads=False)
    old.process.terminate()
    await old.process.wait()
    await until(new.leads, lambda: f"no operator follows: {new.log.read_text()[-3000:]}")
    await until(lambda: is_done(new), "the new operator does not look after all services")
    after, stored = await what_there_is(story), await specs(story)
    again = [story.plane.run("apply", "-n", TEAM, "-f", "-", stdin=json.dumps(each)) for each in SERVICES]

    assert after == before
    assert [name for name, spec in asked.items() if not covers(stored[name], spec)] == []
    assert all("unchanged" in said for said in again)
    assert await new.metric("lgs_operator_internal_errors_total") == 0

    canary = {"strategy": "Canary", "steps": [50], "pauseSeconds": 600}
    story.apply(with_spec(SERVICES[-1], image="example.com/support:2", rollout=canary))
    await story.appears(DEPLOYMENT, "manual-canary")
    stays = await what_there_is(story)
    assert before["Pod"].items() <= stays["Pod"].items()
    assert stays["Deployment"] == before["Deployment"] | {
        "manual-canary": stays["Deployment"]["manual-canary"]
    }


def with_spec(manifest: Manifest, **spec: Any) -> Manifest:
    """The manifest with other fields of its spec."""
    return manifest | {"spec": manifest["spec"] | spec}


async def specs(story: Story) -> dict[str, dict[str, Any]]:
    """What the manifests say, with the defaults of the schema that there is."""
    found, _ = await story.cluster.list(SERVICE_OF_OURS, TEAM)
    return {each["metadata"]["name"]: each["spec"] for each in found}


async def are_rolled_out(story: Story) -> bool:
    """All replicas are there that the manifests ask for, and the operator says so of what they say now."""
    found, _ = await story.cluster.list(SERVICE_OF_OURS, TEAM)
    told = [condition(each.get("status", {}), "Progressing") for each in found]
    return [each.get("reason") for each in told] == ["Complete"] * len(SERVICES)


async def have_their_pods(story: Story) -> bool:
    """All controllers have made what they make: nothing comes afterwards."""
    made, _ = await story.cluster.list(DEPLOYMENT, TEAM)
    servers, _ = await story.cluster.list(STATEFUL_SET, TEAM)
    return all(each["spec"]["replicas"] == each["status"].get("replicas", 0) for each in made + servers)


async def is_done(operator: Running) -> bool:
    """It has reconciled all services, and none is due."""
    done = await operator.metric("lgs_operator_reconciles_total")
    return done >= len(SERVICES) and await operator.metric("lgs_operator_due") == 0


KEPT: dict[Kind, Callable[[Manifest], Any]] = {
    POD: lambda pod: pod["metadata"]["uid"],
    DEPLOYMENT: lambda each: (each["metadata"]["uid"], each["spec"]["replicas"], each["spec"]["template"]),
    STATEFUL_SET: lambda each: (each["metadata"]["uid"], each["spec"]["template"]),
    CLAIM: lambda each: each["metadata"]["uid"],
    SECRET: lambda each: each["data"],
    CONFIG_MAP: lambda each: each.get("data"),
    CONTROLLER_REVISION: lambda each: (each["revision"], each["data"]),
    SERVICE_OF_OURS: lambda each: (each["metadata"]["uid"], each["metadata"]["generation"]),
}
"""What an upgrade is to leave of each kind as it is."""


async def what_there_is(story: Story) -> dict[str, dict[str, Any]]:
    """By kind and name."""
    found = {}
    for kind, kept in KEPT.items():
        objects, _ = await story.cluster.list(kind, TEAM)
        found[kind.name] = {each["metadata"]["name"]: kept(each) for each in objects}
    return found
