"""Old revisions that are kept for what is pinned to them, on a real API server: each has replicas of its own
as long as somebody needs them, and no longer."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT, POD, SERVICE, SERVICE_OF_OURS
from support.waiting import until

pytestmark = pytest.mark.controlplane
PINNED: dict[str, Any] = {"strategy": "Pinned"}


def manifest(version: int, **spec: Any) -> dict[str, Any]:
    """A service with two replicas, of which this is a release."""
    usual: dict[str, Any] = {
        "replicas": 2,
        "scaling": {"mode": "Manual"},
        "persistence": {"postgres": {"uriSecret": {"name": "db"}}},
        "rollout": PINNED,
    }
    return service("support", **usual | spec | {"image": f"example.com/support:{version}"})


@pytest.fixture
def releases(story: Story) -> Releases:
    where = ("-n", story.namespace, "--from-literal=uri=postgres://db/x")
    story.plane.run(*("create", "secret", "generic", "db"), *where)
    return Releases(story)


class Releases:
    """What is done with releases, and seen of them."""

    def __init__(self, story: Story) -> None:
        self.story = story

    async def release(self, version: int, **spec: Any) -> None:
        """Releases a version; returns once it is the whole, works, and is known to pin what it begins."""
        self.story.apply(manifest(version, **spec))

        async def is_whole() -> bool:
            found, status = await self.story.get(DEPLOYMENT), await self.status()
            counts = {
                found.get("status", {}).get(each) for each in ("replicas", "updatedReplicas", "readyReplicas")
            }
            told = (status.get("revisions") or [{}])[0]
            works = status.get("revision") == told.get("revision") and told.get("state") == "Ready"
            works = works and bool(told.get("pins"))
            return counts == {2} and works and image_of(found) == f"example.com/support:{version}"

        await until(is_whole, f"version {version} is not the whole")

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.story.get(SERVICE_OF_OURS)).get("status", {})
        return found

    async def told(self, number: int) -> dict[str, Any]:
        """What the status says of a kept revision."""
        kept = (await self.status()).get("pinned") or ()
        return next((each for each in kept if each["revision"] == number), {})

    async def kept(self, number: int) -> dict[str, Any]:
        """The Deployment of a kept revision."""
        return await self.story.get(DEPLOYMENT, name_of(number))


def name_of(number: int) -> str:
    return f"support-pinned-{number}"


def image_of(deployment: dict[str, Any]) -> str:
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [{}])
    return str(containers[0].get("image"))


def pinning_of(deployment: dict[str, Any]) -> str | None:
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return next((each["value"] for each in env if each["name"] == "LGS_PINNING"), None)


async def test_an_old_revision_is_kept_as_long_as_something_is_pinned_to_it(
    story: Story, releases: Releases, operators: Operators
) -> None:
    await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.pinned = {"1": (0, 0)}
        await releases.release(1)
        assert pinning_of(await story.get(DEPLOYMENT)) == "open"
        kubelet.load.pinned = {"1": (3, 1), "2": (0, 0)}
        await releases.release(2)

        old, new = await story.appears(DEPLOYMENT, name_of(1)), await story.get(DEPLOYMENT)
        assert (image_of(old), pinning_of(old)) == ("example.com/support:1", "closed")
        assert (image_of(new), pinning_of(new)) == ("example.com/support:2", "open")
        assert old["spec"]["template"]["metadata"]["labels"]["lgs.dev/revision"] == "1"
        await story.event("RevisionKept", "revision 1 is kept")
        chosen = (await story.get(SERVICE))["spec"]["selector"]
        of_pods = [each["spec"]["template"]["metadata"]["labels"] for each in (new, old)]
        assert [chosen.items() <= labels.items() for labels in of_pods] == [True, False], "requests"

        async def is_told() -> bool:
            found = await releases.told(1)
            counts = [found.get(each) for each in ("replicas", "readyReplicas", "threads", "runs")]
            return counts == [1, 1, 3, 1]

        await until(is_told, "the status does not say what is pinned to it")
        status = await releases.status()
        assert (status["replicas"], status["readyReplicas"]) == (2, 2), "its own replicas alone"

        kubelet.load.pinned = {"2": (5, 0)}
        await story.vanishes(DEPLOYMENT, name_of(1))
        await story.event("RevisionEnded", "revision 1 end: nothing is pinned to it any more")
        await until(lambda: nothing_kept(releases), "the status still has it")


async def nothing_kept(releases: Releases) -> bool:
    return not (await releases.status()).get("pinned")


async def test_it_has_the_replicas_that_its_unfinished_runs_need(
    story: Story, releases: Releases, operators: Operators
) -> None:
    await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        workers = {"concurrency": 10}
        kubelet.load.pinned = {"1": (0, 0), "2": (0, 0)}
        await releases.release(1, workers=workers)
        kubelet.load.pinned = {"1": (0, 15), "2": (0, 0)}
        await releases.release(2, workers=workers)

        async def has(count: int) -> bool:
            found = await releases.kept(1)
            return bool(found) and found["spec"]["replicas"] == count

        await until(lambda: has(2), "two replicas have room for 15 runs")
        kubelet.load.pinned = {"1": (1, 0)}
        await until(lambda: has(1), "one is enough for a thread that waits")


async def test_beyond_the_most_that_are_kept_the_oldest_ends_and_what_is_pinned_to_it_moves(
    story: Story, releases: Releases, operators: Operators
) -> None:
    await operators.start()
    rollout = PINNED | {"pinnedRevisions": 1}
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.pinned = {"1": (7, 2), "2": (1, 0), "3": (0, 0)}
        await releases.release(1, rollout=rollout)
        await releases.release(2, rollout=rollout)
        await story.appears(DEPLOYMENT, name_of(1))

        async def is_counted() -> bool:
            return (await releases.told(1)).get("threads") == 7

        await until(is_counted, "nothing is counted")
        await releases.release(3, rollout=rollout)

        await story.appears(DEPLOYMENT, name_of(2))
        await story.vanishes(DEPLOYMENT, name_of(1))
        words = "7 threads and 2 runs that are pinned to it go on with revision 3"
        await story.event("PinsMoved", "revision 1 end: 1 newer ones are kept", words)


async def test_a_changed_secret_reaches_old_revisions_and_one_that_is_gone_leaves_them_as_they_are(
    story: Story, releases: Releases, operators: Operators
) -> None:
    await operators.start()
    key = {"secretKeyRef": {"name": "old", "key": "key"}}
    with_key = {"pod": {"env": [{"name": "KEY", "valueFrom": key}]}}
    where = ("-n", story.namespace)
    story.plane.run("create", "secret", "generic", "old", *where, "--from-literal=key=x")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.pinned = {"1": (1, 0), "2": (0, 0), "3": (0, 0)}
        await releases.release(1, **with_key)
        await releases.release(2)
        before = await story.appears(DEPLOYMENT, name_of(1))

        def contents(deployment: dict[str, Any]) -> str:
            return str(deployment["spec"]["template"]["metadata"]["annotations"]["lgs.dev/contents"])

        async def is_changed() -> bool:
            return contents(await releases.kept(1)) != contents(before)

        story.plane.run("patch", "secret", "old", *where, "-p", '{"stringData": {"key": "y"}}')
        await until(is_changed, "its replicas have the old value")
        changed = await releases.kept(1)

        story.plane.run("delete", "secret", "old", *where)
        said = await story.has_condition("Reconciled", "False", "SecretNotFound")
        assert said["message"].startswith("revision 1: spec.pod.env[0]: ")
        await story.has_condition("Ready", "True", "Serving")
        assert (await releases.kept(1))["metadata"]["uid"] == changed["metadata"]["uid"]

        await releases.release(3)
        assert contents(await releases.kept(1)) == contents(changed), "a release goes on beside it"


async def test_replicas_of_an_old_revision_that_are_killed_come_back_and_a_lost_image_is_told(
    story: Story, releases: Releases, operators: Operators
) -> None:
    await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.pinned = {"1": (1, 0), "2": (0, 0)}
        await releases.release(1)
        await releases.release(2)
        await story.appears(DEPLOYMENT, name_of(1))

        async def ready(count: int) -> bool:
            return (await releases.told(1)).get("readyReplicas") == count

        await until(lambda: ready(1), "its replica is not ready")
        kubelet.lacks("example.com/support:1")
        labels = "lgs.dev/track=pinned"
        story.plane.run("delete", "pod", "-l", labels, "-n", story.namespace, "--grace-period=0", "--force")

        words = "0 of 1 replicas of revision 1 take work"
        await story.has_condition("Progressing", "False", "ImagePullBackOff", words)
        await story.has_condition("Ready", "True", "Serving")

        kubelet.has("example.com/support:1")
        await until(lambda: ready(1), "it does not come back")
        pods, _ = await story.cluster.list(POD, story.namespace, labels=labels)
        assert {pod["metadata"]["labels"]["lgs.dev/revision"] for pod in pods} == {"1"}


async def test_who_goes_back_withdraws_the_newer_revision_and_runs_the_old_one_as_the_whole(
    story: Story, releases: Releases, operators: Operators
) -> None:
    await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.pinned = {"1": (1, 0), "2": (4, 0)}
        await releases.release(1)
        await releases.release(2)
        await story.appears(DEPLOYMENT, name_of(1))

        story.apply(manifest(2, rollout=PINNED | {"revision": 1}))
        await story.vanishes(DEPLOYMENT, name_of(1))

        async def is_whole() -> bool:
            return image_of(await story.get(DEPLOYMENT)) == "example.com/support:1"

        await until(is_whole, "revision 1 is not the whole")
        await story.has_condition("Reconciled", "True", "Pinned")
        assert not await releases.kept(2), "it was withdrawn"


async def test_another_operator_keeps_what_is_kept_and_another_strategy_does_not(
    story: Story, releases: Releases, operators: Operators
) -> None:
    first = await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.pinned = {"1": (2, 0), "2": (0, 0)}
        await releases.release(1)
        await releases.release(2)
        before = await story.appears(DEPLOYMENT, name_of(1))
        await operators.kill(first)
        second = await operators.start()
        await second.reconciles(2)

        now = await releases.kept(1)
        assert now["metadata"]["generation"] == before["metadata"]["generation"]
        found, _ = await story.cluster.list(CONTROLLER_REVISION, story.namespace)
        assert {each["revision"] for each in found} == {1, 2}

        story.apply(manifest(2, rollout={"strategy": "Rolling"}))
        await story.vanishes(DEPLOYMENT, name_of(1))
        assert pinning_of(await story.get(DEPLOYMENT)) is None
