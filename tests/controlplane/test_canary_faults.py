"""What may happen beside a canary, on a real API server: nothing becomes the whole by accident, no run is
cut, and the service says what is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators, Running
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, SERVICE_OF_OURS
from support.waiting import until

pytestmark = pytest.mark.controlplane
BESIDE = "support-canary"
FOR_EVER = 1_000_000
NO_PAUSE: dict[str, Any] = {"strategy": "Canary", "steps": [10], "pauseSeconds": 0, "minRuns": 10}
LASTS = NO_PAUSE | {"minRuns": FOR_EVER}


def manifest(version: int, name: str = "support", **spec: Any) -> dict[str, Any]:
    """A service with three replicas, of which this is a release."""
    usual: dict[str, Any] = {
        "replicas": 3,
        "scaling": {"mode": "Manual"},
        "persistence": {"postgres": {"uriSecret": {"name": "db"}}},
        "rollout": LASTS,
    }
    return service(name, **usual | spec | {"image": f"example.com/support:{version}"})


@pytest.fixture
def canary(story: Story) -> Canary:
    story.plane.run(
        *("create", "secret", "generic", "db", "-n", story.namespace, "--from-literal=uri=postgres://db/x")
    )
    return Canary(story)


class Canary:
    """What is seen of it."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.seen: tuple[Any, Any] = None, None
        """The status of the Deployment, and the service's."""

    async def begins(self, version: int = 2, **spec: Any) -> None:
        """The second release is a canary, after the first one has worked."""
        self.story.apply(manifest(1, **spec))
        await until(lambda: self.state_is(1, "Ready"), "the first release does not work")
        self.story.apply(manifest(version, **spec))
        await self.story.appears(DEPLOYMENT, BESIDE)

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.story.get(SERVICE_OF_OURS)).get("status", {})
        return found

    async def state_is(self, revision: int, state: str) -> bool:
        told = (await self.status()).get("revisions", [])
        return any((each["revision"], each["state"]) == (revision, state) for each in told)

    async def is_verified(self, revision: int) -> bool:
        """Enough runs of this very revision have ended well: `Healthy` may still tell of the one before."""
        told = (await self.status()).get("revisions", [])
        return any(each["revision"] == revision and each.get("verified", False) for each in told)

    async def is_revision(self, number: int) -> bool:
        """The canary, by the status."""
        told: int | None = (await self.status()).get("canary", {}).get("revision")
        return told == number

    async def runs(self, name: str = "support") -> str:
        """The image of a Deployment's new pods; empty where there is none."""
        found = await self.story.get(DEPLOYMENT, name)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"]) if found else ""

    async def is_whole(self, version: int) -> bool:
        """All replicas run this release, and no canary is there."""
        found = await self.story.get(DEPLOYMENT)
        self.seen = found.get("status"), await self.status()
        counts = {
            found.get("status", {}).get(each) for each in ("replicas", "updatedReplicas", "readyReplicas")
        }
        is_whole = counts == {3} and not await self.runs(BESIDE)
        return is_whole and await self.runs() == f"example.com/support:{version}"

    async def looked_again(self, operator: Running) -> None:
        """The operator has acted some times more."""
        await operator.reconciles(3)


async def test_beside_a_canary_that_executes_a_run_a_replica_stays_though_nothing_comes(
    story: Story, canary: Canary, operators: Operators
) -> None:
    operator = await operators.start()
    law = {"mode": "Auto", "minReplicas": 0, "maxReplicas": 3}
    scaling = law | {"scaleDown": {"holdSeconds": 0, "idleSeconds": 1}}

    async def counts() -> set[int]:
        found = [await story.get(DEPLOYMENT, name) for name in ("support", BESIDE)]
        return {each["spec"]["replicas"] for each in found if each}

    async def decided_again() -> bool:
        return await operator.metric("lgs_operator_scrapes_total") >= asked + 90

    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.serves(per_second=0.0, run_seconds=1.0, waiting=2)
        await canary.begins(topology="Split", scaling=scaling, replicas=0)
        await until(lambda: canary_is_ready(story), "the canary is not ready")
        kubelet.load.busy = {"2": 1}
        kubelet.load.idle()
        asked = await operator.metric("lgs_operator_scrapes_total")
        await until(decided_again, "the replicas are not asked")

        assert await counts() == {1}

        kubelet.load.busy = {}

        async def none() -> bool:
            return await counts() == {0}

        await until(none, "they stay for nothing")


async def canary_is_ready(story: Story) -> bool:
    found = await story.get(DEPLOYMENT, BESIDE)
    return bool(found.get("status", {}).get("readyReplicas"))


async def test_a_canary_stays_one_though_somebody_deletes_the_deployment_beside_it(
    story: Story, canary: Canary, operators: Operators
) -> None:
    operator = await operators.start()
    async with FakeKubelet(story.cluster, story.namespace):
        await canary.begins()
        await until(lambda: canary.state_is(2, "Progressing"), "it is not told")
        before = await story.get(DEPLOYMENT)
        story.plane.run("delete", "deployment", "support", "-n", story.namespace)

        async def is_made_anew() -> bool:
            found = await story.get(DEPLOYMENT)
            return bool(found) and found["metadata"]["uid"] != before["metadata"]["uid"]

        await until(is_made_anew, "it is not made anew")
        await canary.looked_again(operator)

        template, old = (each["spec"]["template"] for each in (await story.get(DEPLOYMENT), before))
        assert template["metadata"]["labels"] == old["metadata"]["labels"], "the canary is the whole"
        assert await canary.is_revision(2), await canary.status()


async def test_a_canary_stays_one_though_somebody_deletes_all_revisions_that_are_kept(
    story: Story, canary: Canary, operators: Operators
) -> None:
    operator = await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        await canary.begins()
        await until(lambda: canary.state_is(2, "Progressing"), "it is not told")
        before = await story.get(DEPLOYMENT)
        story.plane.run("delete", "controllerrevisions", "--all", "-n", story.namespace)

        said = await story.has_condition("Reconciled", "False", "RevisionNotFound")
        await canary.looked_again(operator)

        assert said["message"].startswith(
            "revision 1, which replicas run, is not kept any more: its replicas"
        )
        assert (await story.get(DEPLOYMENT))["metadata"]["generation"] == before["metadata"]["generation"]
        assert await canary.is_revision(2), await canary.status()
        await story.has_condition("Ready", "True", "Serving")

        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        story.apply(manifest(2, rollout=NO_PAUSE))
        await until(lambda: canary.is_whole(2), "it does not become the whole")
        await story.has_condition("Reconciled", "True", "Done")


async def test_what_the_revision_beside_it_names_may_go_and_a_canary_that_fails_still_does(
    story: Story, canary: Canary, operators: Operators
) -> None:
    await operators.start()
    key = {"secretKeyRef": {"name": "old", "key": "key"}}
    with_key = {"pod": {"env": [{"name": "KEY", "valueFrom": key}]}}
    story.plane.run("create", "secret", "generic", "old", "-n", story.namespace, "--from-literal=key=x")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        story.apply(manifest(1, **with_key))
        await until(lambda: canary.state_is(1, "Ready"), "the first release does not work")
        story.apply(manifest(2))
        await story.appears(DEPLOYMENT, BESIDE)
        before = await story.get(DEPLOYMENT)
        story.plane.run("delete", "secret", "old", "-n", story.namespace)

        said = await story.has_condition("Reconciled", "False", "SecretNotFound")
        assert said["message"].startswith("revision 1: spec.pod.env[0]: ")
        kubelet.load.failing = {"2": 1.0}
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        story.apply(manifest(2, rollout=NO_PAUSE))

        await story.vanishes(DEPLOYMENT, BESIDE)
        await story.has_condition("Healthy", "False", "RolledBack")
        assert (await story.get(DEPLOYMENT))["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_canary_for_which_a_quota_has_no_room_waits_for_it_and_makes_room_in_the_end(
    story: Story, canary: Canary, operators: Operators
) -> None:
    operator = await operators.start()
    three, four = (("create", "quota", "team", f"--hard=pods={most}") for most in (3, 4))
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        story.apply(manifest(1, rollout=NO_PAUSE))
        await until(lambda: canary.state_is(1, "Ready"), "the first release does not work")
        await until(lambda: canary.is_whole(1), "it has not three replicas")
        story.plane.run(*three, "-n", story.namespace)
        await until(lambda: story.plane.run(*USED, "-n", story.namespace) == "3", "it is not counted")
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        story.apply(manifest(2, rollout=NO_PAUSE))

        told = "0 of 1 replicas of the canary take work: pods are refused: exceeded quota"
        await story.has_condition("Progressing", "False", "QuotaExceeded", told)
        await story.event("QuotaExceeded", "exceeded quota")
        is_late(story)
        await story.has_condition("Progressing", "False", "ProgressDeadlineExceeded")
        await canary.looked_again(operator)
        assert await canary.state_is(2, "Progressing")

        story.plane.run("delete", "quota", "team", "-n", story.namespace)
        story.plane.run(*four, "-n", story.namespace)
        await until(lambda: canary.is_whole(2), lambda: f"not whole within four pods: {canary.seen}")
        await story.has_condition("Healthy", "True", "Verified")


USED = ("get", "resourcequota", "team", "-o", "jsonpath={.status.used.pods}")


def is_late(story: Story) -> None:
    """Ten minutes later, as the Deployment's controller would say it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "lastUpdateTime": now,
    }
    where = ("deployment", BESIDE, "-n", story.namespace, "--subresource=status")
    story.plane.run("patch", *where, "-p", json.dumps({"status": {"conditions": [late]}}))


async def test_a_manifest_right_after_the_last_step_is_the_next_canary(
    story: Story, canary: Canary, operators: Operators
) -> None:
    await operators.start()
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        # the canary's own: none that is to run the release whole gets ready
        kubelet.lets_start("2", 1)
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        await canary.begins(rollout=NO_PAUSE)

        async def is_begun() -> bool:
            return await canary.runs() == "example.com/support:2"

        await until(is_begun, "the canary does not become the whole")
        story.apply(manifest(3))

        async def is_canary() -> bool:
            return await canary.runs(BESIDE) == "example.com/support:3"

        await until(is_canary, "the third release is none")
        assert await is_begun()
        await until(lambda: canary.is_revision(3), "it is not told")


async def test_a_revision_that_worked_before_is_a_canary_like_others_when_it_is_released_again(
    story: Story, canary: Canary, operators: Operators
) -> None:
    await operators.start()
    rolling = NO_PAUSE | {"strategy": "Rolling"}
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        for version in (1, 2):
            story.apply(manifest(version, rollout=rolling))
            await until(lambda number=version: canary.is_whole(number), "a release is not rolled out")
            await until(lambda number=version: canary.is_verified(number), "its runs do not count")

        story.apply(manifest(1))
        await story.appears(DEPLOYMENT, BESIDE)
        story.apply(manifest(1, rollout=NO_PAUSE))
        await until(lambda: canary.is_whole(1), "its runs are not counted")


async def test_a_canary_whose_name_another_service_has_is_not_released_until_it_is_free(
    story: Story, canary: Canary, operators: Operators
) -> None:
    await operators.start()
    async with FakeKubelet(story.cluster, story.namespace):
        story.apply(manifest(1))
        await until(lambda: canary.state_is(1, "Ready"), "the first release does not work")
        story.apply(manifest(7, BESIDE))
        await story.appears(DEPLOYMENT, BESIDE)
        story.apply(manifest(2))

        said = await story.has_condition("Reconciled", "False", "Refused")
        await story.has_condition("Ready", "True", "Serving")
        assert "revision 2 is not released: its Deployment support-canary exists" in said["message"]
        assert "LangGraphService support-canary; give one of the two services another name" in said["message"]
        assert (await canary.runs(), await canary.runs(BESIDE)) == (
            "example.com/support:1",
            "example.com/support:7",
        )

        story.plane.run("delete", "lgs", BESIDE, "-n", story.namespace)

        async def is_canary() -> bool:
            return await canary.runs(BESIDE) == "example.com/support:2"

        await until(is_canary, "it is not released")
