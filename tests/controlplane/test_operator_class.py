"""Two operators don't fight: each service has one, by its class, and a second one of a class stays out."""

from __future__ import annotations

import asyncio
import json

import pytest

from controlplane.manifests import service
from controlplane.operators import Operators, Running
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, SERVICE, SERVICE_OF_OURS
from lgs_operator.naming import CLASS_LABEL
from support.waiting import LONGEST, until

pytestmark = pytest.mark.controlplane
CLAIM = "lgs-operator-namespace-default"
STOCK = {"image": None, "source": {"configMap": "code"}, "graphs": {"agent": "./graph.py:graph"}}


def installed(release: str, image: str, **settings: str) -> dict[str, str]:
    """The settings of an installation of its own, with an image of its own; of the whole cluster, if nothing
    else is said."""
    mine = {"LGS_OPERATOR_LEASE": release, "LGS_RUNTIME_IMAGE": image, "LGS_OPERATOR_NAMESPACES": ""}
    return mine | settings


def has_code(story: Story) -> None:
    story.plane.run("create", "configmap", "code", "-n", story.namespace, "--from-literal=graph.py=1")


async def image_of(story: Story, name: str = "support") -> str:
    deployment = await story.appears(DEPLOYMENT, name)
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


async def stays_out(operator: Running) -> str:
    """The words in which it says so."""

    async def said() -> str | None:
        status, words = await operator.readiness()
        return words if status == 503 else None

    return await until(said, lambda: f"it does not stay out: {operator.log.read_text()[-2000:]}")


@pytest.mark.parametrize("scope", ["cluster", "namespace"])
async def test_of_two_operators_of_a_class_the_second_stays_out_and_says_so(
    story: Story, operators: Operators, scope: str
) -> None:
    where = {} if scope == "cluster" else {"LGS_OPERATOR_NAMESPACES": story.namespace}
    has_code(story)
    first = await operators.start(env=installed("blue", "blue:1", **where))
    story.apply(service(**STOCK))
    assert await image_of(story) == "blue:1"
    before = (await story.get(DEPLOYMENT))["metadata"]["generation"]

    second = await operators.start(env=installed("green", "green:1", **where), leads=False)

    words = await stays_out(second)
    assert f"operator class default is served by {story.namespace}/blue" in words
    await second.shows("lgs_operator_stays_out", 1)
    assert "class.stays_out" in second.log.read_text()
    assert not await second.leads()
    story.apply(service("another", **STOCK))
    assert await image_of(story, "another") == "blue:1"
    assert (await story.get(DEPLOYMENT))["metadata"]["generation"] == before
    assert (await first.readiness())[0] == 200

    first.process.terminate()
    await first.process.wait()
    story.plane.run("delete", "lease", "-A", "-l", "lgs.dev/operator-class=default")
    await until(second.leads, "nobody follows an installation that is gone")


async def test_a_restart_of_an_installation_gives_its_class_to_nobody_else(
    story: Story, operators: Operators
) -> None:
    long = {"LGS_OPERATOR_CLAIM_SECONDS": "300", "LGS_OPERATOR_NAMESPACES": story.namespace}
    first = await operators.start(env=installed("blue", "blue:1", **long))
    second = await operators.start(env=installed("green", "green:1", **long), leads=False)
    await stays_out(second)

    await operators.kill(first, "blue")
    replacement = await operators.start(env=installed("blue", "blue:1", **long))

    assert await replacement.leads()
    assert not await second.leads()


async def test_a_claim_that_another_installation_has_taken_ends_the_operator(
    story: Story, operators: Operators
) -> None:
    here = {"LGS_OPERATOR_NAMESPACES": story.namespace}
    operator = await operators.start(env=installed("blue", "blue:1", **here))
    taken = json.dumps({"spec": {"holderIdentity": "elsewhere/green", "leaseDurationSeconds": 300}})

    story.plane.run("patch", "lease", CLAIM, "-n", story.namespace, "--type=merge", "-p", taken)

    assert await asyncio.wait_for(operator.process.wait(), LONGEST) == 1
    assert "served by elsewhere/green" in operator.log.read_text()


async def test_a_namespace_that_is_gone_keeps_the_operator_from_no_other(
    story: Story, operators: Operators
) -> None:
    other = f"{story.namespace}-other"
    settings = installed("blue", "blue:1", LGS_OPERATOR_NAMESPACES=f"{story.namespace},{other}")

    operator = await operators.start(env=settings)
    story.apply(service())
    await story.appears(DEPLOYMENT)
    assert f'"namespace": "{other}"' in operator.log.read_text()

    story.plane.run("create", "namespace", other)
    there = Story(story.plane, story.cluster, other)
    there.apply(service())
    await there.appears(DEPLOYMENT)

    story.plane.run("delete", "namespace", other, "--wait=false")
    await operator.shows("lgs_operator_services", 1)
    story.apply(service("another"))
    await story.appears(DEPLOYMENT, "another")
    assert operator.process.returncode is None


async def test_who_writes_a_lease_in_one_namespace_decides_nothing_for_the_others(
    story: Story, operators: Operators
) -> None:
    other = f"{story.namespace}-other"
    story.plane.run("create", "namespace", other)
    there = Story(story.plane, story.cluster, other)
    settings = installed("blue", "blue:1", LGS_OPERATOR_NAMESPACES=f"{story.namespace},{other}")

    is_held_by(there, "elsewhere/evil")
    operator = await operators.start(env=settings)
    assert "served by elsewhere/evil" in operator.log.read_text()
    there.apply(service())
    story.apply(service())
    await story.appears(DEPLOYMENT)
    assert not await there.get(DEPLOYMENT)

    is_held_by(there, "")
    await there.appears(DEPLOYMENT)

    is_held_by(there, "elsewhere/evil")
    await operator.shows("lgs_operator_services", 1)
    story.apply(service("another"))
    await story.appears(DEPLOYMENT, "another")
    assert operator.process.returncode is None
    story.plane.run("delete", "namespace", other, "--wait=false")


def is_held_by(story: Story, who: str) -> None:
    """Somebody writes the claim of the namespace."""
    head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": CLAIM}}
    lease = head | {"spec": {"holderIdentity": who, "leaseDurationSeconds": 300}}
    apply = ("apply", "--server-side", "--force-conflicts", "-n", story.namespace, "-f", "-")
    story.plane.run(*apply, stdin=json.dumps(lease))


async def test_each_class_has_its_operator_and_one_that_nobody_serves_is_not_touched(
    story: Story, operators: Operators
) -> None:
    has_code(story)
    await operators.start(env=installed("blue", "blue:1"))
    await operators.start(env=installed("green", "green:1", LGS_OPERATOR_CLASS="canary"))

    story.apply(service("nobodys", operatorClass="unknown", **STOCK))
    story.apply(service(**STOCK))
    story.apply(service("named", operatorClass="default", **STOCK))
    story.apply(service("tried", operatorClass="canary", **STOCK))

    assert [await image_of(story, name) for name in ("support", "named", "tried")] == [
        "blue:1", "blue:1", "green:1",
    ]  # fmt: skip
    assert not await story.get(DEPLOYMENT, "nobodys")
    assert "status" not in await story.get(SERVICE_OF_OURS, "nobodys")


async def test_a_change_of_the_class_hands_over_and_restarts_no_pod(
    story: Story, operators: Operators
) -> None:
    blue = await operators.start(env=installed("blue", "blue:1"))
    green = await operators.start(env=installed("green", "green:1", LGS_OPERATOR_CLASS="canary"))
    story.apply(service())
    before = (await story.appears(DEPLOYMENT))["metadata"]
    await story.has_condition("Ready", "False", "Starting")

    story.apply(service(operatorClass="canary"))

    async def handed_over() -> bool:
        return [await each.metric("lgs_operator_services") for each in (blue, green)] == [0, 1]

    await until(handed_over, "the service stays where it was")
    story.plane.run("delete", "service", "support", "-n", story.namespace)
    await story.appears(SERVICE)
    after = (await story.get(DEPLOYMENT))["metadata"]
    assert (after["uid"], after["generation"]) == (before["uid"], before["generation"])


async def test_a_cluster_wide_operator_leaves_a_namespace_that_has_its_own(
    story: Story, operators: Operators
) -> None:
    has_code(story)
    wide = await operators.start(env=installed("blue", "blue:1"))
    story.apply(service(**STOCK))
    assert await image_of(story) == "blue:1"

    own = await operators.start(env=installed("green", "green:1", LGS_OPERATOR_NAMESPACES=story.namespace))

    async def theirs() -> bool:
        return await image_of(story) == "green:1"

    await wide.shows("lgs_operator_services", 0)
    await until(theirs, "the namespace's own operator does not take over")
    generation = (await story.get(DEPLOYMENT))["metadata"]["generation"]
    story.plane.run("delete", "service", "support", "-n", story.namespace)
    await story.appears(SERVICE)
    assert (await story.get(DEPLOYMENT))["metadata"]["generation"] == generation
    assert await wide.leads()

    own.process.terminate()
    await own.process.wait()
    story.plane.run("delete", "lease", "lgs-operator-namespace-default", "-n", story.namespace)

    async def back() -> bool:
        return await image_of(story) == "blue:1"

    await until(back, "nobody serves the namespace when its own operator is gone")


async def test_a_cluster_wide_operator_serves_a_namespace_whose_own_one_is_gone_without_being_uninstalled(
    story: Story, operators: Operators
) -> None:
    """Its claim is still there, and nobody renews it."""
    has_code(story)
    head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    named = {"metadata": {"name": CLAIM, "labels": {CLASS_LABEL: "default"}}}
    left = {"spec": {"holderIdentity": "elsewhere/gone", "leaseDurationSeconds": 2}}
    story.apply(head | named | left)

    wide = await operators.start(env=installed("blue", "blue:1", LGS_OPERATOR_CLAIM_SECONDS="5"))
    story.apply(service(**STOCK))

    assert await image_of(story) == "blue:1"
    assert "namespace.claim_lapsed" in wide.log.read_text()
