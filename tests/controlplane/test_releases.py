"""Releases on a real API server: each pod keeps the code that was rolled out to it, whatever becomes of its
ConfigMap, until a new one has taken its place; and each release has a number that pods and the status tell.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.story import Story
from lgs_operator.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_OF_OURS,
)
from lgs_operator.kube.pods import is_going, is_ready
from support.waiting import until

pytestmark = pytest.mark.controlplane
BROKEN = "import nothing_of_this_name"
STOCK: dict[str, Any] = {
    "image": None,
    "source": {"configMap": "code"},
    "graphs": {"agent": "./graph.py:graph"},
}


def code(text: str, **files: Any) -> dict[str, Any]:
    """The user's ConfigMap."""
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}}
    return head | {"data": {"graph.py": text} | files}


class Source:
    """What a user sees of a service whose code is in a ConfigMap."""

    def __init__(self, story: Story) -> None:
        self.story = story

    async def copies(self) -> dict[str, str]:
        """The code of each copy that there is, by its name."""
        found, _ = await self.story.cluster.list(
            CONFIG_MAP, self.story.namespace, labels="lgs.dev/service=support"
        )
        return {each["metadata"]["name"]: each["data"]["graph.py"] for each in found}

    async def mounted(self) -> str:
        """The copy that new pods mount."""
        return mounted_by((await self.story.template())["spec"])

    async def release(self, text: str) -> str:
        """Changes the code; the name of its copy, once new pods mount it."""
        self.story.apply(code(text))

        async def rolled_out() -> str | None:
            mounted = await self.mounted()
            return mounted if (await self.copies()).get(mounted) == text else None

        await self.story.appears(DEPLOYMENT)
        return await until(rolled_out, f"{text!r} does not reach the pods")

    async def revisions(self, number: int) -> list[dict[str, Any]]:
        """What the status says of them, once this one has been ready."""

        async def told() -> list[dict[str, Any]]:
            found = (await self.story.get(SERVICE_OF_OURS)).get("status", {}).get("revisions", [])
            ready = [each["revision"] for each in found if each["state"] == "Ready"]
            return found if number in ready else []

        return await until(told, f"revision {number} is not ready")

    async def rollback(self, *arguments: str) -> tuple[int, str]:
        """What `lgs rollback` ends with, and says."""
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lgs_operator.cli", "rollback", *arguments, "-n", self.story.namespace),
            env=os.environ | {"KUBECONFIG": str(self.story.plane.kubeconfig)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await command.communicate()
        return command.returncode or 0, said.decode().strip()

    async def has_revision(self, number: int) -> None:
        """Returns when new pods run this one, by the status."""

        async def told() -> bool:
            return bool((await self.story.get(SERVICE_OF_OURS)).get("status", {}).get("revision") == number)

        await until(told, f"the revision does not become {number}")

    async def kept(self) -> set[str]:
        """The copies that the ReplicaSets have which Kubernetes keeps."""
        found, _ = await self.story.cluster.list(
            REPLICA_SET, self.story.namespace, labels="lgs.dev/service=support"
        )
        return {mounted_by(each["spec"]["template"]["spec"]) for each in found}

    async def only_mounts(self, *copies: str) -> bool:
        """Kubernetes keeps ReplicaSets of these and of no others."""
        return await self.kept() == set(copies)

    async def has_replica_set(self, copy: str) -> bool:
        """Kubernetes has made it: none of a template that was replaced before its controller came to it."""
        return copy in await self.kept()

    async def pods(self) -> list[dict[str, Any]]:
        """Those that are there to stay."""
        found, _ = await self.story.cluster.list(POD, self.story.namespace, labels="lgs.dev/service=support")
        return [each for each in found if not is_going(each)]

    async def serves(self, copy: str) -> dict[str, Any]:
        """A pod with this code that takes work, once there is one."""

        async def found() -> dict[str, Any] | None:
            serving = [each for each in await self.pods() if is_ready(each)]
            return next((each for each in serving if mounted_by(each["spec"]) == copy), None)

        return await until(found, f"no pod with {copy} takes work")


def mounted_by(pod: dict[str, Any]) -> str:
    """The ConfigMap that a pod has its code from."""
    (volume,) = [each for each in pod["volumes"] if each["name"] == "source"]
    return str(volume["configMap"]["name"])


def concurrency_of(template: dict[str, Any]) -> str:
    """How many runs a pod executes at a time."""
    variables = template["spec"]["containers"][0]["env"]
    return next(str(each["value"]) for each in variables if each["name"] == "LGS_CONCURRENCY")


def revision_of(pod: dict[str, Any]) -> tuple[str, str]:
    """By its label, and by what its process is told."""
    (container,) = pod["spec"]["containers"]
    (said,) = [each["value"] for each in container["env"] if each["name"] == "LGS_REVISION"]
    return pod["metadata"]["labels"]["lgs.dev/revision"], said


def of_version(manifest: dict[str, Any]) -> str:
    """Changes with each write."""
    return str(manifest["metadata"]["resourceVersion"])


@pytest.fixture
def source(operator_everywhere: None, story: Story) -> Source:
    return Source(story)


async def test_old_pods_restart_on_the_code_they_had_while_a_bad_edit_gets_no_further_than_new_ones(
    source: Source,
) -> None:
    story = source.story
    story.apply(service(**STOCK))
    good = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.imports_fail(BROKEN)
        before = await source.serves(good)

        bad = await source.release(BROKEN)
        said = await story.has_condition("Progressing", "False", "CrashLoopBackOff")
        story.plane.run("delete", "pod", before["metadata"]["name"], "-n", story.namespace)
        after = await source.serves(good)

        assert BROKEN in said["message"]
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        await story.has_condition("Ready", "True", "Serving")

        mended = await source.release("graph = 2")
        await source.serves(mended)
        assert len({good, bad, mended}) == 3


async def test_a_config_map_that_is_deleted_takes_no_code_from_pods_and_is_told(source: Source) -> None:
    story = source.story
    story.apply(service(**STOCK))
    copy = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.imports_fail(BROKEN)
        before = await source.serves(copy)

        story.plane.run("delete", "configmap", "code", "-n", story.namespace)
        await story.has_condition("Reconciled", "False", "ConfigMapNotFound")
        story.plane.run("delete", "pod", before["metadata"]["name"], "-n", story.namespace)

        assert (await source.serves(copy))["metadata"]["uid"] != before["metadata"]["uid"]


async def test_old_copies_go_beyond_the_limit_and_never_one_that_is_mounted(source: Source) -> None:
    story = source.story
    story.apply(service(**STOCK, revisionHistoryLimit=1))
    first = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.imports_fail(BROKEN)
        await source.serves(first)
        broken = []
        for number in range(3):
            broken.append(await source.release(f"{BROKEN}  # {number}"))
            await until(lambda: source.has_replica_set(broken[-1]), "it has no ReplicaSet")
        assert first in await source.copies(), "the pod that serves can't restart"
        mended = await source.release("graph = 2")
        await source.serves(mended)
        await until(lambda: source.only_mounts(mended, broken[-1]), "Kubernetes keeps more ReplicaSets")

        last = await source.release("graph = 3")

        async def are_gone() -> bool:
            return not {first, *broken[:-1]} & set(await source.copies())

        await until(are_gone, "old copies stay")
        assert {mended, last} <= set(await source.copies())


async def test_a_copy_is_immutable_comes_back_when_it_is_deleted_and_is_written_once(source: Source) -> None:
    story = source.story
    story.apply(service(**STOCK))
    name = await source.release("graph = 1")

    with pytest.raises(AssertionError, match="immutable"):
        patch = json.dumps({"data": {"graph.py": "graph = 2"}})
        story.plane.run("patch", "configmap", name, "-n", story.namespace, "-p", patch)
    story.plane.run("delete", "configmap", name, "-n", story.namespace)
    copy = await story.appears(CONFIG_MAP, name)
    deployment = await story.get(DEPLOYMENT)

    async with FakeKubelet(story.cluster, story.namespace):
        # Each of these is reconciled after all that the copy's coming back made due.
        await story.has_condition("Ready", "True", "Serving")
        story.plane.run("delete", "service", "support", "-n", story.namespace)
        await story.appears(SERVICE)
        await story.event("Serving")

    assert of_version(await story.get(CONFIG_MAP, name)) == of_version(copy)
    assert (await story.get(DEPLOYMENT))["metadata"]["generation"] == deployment["metadata"]["generation"]


async def test_a_config_map_as_large_as_one_can_be_is_copied_whole(source: Source) -> None:
    story = source.story
    story.apply(service(**STOCK))
    odd = "# ä ж 語 🚀 \x7f \x85 \u2028 \ufeff \uffff \\ud83d \" ' : \n\t"
    line = "# Всё это комментарий.\n"
    room = 1024 * 1024 - len(odd.encode()) - len("graph = 1")
    large = odd + line * (room // len(line.encode()))
    blob = {"binaryData": {"model.bin": "/wABAg=="}}
    whole = code("graph = 1", **{"large.py": large[:-16]}) | blob

    await story.cluster.create(CONFIG_MAP, story.namespace, whole)
    await story.appears(DEPLOYMENT)

    copy = await story.get(CONFIG_MAP, await source.mounted())
    assert copy["data"] == whole["data"]
    assert copy["binaryData"] == whole["binaryData"]


async def test_a_copy_that_is_refused_is_told_with_the_reason_and_pods_go_on(source: Source) -> None:
    story = source.story
    story.apply(service(**STOCK))
    copy = await source.release("graph = 1")

    async def one_is_ready() -> bool:
        return bool((await story.get(SERVICE_OF_OURS))["status"]["readyReplicas"] == 1)

    async with FakeKubelet(story.cluster, story.namespace):
        await source.serves(copy)
        # An object of the name that the next copy is to have, which is somebody else's.
        other = (await source.release("graph = 2"), await source.release("graph = 1"))[0]
        await source.serves(copy)
        theirs = {"metadata": {"name": other, "labels": {"lgs.dev/service": None}, "ownerReferences": None}}
        story.plane.run(
            "patch", "configmap", other, "-n", story.namespace, "--type=merge", "-p", json.dumps(theirs)
        )

        story.apply(code("graph = 2"))

        said = await story.has_condition("Reconciled", "False", "SourceNotCopied")
        assert "spec.source.configMap: code" in said["message"]
        assert f"ConfigMap {other} exists" in said["message"]
        await story.has_condition("Ready", "True", "Serving")
        assert await source.mounted() == copy
        await until(one_is_ready, "not one replica is ready")

        story.apply(code("graph = 3"))
        await story.has_condition("Reconciled", "True", "Done")


async def test_each_release_has_a_number_that_the_table_the_status_and_the_pods_tell(source: Source) -> None:
    story = source.story
    story.apply(service(**STOCK, persistence={"postgres": {"managed": {}}}))
    first = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.imports_fail(BROKEN)
        await source.serves(first)
        await source.release(BROKEN)
        await story.has_condition("Progressing", "False", "CrashLoopBackOff")
        second = await source.release("graph = 2")
        newest = await source.serves(second)
        three, two, one = await source.revisions(3)

        again = await source.release("graph = 1")
        back = await source.serves(again)
        await source.has_revision(1)

    assert [(each["revision"], each["state"]) for each in (one, two, three)] == [
        (1, "Ready"),
        (2, "Replaced"),
        (3, "Ready"),
    ]
    assert (one["source"], one["image"]) == (first, "stock-runtime:1")
    assert again == first, "what is released again is what it was"
    assert [revision_of(each) for each in (newest, back)] == [("3", "3"), ("1", "1")]
    table = story.plane.run("get", "lgs", "-n", story.namespace).splitlines()
    assert (table[0].split()[2], table[1].split()[2]) == ("REVISION", "1")


async def test_a_change_of_what_a_secret_holds_makes_new_pods_of_the_same_revision(source: Source) -> None:
    story = source.story
    story.plane.run("create", "secret", "generic", "keys", "-n", story.namespace, "--from-literal=KEY=x")
    story.apply(service(pod={"envFrom": [{"secretRef": {"name": "keys"}}]}))
    before = (await story.appears(DEPLOYMENT))["spec"]["template"]
    patch = json.dumps({"stringData": {"KEY": "y"}})
    story.plane.run("patch", "secret", "keys", "-n", story.namespace, "-p", patch)

    async def rolled() -> bool:
        return bool((await story.template()) != before)

    await until(rolled, "the pods' template does not change")
    assert (await story.template())["metadata"]["labels"] == before["metadata"]["labels"]
    await source.has_revision(1)


async def test_a_service_goes_back_by_hand_stays_there_and_goes_on_with_what_its_manifest_says(
    source: Source,
) -> None:
    story = source.story
    story.apply(service(**STOCK, workers={"concurrency": 7}))
    good = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.imports_fail(BROKEN)
        await source.serves(good)
        story.apply(service(**STOCK, workers={"concurrency": 8}))
        await source.release(BROKEN)
        await story.has_condition("Progressing", "False", "CrashLoopBackOff")

        done = await source.rollback("support", "--to", "1")
        await source.has_revision(1)
        pinned = await story.has_condition("Reconciled", "True", "Pinned")
        await story.has_condition("Progressing", "False", "Complete")
        story.apply(code("graph = 2"))
        story.apply(service(**STOCK, workers={"concurrency": 8}, network={"allowFrom": []}))
        await story.appears(NETWORK_POLICY)

        stays = "stays there until `lgs rollback support --clear`"
        assert done == (0, f"support: goes to revision 1, and {stays}")
        assert "revision 1 by spec.rollout.revision" in pinned["message"]
        assert mounted_by((await story.template())["spec"]) == good
        assert concurrency_of(await story.template()) == "7"

        assert (await source.rollback("support", "--clear"))[0] == 0
        await source.serves(await source.release("graph = 2"))
        assert concurrency_of(await story.template()) == "8"


async def test_a_revision_that_is_not_kept_is_refused_by_its_number_and_pods_go_on(source: Source) -> None:
    story = source.story
    story.apply(service(**STOCK))
    copy = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace):
        await source.serves(copy)
        await source.revisions(1)

        unknown = await source.rollback("support", "--to", "9")
        first = await source.rollback("support")
        nobody = await source.rollback("nobody")
        pin = json.dumps({"spec": {"rollout": {"revision": 9}}})
        story.plane.run("patch", "lgs", "support", "-n", story.namespace, "--type=merge", "-p", pin)
        said = await story.has_condition("Reconciled", "False", "RevisionNotFound")
        await story.has_condition("Ready", "True", "Serving")

    assert unknown == (2, "support: revision 9 is not kept; those that are: 1 (Ready)")
    assert first == (2, "support: no revision before revision 1 was ready; those that are kept: 1 (Ready)")
    assert nobody == (2, f"there is no LangGraphService nobody in namespace {story.namespace}")
    assert said["message"].endswith("9: there is no such revision any more; those that are kept: 1")
    assert await source.mounted() == copy


async def test_a_release_whose_runs_fail_is_taken_back_by_itself_and_the_next_one_is_released(
    source: Source,
) -> None:
    story = source.story
    story.apply(service(**STOCK, rollout={"autoRollback": True, "maxErrorRate": 0.5, "minRuns": 10}))
    good = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.failing = {"2": 1.0}
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        await source.serves(good)
        await source.revisions(1)

        story.apply(code("graph = 2"))
        told = "runs failed (100 %, more than 50 %); replicas run revision 1"
        await story.has_condition("Healthy", "False", "RolledBack", told)
        await story.has_condition("Reconciled", "False", "RolledBack")
        await source.has_revision(1)
        await source.serves(good)
        two, one = await source.revisions(1)

        assert (one["state"], two["state"]) == ("Ready", "Failed")
        assert two["failedRuns"] == two["runs"] >= 10
        await story.event("RolledBack", "revision 2 was taken back")

        await source.serves(await source.release("graph = 3"))
        await source.has_revision(3)
        await story.has_condition("Reconciled", "True", "Done")


async def test_replicas_whose_runs_fail_stop_before_others_have_taken_their_place(source: Source) -> None:
    story = source.story
    rollout = {"autoRollback": True, "minRuns": 10}
    several = {"replicas": 4, "scaling": {"mode": "Manual"}, "persistence": {"postgres": {"managed": {}}}}
    story.apply(service(**STOCK, **several, rollout=rollout))
    good = await source.release("graph = 1")

    async def is_rolled_out() -> bool:
        return (await story.get(DEPLOYMENT)).get("status", {}).get("readyReplicas") == 4

    async def have_stopped() -> bool:
        labels = [pod["metadata"]["labels"] for pod in await source.pods()]
        return {each["lgs.dev/revision"] for each in labels if "lgs.dev/revision" in each} == {"1"}

    async def is_as_ever() -> bool:
        strategy = (await story.get(DEPLOYMENT))["spec"]["strategy"]["rollingUpdate"]
        return bool(strategy == {"maxSurge": "25%", "maxUnavailable": 0})

    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.failing = {"2": 1.0}
        kubelet.lets_start("1", 4)
        kubelet.lets_start("2", 2)
        await source.serves(good)
        await until(is_rolled_out, "the four replicas are not ready")
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)

        story.apply(code("graph = 2"))
        await story.has_condition("Healthy", "False", "RolledBack")

        await until(have_stopped, "replicas of the revision that was taken back go on")
        await until(is_as_ever, "the next rollout would be one with a gap")


CANARY: dict[str, Any] = STOCK | {
    "replicas": 3,
    "scaling": {"mode": "Manual"},
    "persistence": {"postgres": {"managed": {}}},
    "rollout": {"strategy": "Canary", "steps": [10, 50], "pauseSeconds": 1, "minRuns": 10},
}
BESIDE = "support-canary"


def percent_of(deployment: dict[str, Any]) -> tuple[str, int]:
    """The share of the threads that a canary's replicas take, and how many they are."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (said,) = [each["value"] for each in container["env"] if each["name"] == "LGS_CANARY_PERCENT"]
    return said, deployment["spec"]["replicas"]


async def test_a_canary_that_does_well_takes_step_by_step_and_becomes_the_whole(source: Source) -> None:
    story = source.story
    story.apply(service(**CANARY))
    good = await source.release("graph = 1")
    seen: list[tuple[str, int]] = []

    async def is_whole() -> bool:
        beside = await story.get(DEPLOYMENT, BESIDE)
        if beside and percent_of(beside) not in seen:
            seen.append(percent_of(beside))
        return bool(seen) and not beside

    async def is_at_the_second() -> bool:
        await is_whole()
        return len(seen) == 2

    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        # as many as the first step has: the second one lasts until it has been seen
        kubelet.lets_start("2", 1)
        await source.serves(good)
        await source.revisions(1)
        before = await story.get(DEPLOYMENT)
        story.apply(code("graph = 2"))
        first = percent_of(await story.appears(DEPLOYMENT, BESIDE))
        copy = mounted_by((await story.get(DEPLOYMENT, BESIDE))["spec"]["template"]["spec"])
        await source.serves(copy)
        said = await story.has_condition("Healthy", "Unknown", "Unverified", "is a canary")
        assert await source.mounted() == good
        assert (await story.get(DEPLOYMENT))["metadata"]["generation"] == before["metadata"]["generation"]

        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        await until(is_at_the_second, lambda: f"it does not take its second step: {seen}")
        kubelet.lets_start("2", 100)
        await until(is_whole, lambda: f"it does not become the whole: {seen}")
        await source.has_revision(2)
        await story.has_condition("Healthy", "True", "Verified")
        await story.has_condition("Reconciled", "True", "Done")

    assert first == ("10", 1)
    assert seen == [("10", 1), ("50", 3)]
    assert said["message"] == (
        "revision 2 is a canary with 10 % of the threads, step 1 of 2: 0 of 0 runs failed, 10 are needed"
    )
    assert await source.mounted() == copy
    assert "canary" not in (await story.get(SERVICE_OF_OURS))["status"]


async def test_a_canary_whose_runs_fail_goes_and_the_replicas_beside_it_are_never_touched(
    source: Source,
) -> None:
    story = source.story
    story.apply(service(**CANARY))
    good = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.failing = {"2": 1.0}
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)
        await source.serves(good)
        await source.revisions(1)
        before = await story.get(DEPLOYMENT)

        story.apply(code("graph = 2"))
        said = await story.has_condition("Healthy", "False", "RolledBack")
        await story.vanishes(DEPLOYMENT, BESIDE)
        after = await story.get(DEPLOYMENT)
        await story.has_condition("Reconciled", "False", "RolledBack")
        await story.event("RolledBack", "revision 2 was taken back")

        assert "revision 2 was taken back: " in said["message"]
        assert "runs failed (100 %, more than 50 %); replicas run revision 1" in said["message"]
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        story.apply(code("graph = 3"))
        await source.has_revision(3)


async def test_a_release_whose_runs_take_too_long_is_taken_back_by_itself_before_it_is_rolled_out(
    source: Source,
) -> None:
    story = source.story
    rollout = {"autoRollback": True, "maxP95Ratio": 2, "minRuns": 10}
    several = {"replicas": 4, "scaling": {"mode": "Manual"}, "persistence": {"postgres": {"managed": {}}}}
    story.apply(service(**STOCK, **several, rollout=rollout))
    good = await source.release("graph = 1")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.seconds = {"2": 9.0}
        kubelet.lets_start("2", 1)
        kubelet.load.serves(per_second=30, run_seconds=0.5, waiting=0)
        await source.serves(good)
        await source.revisions(1)

        story.apply(code("graph = 2"))
        said = await story.has_condition("Healthy", "False", "RolledBack")
        await source.has_revision(1)
        two = (await source.revisions(1))[0]

    assert "its runs take too long: p95 9.6 s, and 0.955 s of other revisions meanwhile" in said["message"]
    assert (two["state"], two["slower"], two["p95"], two["p95Beside"]) == ("Failed", True, "9.600s", "0.955s")
    assert two["failedRuns"] == 0
    await story.event("RolledBack", "its runs take too long")


async def test_a_release_whose_runs_fail_is_told_where_it_is_not_to_be_taken_back(source: Source) -> None:
    story = source.story
    story.apply(service(rollout={"minRuns": 10}))
    await story.appears(DEPLOYMENT)
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.load.failing = {"1": 1.0}
        kubelet.load.serves(per_second=30, run_seconds=0.1, waiting=0)

        said = await story.has_condition("Healthy", "False", "ReleaseFailed")

        assert said["message"].endswith("`lgs rollback support` goes back")
        await source.has_revision(1)
