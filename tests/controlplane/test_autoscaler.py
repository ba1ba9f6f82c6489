"""Load to replicas against a real API server; only the pods are played, with their metrics over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import condition, service
from controlplane.operators import Operators, Running
from controlplane.story import Story
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import DEPLOYMENT, POD, SERVICE_OF_OURS
from lgs_operator.scaling import Memory
from lgs_operator.scaling.saturation import Saturation
from lgs_operator.scaling.throughput import Level
from support.waiting import LONGEST, until

pytestmark = pytest.mark.controlplane
SCRAPES, FAILED = "lgs_operator_scrapes_total", 'result="failed"'
SCALING = {"minReplicas": 1, "maxReplicas": 4, "scaleDown": {"holdSeconds": 0}}


def apply(plane: ControlPlane, namespace: str, **spec: object) -> None:
    manifest = service(
        persistence={"postgres": {"uriSecret": {"name": "db"}}}, workers={"concurrency": 10}, **spec
    )
    plane.run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))


@pytest.fixture
def database(plane: ControlPlane, namespace: str) -> None:
    plane.run("create", "secret", "generic", "db", "-n", namespace, "--from-literal=uri=postgres://db/x")


async def replicas(cluster: KubeClient, namespace: str) -> int:
    deployment = await cluster.get(DEPLOYMENT, namespace, "support") or {"spec": {}}
    return int(deployment["spec"].get("replicas", 0))


@pytest.mark.usefixtures("database")
async def test_a_spike_is_followed_out_and_in_and_a_silent_replica_is_not_taken_for_an_idle_one(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    operator = await operators.start()
    apply(plane, namespace, scaling=SCALING)

    async with FakeKubelet(cluster, namespace) as pods:

        async def becomes(wanted: int) -> bool:
            return await replicas(cluster, namespace) == wanted

        async def measured() -> bool:
            status = (await cluster.get(SERVICE_OF_OURS, namespace, "support") or {}).get("status", {})
            return condition(status, "ScalingActive").get("status") == "True"

        await until(measured, "the replicas are not measured")
        assert await becomes(1)

        pods.load.serves(per_second=40, run_seconds=1.0, waiting=30)
        await until(lambda: becomes(4), "the spike is not followed")

        pods.load.answers = False
        failed = await operator.metric("lgs_operator_scrapes_total")

        async def asked_again() -> bool:
            return await operator.metric("lgs_operator_scrapes_total") > failed + 12

        await until(asked_again)
        assert await becomes(4)

        pods.load.idle()
        pods.load.answers = True
        await until(lambda: becomes(1), "the replicas are not given back")

    story = Story(plane, cluster, namespace)
    assert await story.event("ScaledOut")
    assert await story.event("ScaledIn")
    said = await asyncio.to_thread(lgs, plane, "why", "support", "--namespace", namespace)
    assert said.startswith("support: ") and "\nreplicas: " in said, said
    assert ": ScaledOut: 1 to " in said and ": ScaledIn: " in said, said
    unknown = await asyncio.to_thread(lgs, plane, "why", "nobody", "--namespace", namespace)
    assert unknown == f"there is no LangGraphService nobody in namespace {namespace}\n"


def lgs(plane: ControlPlane, *command: str) -> str:
    """What the command line says to the administrator."""
    done = subprocess.run(
        [sys.executable, "-m", "lgs_operator.cli", *command],
        env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.usefixtures("database")
async def test_a_hand_set_number_is_set_back_and_the_manual_mode_obeys_the_manifest(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    await operators.start()
    apply(plane, namespace, scaling=SCALING | {"minReplicas": 2})

    async with FakeKubelet(cluster, namespace):

        async def becomes(wanted: int) -> bool:
            return await replicas(cluster, namespace) == wanted

        async def both_run() -> bool:
            listed, _ = await cluster.list(POD, namespace, labels="lgs.dev/service=support")
            return len(listed) == 2

        await until(lambda: becomes(2), "a new service does not start with minReplicas")
        await until(both_run)

        plane.run("scale", "deployment/support", "-n", namespace, "--replicas=1")
        await until(lambda: becomes(2), "the autoscaler does not keep its number")

        apply(plane, namespace, scaling=SCALING | {"minReplicas": 2, "mode": "External"}, replicas=3)
        await until(lambda: becomes(3), "spec.replicas is not obeyed")

        plane.run("scale", "lgs/support", "-n", namespace, "--replicas=1")
        await until(lambda: becomes(1), "the scale subresource is not obeyed")


@pytest.mark.usefixtures("database")
async def test_a_service_that_was_left_without_a_replica_has_those_again_that_its_manifest_asks_for(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    """Nobody is there to be asked, and nobody would ever come."""
    await operators.start()
    apply(plane, namespace, scaling=SCALING | {"mode": "Manual"}, replicas=0)

    async def becomes(wanted: int) -> bool:
        return await replicas(cluster, namespace) == wanted

    async def reported(reason: str) -> bool:
        status = (await cluster.get(SERVICE_OF_OURS, namespace, "support") or {}).get("status", {})
        return condition(status, "Ready").get("reason") == reason

    async with FakeKubelet(cluster, namespace):
        await until(lambda: reported("ScaledToZero"), "the manual mode does not obey the manifest")
        apply(plane, namespace, scaling=SCALING)
        await until(lambda: becomes(1), "mode Auto leaves it without a replica")
        await until(lambda: reported("Serving"))

        plane.run("scale", "deployment/support", "-n", namespace, "--replicas=0")
        await until(lambda: becomes(1), "what a hand took away stays away")
        await until(lambda: reported("Serving"))


@pytest.mark.usefixtures("database")
async def test_fewer_at_most_are_had_though_no_replica_can_be_asked(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    """The way out of a quota that has no room: `maxReplicas`. Without a kubelet no pod is ever ready."""
    await operators.start()
    apply(plane, namespace, scaling=SCALING | {"minReplicas": 3})

    async def becomes(wanted: int) -> bool:
        return await replicas(cluster, namespace) == wanted

    await until(lambda: becomes(3), "a new service does not start with minReplicas")
    apply(plane, namespace, scaling=SCALING | {"maxReplicas": 2})
    await until(lambda: becomes(2), "what the manifest has at most is not kept")


@pytest.mark.usefixtures("database")
async def test_a_new_operator_goes_on_with_what_the_law_remembers(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    first = await operators.start()
    apply(plane, namespace, scaling=SCALING)

    async def remembered() -> dict[str, Any]:
        body = await cluster.get(SERVICE_OF_OURS, namespace, "support") or {}
        return dict(json.loads(body.get("status", {}).get("scaling", {}).get("memory", "{}")))

    async with FakeKubelet(cluster, namespace) as pods:
        pods.load.serves(per_second=20, run_seconds=1.0, waiting=0)

        async def run_time_is_known() -> bool:
            return (await remembered()).get("run") is not None

        await until(run_time_is_known, "the run time is not learned")
        await operators.kill(first)
        pods.load.answers = False
        second = await operators.start()

        async def asked() -> bool:
            return await second.metric("lgs_operator_scrapes_total") > 6

        await until(asked, "the successor does not ask the replicas")
        assert await run_time_is_known()


@pytest.mark.usefixtures("database")
async def test_a_circuit_that_opens_and_closes_is_a_condition_and_an_event_of_its_graph(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    await operators.start()
    apply(plane, namespace, circuitBreaker={"graphs": {"agent": {"probes": 1}}})

    async with FakeKubelet(cluster, namespace) as pods:

        async def says(reason: str, named: str = "") -> bool:
            status = (await cluster.get(SERVICE_OF_OURS, namespace, "support") or {}).get("status", {})
            found = condition(status, "CircuitsClosed")
            return found.get("reason") == reason and named in found["message"]

        await until(lambda: says("AllClosed"))
        pods.load.opened = ("agent",)
        await until(lambda: says("CircuitOpen", "agent"))
        pods.load.opened = ("agent", "search")
        await until(lambda: says("CircuitOpen", "agent, search"))
        pods.load.opened = ()
        await until(lambda: says("AllClosed"))

    path = "jsonpath={range .items[*]}{.reason} {.message}{'\\n'}{end}"

    def told() -> list[str]:
        events = plane.run("get", "events", "-n", namespace, "-o", path).splitlines()
        return sorted(" ".join(line.split()[:3]) for line in events if line.startswith("Circuit"))

    each = [
        "CircuitClosed graph agent:",
        "CircuitClosed graph search:",
        "CircuitOpened graph agent:",
        "CircuitOpened graph search:",
    ]
    await until(lambda: told() == each, lambda: f"the Events are {told()}")


@pytest.mark.usefixtures("database")
async def test_a_full_downstream_is_a_condition_with_numbers_and_an_event_and_keeps_replicas_from_being_added(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    apply(plane, namespace, scaling=SCALING | {"scaleDown": {"holdSeconds": 60}})
    now = time.time()
    level = Level(slots=20, since=now, seconds=60.0, ended=600.0)
    found = Saturation(
        "limited",
        full_at=now + 600,
        next_at=now + 3600,
        cap=2,
        reference=level,
        shown="4 replicas ended 10 runs/s",
    )
    memory = Memory(at=now, replicas=2, run_seconds=1.0, saturation=found).to_json()
    status = {"status": {"scaling": {"desiredReplicas": 2, "memory": memory}}}
    patch = ("patch", "lgs", "support", "-n", namespace, "--subresource=status", "--type=merge", "-p")
    plane.run(*patch, json.dumps(status))
    await operators.start()

    async with FakeKubelet(cluster, namespace) as pods:
        pods.load.serves(per_second=40, run_seconds=1.0, waiting=30)

        async def limited() -> dict[str, Any]:
            status = (await cluster.get(SERVICE_OF_OURS, namespace, "support") or {}).get("status", {})
            return condition(status, "ScalingLimited")

        async def told() -> bool:
            return (await limited()).get("reason") == "DownstreamSaturated"

        await until(told, "the condition does not say what limits")
        assert "4 replicas ended 10 runs/s" in (await limited())["message"]
        assert await replicas(cluster, namespace) <= 2

    async def recorded() -> bool:
        listed = plane.run("get", "events", "-n", namespace, "-o", "jsonpath={.items[*].reason}")
        return "DownstreamSaturated" in listed.split()

    await until(recorded, "no Event tells it")


@pytest.mark.usefixtures("database")
async def test_an_operator_that_is_started_anew_writes_nothing_of_what_is_as_it_was(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators
) -> None:
    apply(plane, namespace, scaling=SCALING)

    async def status_of() -> dict[str, Any]:
        found = await cluster.get(SERVICE_OF_OURS, namespace, "support") or {}
        return dict(found["status"]) | {"version": found["metadata"]["resourceVersion"]}

    async def is_told() -> bool:
        found = await cluster.get(SERVICE_OF_OURS, namespace, "support") or {}
        status = found.get("status", {})
        ready = condition(status, "Ready").get("status") == "True"
        return ready and condition(status, "ScalingActive").get("reason") == "Measuring"

    async def all_answered(running: Running, times: float) -> bool:
        """The replicas were asked so many times more: a busy machine may have kept one from its answer."""
        begun = await running.metric(SCRAPES)
        failed = await running.metric(SCRAPES, FAILED)

        async def seen() -> bool:
            return await running.metric(SCRAPES) >= begun + times

        await until(seen, "the replicas are not asked")
        return await running.metric(SCRAPES, FAILED) == failed

    async def ends(running: Running) -> None:
        running.process.terminate()
        await running.process.wait()

    async def is_as_it_was() -> bool:
        first = await operators.start()
        await until(is_told, "the service does not get ready")
        await all_answered(first, 5)
        await ends(first)
        before, was_told = await status_of(), await is_told()

        second = await operators.start()
        all_did = was_told and await all_answered(second, 8)
        assert await second.metric("lgs_operator_reconciles_total") >= 1
        after = await status_of()
        await ends(second)
        assert not all_did or after == before
        return all_did

    async with FakeKubelet(cluster, namespace):
        await until(is_as_it_was, "a replica does not answer, each time")
