"""The operator behind an API server that fails in every way it can: in the end all is as the manifests say,
and the process lives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.faulty_proxy import FaultyProxy, faulty_proxy
from controlplane.manifests import condition, service
from controlplane.operators import Operators, Running
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, SECRET, SERVICE_OF_OURS
from lgs_operator.naming import ROTATE_ANNOTATION
from support.drawn_manifests import TIMES
from support.waiting import until

pytestmark = pytest.mark.controlplane
SEED = 13


@pytest.fixture
async def proxied(
    plane: ControlPlane, operators: Operators, tmp_path: Path
) -> AsyncIterator[tuple[FaultyProxy, Running]]:
    async with faulty_proxy(plane, SEED) as (proxy, url):
        kubeconfig = tmp_path / "proxied.conf"
        kubeconfig.write_text(proxy.kubeconfig(url))
        # The proxy stands still while this process waits for kubectl, and the Lease goes through it.
        yield proxy, await operators.start(kubeconfig=kubeconfig, env={"LGS_OPERATOR_LEASE_SECONDS": "600"})
        await operators.stop_all()


async def is_settled(story: Story, name: str, concurrency: int) -> bool:
    """The status is that of the newest manifest, and the pods are as it says."""
    body = await story.get(SERVICE_OF_OURS, name)
    status = body.get("status", {})
    deployment = await story.get(DEPLOYMENT, name)
    if not deployment or status.get("observedGeneration") != body["metadata"]["generation"]:
        return False
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    given = {each["name"]: each.get("value") for each in container["env"]}
    labels = deployment["metadata"]["labels"]
    said = condition(status, "Reconciled")
    return (
        given["LGS_CONCURRENCY"] == str(concurrency)
        and labels.get("lgs.dev/service") == name
        and (said.get("status"), said.get("observedGeneration")) == ("True", body["metadata"]["generation"])
    )


async def test_after_a_time_of_faults_all_is_as_the_manifests_say(
    story: Story, proxied: tuple[FaultyProxy, Running]
) -> None:
    proxy, operator = proxied
    for name in ("first", "second", "third"):
        story.apply(service(name))
    for name in ("first", "second", "third"):
        await until(lambda name=name: is_settled(story, name, 50), f"{name} is not made")

    proxy.share = 0.3
    for round_ in range(1, 4 * TIMES + 1):
        proxy.cut_watches()
        at_least = proxy.met.total() + 15
        story.apply(service("first", workers={"concurrency": round_}))
        story.plane.run(
            "label", "deployment", "second", "-n", story.namespace, "lgs.dev/service=other", "--overwrite"
        )
        await story.appears(DEPLOYMENT, "first")  # that of the round before may not be made again yet
        story.plane.run("delete", "deployment", "first", "-n", story.namespace)
        story.apply(service(f"new-{round_}", workers={"concurrency": round_}))
        await until(lambda least=at_least: proxy.met.total() >= least, lambda: f"no faults: {proxy.met}")
    story.plane.run("delete", "lgs", "third", "-n", story.namespace)
    story.plane.run("label", "deployment", "second", "-n", story.namespace, "lgs.dev/service-")
    proxy.heal()

    wanted = {"first": round_, "second": 50} | {f"new-{each}": each for each in range(1, round_ + 1)}
    for name, concurrency in wanted.items():
        said = f"{name}: {operator.log.read_text()[-2000:]}"
        await until(lambda n=name, c=concurrency: is_settled(story, n, c), said)
    await story.vanishes(DEPLOYMENT, "third")
    assert len([each for each in proxy.met if each.startswith("watch")]) >= 3, proxy.met
    assert operator.process.returncode is None
    assert await operator.metric("lgs_operator_internal_errors_total") == 0


async def test_a_service_that_went_while_the_watch_was_broken_is_not_made_again(
    story: Story, proxied: tuple[FaultyProxy, Running]
) -> None:
    proxy, operator = proxied
    story.apply(service())
    await until(lambda: is_settled(story, "support", 50), "it is not made")

    proxy.forced = {"langgraphservices": "410"}
    proxy.cut_watches()
    await until(lambda: proxy.met["langgraphservices 410"], "the watch did not begin anew")
    proxy.forced = {"langgraphservices": "503"}
    await until(lambda: proxy.met["langgraphservices 503"], "the watch did not begin anew")
    story.plane.run("delete", "lgs", "support", "-n", story.namespace)
    proxy.forced = {"langgraphservices": "410"}
    told = proxy.met["langgraphservices 410"]
    await until(lambda: proxy.met["langgraphservices 410"] > told, "the watch did not begin anew")
    proxy.heal()

    await until(
        lambda: no_services(operator),
        lambda: f"the service is still there: {operator.log.read_text()[-2000:]}",
    )
    await story.vanishes(DEPLOYMENT)


async def no_services(operator: Running) -> bool:
    return await operator.metric("lgs_operator_services") == 0


async def test_an_error_in_the_stream_of_the_services_watch_ends_nothing(
    story: Story, proxied: tuple[FaultyProxy, Running]
) -> None:
    proxy, operator = proxied
    for fault in ("error", "half", "odd"):
        proxy.forced = {"langgraphservices": fault}
        proxy.cut_watches()
        begun = f"langgraphservices {fault}"
        await until(lambda begun=begun: proxy.met[begun], "the watch did not begin anew")
    proxy.heal()

    story.apply(service())

    await until(lambda: is_settled(story, "support", 50), lambda: operator.log.read_text()[-3000:])
    assert operator.process.returncode is None


async def test_an_annotation_is_heard_while_the_services_watch_is_silent(
    story: Story, proxied: tuple[FaultyProxy, Running]
) -> None:
    """Something between keeps back what is said, and no connection ends: a generation stays where an
    annotation asks for another password."""
    proxy, operator = proxied
    story.apply(service(persistence={"postgres": {"managed": {"storage": "1Gi"}}}))
    before = await story.appears(SECRET, "support-postgres")

    proxy.forced = {"langgraphservices": "silent"}
    proxy.cut_watches()
    await until(lambda: proxy.met["langgraphservices silent"], "the watch did not begin anew")
    story.plane.run("annotate", "lgs", "support", "-n", story.namespace, f"{ROTATE_ANNOTATION}=now")

    async def rotated() -> bool:
        return (await story.get(SECRET, "support-postgres"))["data"] != before["data"]

    await until(rotated, lambda: operator.log.read_text()[-3000:])


async def test_services_are_served_again_when_their_definition_was_away_for_a_while(
    story: Story, proxied: tuple[FaultyProxy, Running]
) -> None:
    proxy, operator = proxied
    story.apply(service("before"))
    await until(lambda: is_settled(story, "before", 50), "it is not made")

    proxy.absent = ("/apis/lgs.dev",)
    proxy.cut_watches()
    await until(lambda: proxy.met["absent watch"], "the watch did not begin anew")
    asked = proxy.met["absent langgraphservices"] + proxy.met["absent v1alpha1"]
    await until(
        lambda: proxy.met["absent langgraphservices"] + proxy.met["absent v1alpha1"] > asked + 1,
        "nobody looks for the definition",
    )
    proxy.heal()
    story.apply(service("after"))

    await until(lambda: is_settled(story, "after", 50), lambda: operator.log.read_text()[-3000:])
    story.apply(service("before", workers={"concurrency": 7}))
    await until(lambda: is_settled(story, "before", 7), lambda: operator.log.read_text()[-3000:])
    assert operator.process.returncode is None
