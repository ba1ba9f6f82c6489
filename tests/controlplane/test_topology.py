"""A live service whose replicas that answer requests are set apart from those that execute runs, and back,
against a real API server; only the pods are played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import DEPLOYMENT, DISRUPTION_BUDGET, POD, SERVICE, SERVICE_OF_OURS
from lgs_operator.kube.pods import is_ready
from support.waiting import until

pytestmark = pytest.mark.controlplane


@pytest.fixture
def story(plane: ControlPlane, cluster: KubeClient, namespace: str) -> Story:
    plane.run("create", "secret", "generic", "db", "-n", namespace, "--from-literal=uri=postgres://db/x")
    return Story(plane, cluster, namespace)


def manifest(topology: str, **spec: Any) -> dict[str, Any]:
    usual = {"persistence": {"postgres": {"uriSecret": {"name": "db"}}}, "api": {"replicas": 1}}
    return service(topology=topology, **(usual | spec))


def role(pod: dict[str, Any]) -> str:
    env = pod["spec"]["containers"][0]["env"]
    return next((each["value"] for each in env if each["name"] == "LGS_ROLE"), "combined")


async def selector(story: Story) -> dict[str, str]:
    return (await story.get(SERVICE)).get("spec", {}).get("selector") or {}


async def met(story: Story) -> list[str] | None:
    """The roles of the replicas that a request can meet now; None while that changes."""
    before = await selector(story)
    labels = ",".join(f"{name}={value}" for name, value in before.items())
    pods, _ = await story.cluster.list(POD, story.namespace, labels=labels)
    return sorted({role(pod) for pod in pods if is_ready(pod)}) if before == await selector(story) else None


@asynccontextmanager
async def requests_meet(story: Story, seen: list[list[str]]) -> AsyncIterator[None]:
    """Reads again and again which replicas a request can reach while the context is open."""

    async def look() -> None:
        while True:
            if (roles := await met(story)) is not None:
                seen.append(roles)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def all_are(story: Story, *roles: str) -> bool:
    pods, _ = await story.cluster.list(POD, story.namespace, labels="lgs.dev/service=support")
    return bool(pods) and all(map(is_ready, pods)) and {role(pod) for pod in pods} == set(roles)


async def test_a_live_service_is_split_and_put_together_and_a_request_always_meets_who_answers_it(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(manifest("Combined"))
    seen: list[list[str]] = []

    async with FakeKubelet(story.cluster, story.namespace):
        await story.has_condition("Ready", "True", "Serving")
        async with requests_meet(story, seen):
            story.apply(manifest("Split"))
            await until(lambda: all_are(story, "api", "worker"), "the service is not split")
            split = await until(lambda: met(story), "no request meets anybody")
            await story.has_condition("Progressing", "False", "Complete")
            table = story.plane.run("get", "lgs", "-n", story.namespace, "-o", "wide")
            budget = await story.get(DISRUPTION_BUDGET, "support-api")

            story.apply(manifest("Combined"))
            await until(lambda: all_are(story, "combined"), "the service is not put together")
            await story.vanishes(DEPLOYMENT, "support-api")
            await story.vanishes(DISRUPTION_BUDGET, "support-api")
            combined = await until(lambda: met(story), "no request meets anybody")

    assert (split, combined) == (["api"], ["combined"])
    assert budget
    header, line = table.splitlines()
    assert line[header.index("API") :].split()[0] == "1"
    assert seen
    assert all(roles and "worker" not in roles for roles in seen)


async def test_while_no_replica_comes_up_that_answers_the_service_goes_on_as_it_was(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(manifest("Combined"))

    async with FakeKubelet(story.cluster, story.namespace) as pods:
        await story.has_condition("Ready", "True", "Serving")
        pods.lacks("example.com/support:2")
        story.apply(manifest("Split", image="example.com/support:2"))
        await story.has_condition("Progressing", "False", "ImagePullBackOff")
        stays = [await met(story), (await story.template())["spec"]["containers"][0]["image"]]
        await story.has_condition("Ready", "True", "Serving")

    assert stays == [["combined"], "example.com/support:1"]


async def counts(story: Story, executing: int) -> dict[str, Any] | None:
    """The status, once it counts so many replicas that execute runs."""
    status = (await story.get(SERVICE_OF_OURS)).get("status", {})
    return status if status.get("readyReplicas") == executing else None


async def test_replicas_that_execute_go_when_nothing_comes_and_come_back_when_a_run_waits_or_is_due(
    story: Story, operators: Operators
) -> None:
    scaling = {"minReplicas": 0, "maxReplicas": 3, "scaleDown": {"holdSeconds": 0, "idleSeconds": 1}}
    await operators.start()
    story.apply(manifest("Split", scaling=scaling))

    async def executing() -> int:
        return (await story.get(DEPLOYMENT)).get("spec", {}).get("replicas", -1)

    async def none_is_there() -> bool:
        labels = "lgs.dev/service=support,app.kubernetes.io/component=runtime"
        pods, _ = await story.cluster.list(POD, story.namespace, labels=labels)
        return not pods and await executing() == 0

    async def some_execute() -> bool:
        return await executing() > 0 and await all_are(story, "api", "worker")

    async with FakeKubelet(story.cluster, story.namespace) as pods:
        await story.has_condition("Ready", "True", "Serving")
        await story.has_condition("ScalingActive", "True", "Measuring")
        assert await none_is_there()

        pods.load.serves(per_second=0.0, run_seconds=1.0, waiting=2)
        await until(some_execute, "no replica comes for the runs that wait")
        pods.load.idle()
        await until(none_is_there, "the last replica stays")
        await story.has_condition("Ready", "True", "Serving")
        counted = await until(lambda: counts(story, 0), "the status counts a replica that is gone")

        pods.load.next_due = 3.0
        await until(some_execute, "no replica is there when a cron is due")
        pods.load.next_due = None
        await until(none_is_there, "the last replica stays")

        story.apply(manifest("Combined"))
        await until(lambda: all_are(story, "combined"), "no replica does both")

    assert (counted["readyReplicas"], counted["api"]["readyReplicas"]) == (0, 1)
    await story.event("ScaledIn", "nothing has come for 1.0 s: no replica")
