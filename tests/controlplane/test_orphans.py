"""`kubectl delete --cascade=orphan` leaves the objects of a service in place at whatever moment it comes:
nothing of them is deleted afterwards, and the next service of the name takes them over."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.databases import managed, uid_of
from controlplane.faulty_proxy import faulty_proxy
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, INGRESS, SECRET, SERVICE, SERVICE_OF_OURS, STATEFUL_SET, Kind
from lgs_operator.naming import TRACK_LABEL
from support.waiting import until

pytestmark = pytest.mark.controlplane
PARTS: tuple[tuple[Kind, str], ...] = (
    (DEPLOYMENT, "support"),
    (DEPLOYMENT, "support-redis"),
    (SERVICE, "support"),
    (STATEFUL_SET, "support-postgres"),
    (SECRET, "support-redis"),
    (INGRESS, "support"),
)


def whole(megabytes: int = 64, concurrency: int = 4) -> dict[str, object]:
    """A service with managed servers; the numbers change both of its Deployments."""
    spec = managed()["spec"] | {
        "cache": {"redis": {"managed": {"maxMemory": f"{megabytes}Mi"}}},
        "workers": {"concurrency": concurrency},
        "network": {"ingress": {"hosts": [f"of-{concurrency}.example.com"]}},
    }
    return managed() | {"spec": spec}


def let_go(story: Story) -> None:
    story.plane.run("delete", "lgs", "support", "-n", story.namespace, "--cascade=orphan")


async def uids(story: Story) -> list[str | None]:
    """Of the parts as they are now."""
    return [(await story.get(*part)).get("metadata", {}).get("uid") for part in PARTS]


async def owners(story: Story) -> list[str]:
    """The uids of the services that own the parts."""
    found = [(await story.get(*part)).get("metadata", {}).get("ownerReferences", []) for part in PARTS]
    return [each["uid"] for references in found for each in references]


async def is_collected(story: Story) -> None:
    """Returns when the garbage collector has seen all that was there: it has deleted what named the same
    owner that is gone."""
    absent = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "name": "gone"}
    absent |= {"uid": "00000000-0000-0000-0000-000000000000"}
    story.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "dangles", "ownerReferences": [absent]},
        }
    )

    async def gone() -> bool:
        return "NotFound" in story.plane.run(
            "get", "configmap", "dangles", "-n", story.namespace, check=False
        )

    await until(gone, "the garbage collector does not work")


@pytest.mark.parametrize("held", ["/deployments/support-redis", "/deployments/support", "/ingresses/support"])
async def test_a_write_that_is_under_way_owns_nothing_again(
    story: Story, operators: Operators, plane: ControlPlane, tmp_path: Path, held: str
) -> None:
    """The API server is slow: the operator has planned its writes, or sent one, before the service goes."""
    async with faulty_proxy(plane, seed=1) as (proxy, url):
        slow = tmp_path / "slow.conf"
        slow.write_text(proxy.kubeconfig(url))
        operator = await operators.start(kubeconfig=slow)
        story.apply(whole())
        await story.has_condition("Reconciled", "True", "Done")
        await story.has_condition("Exposed", "Unknown", "RoutePending")
        before = await uids(story)
        proxy.held = held
        story.apply(whole(megabytes=96, concurrency=7))
        await proxy.waits.wait()

        let_go(story)
        await story.vanishes(SERVICE_OF_OURS)
        proxy.held = None
        proxy.released.set()
        await proxy.answered.wait()

        await is_collected(story)
        assert await uids(story) == before
        assert await owners(story) == []

        story.apply(whole(megabytes=128, concurrency=8))
        await story.has_condition("Reconciled", "True", "Done")
        assert await uids(story) == before
        assert set(await owners(story)) == {await uid_of(story, SERVICE_OF_OURS, "support")}
        assert await operator.metric("lgs_operator_internal_errors_total") == 0


async def test_it_may_come_twice_and_an_operator_of_another_class_takes_over(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(whole())
    await story.has_condition("Reconciled", "True", "Done")
    before = await uids(story)

    for operator_class in ("default", "blue"):
        let_go(story)
        await story.vanishes(SERVICE_OF_OURS)
        assert await owners(story) == []
        if operator_class == "blue":
            await operators.start(env={"LGS_OPERATOR_CLASS": "blue", "LGS_OPERATOR_LEASE": "of-blue"})
        manifest = whole()
        manifest["spec"] |= {"operatorClass": operator_class}  # type: ignore[operator]
        story.apply(manifest)
        await story.has_condition("Reconciled", "True", "Done")
        await story.has_condition("Exposed", "Unknown", "RoutePending")

        assert await uids(story) == before
        assert set(await owners(story)) == {await uid_of(story, SERVICE_OF_OURS, "support")}


async def test_what_is_let_go_stays_so_while_others_hold_the_service_that_is_deleted(
    story: Story, operators: Operators
) -> None:
    operator = await operators.start()
    held = whole() | {"metadata": {"name": "support", "finalizers": ["example.com/holds"]}}
    story.apply(held)
    await story.has_condition("Reconciled", "True", "Done")
    before = await uids(story)
    where = ("-n", story.namespace)
    story.plane.run("delete", "lgs", "support", *where, "--cascade=orphan", "--wait=false")

    async def is_free() -> bool:
        return await owners(story) == []

    await until(is_free, "the garbage collector lets nothing go")
    await story.is_looked_at(operator)
    assert await is_free() and await uids(story) == before

    story.plane.run("patch", "lgs", "support", *where, "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')
    await story.vanishes(SERVICE_OF_OURS)
    story.apply(whole())
    await story.has_condition("Reconciled", "True", "Done")
    assert await uids(story) == before
    assert len(await owners(story)) >= len(PARTS) - 1, "all but what is kept longer than the service"


async def test_a_canary_that_was_left_goes_with_the_next_service(story: Story, operators: Operators) -> None:
    await operators.start()
    story.apply(whole())
    await story.has_condition("Reconciled", "True", "Done")
    before, deployment = await uids(story), await story.get(DEPLOYMENT)
    let_go(story)
    await story.vanishes(SERVICE_OF_OURS)
    labels = {**deployment["metadata"]["labels"], TRACK_LABEL: "canary"}
    template = {**deployment["spec"]["template"], "metadata": {"labels": labels}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    head = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name}
    story.apply(head | {"metadata": {"name": "support-canary", "labels": labels}, "spec": spec})

    story.apply(whole())

    await story.vanishes(DEPLOYMENT, "support-canary")
    await story.has_condition("Reconciled", "True", "Done")
    assert await uids(story) == before
