"""Data outlives mistakes: what becomes of a managed database's volume, and of what its service knows of it,
when something is deleted, lost or changed (docs/data.md)."""

from __future__ import annotations

import copy
import json
from base64 import b64decode
from functools import partial

import pytest

from controlplane.databases import SET, VOLUME, delete, gone, made_again, managed, password, uid_of
from controlplane.fake_kubelet import FakeKubelet
from controlplane.story import Story
from lgs_operator.kube.kinds import CLAIM, DEPLOYMENT, POD, SECRET, SERVICE_OF_OURS, STATEFUL_SET
from support.waiting import until

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("operator_everywhere")]


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_deleted_stateful_set_comes_back_with_the_volume_and_the_password_it_had(
    story: Story, policy: str
) -> None:
    story.apply(managed(deletionPolicy=policy))
    old, volume = await uid_of(story, STATEFUL_SET, SET), await uid_of(story, CLAIM, VOLUME)
    before = await password(story)

    delete(story, "statefulset", SET)

    again = await made_again(story, STATEFUL_SET, SET, old)
    assert await uid_of(story, CLAIM, VOLUME) == volume
    assert await password(story) == before
    assert again["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


async def test_a_database_that_never_came_up_is_made_anew_by_a_mended_manifest(story: Story) -> None:
    """Kubernetes' own controller, by its default, waits for such a pod to be ready before it replaces it."""
    story.apply(managed(resources={"limits": {"memory": "8Mi"}, "requests": {"memory": "8Mi"}}))
    old = await uid_of(story, POD, f"{SET}-0")

    story.apply(managed(resources={"limits": {"memory": "512Mi"}, "requests": {"memory": "64Mi"}}))

    again = await made_again(story, POD, f"{SET}-0", old)
    assert again["spec"]["containers"][0]["resources"]["limits"]["memory"] == "512Mi"


async def test_a_stateful_set_of_an_older_operator_keeps_the_policy_that_it_was_made_with(
    story: Story,
) -> None:
    """It can't be changed: a write that tries is refused as a whole."""
    story.apply(managed())
    made = await story.appears(STATEFUL_SET, SET)
    old = copy.deepcopy(made)
    old["spec"]["podManagementPolicy"] = "OrderedReady"
    old["metadata"] = {key: made["metadata"][key] for key in ("name", "labels", "ownerReferences")}
    paused = managed()
    paused["spec"]["paused"] = True
    story.apply(paused)
    await story.has_condition("Reconciled", "False", "Paused")
    story.plane.run("delete", "statefulset", SET, "-n", story.namespace)
    story.apply(old)

    story.apply(managed(resources={"limits": {"memory": "512Mi"}, "requests": {"memory": "64Mi"}}))

    await story.has_condition("Reconciled", "True", "Done")

    async def written() -> bool:
        spec = (await story.get(STATEFUL_SET, SET) or {})["spec"]
        resources = spec["template"]["spec"]["containers"][0]["resources"]
        return bool(resources.get("limits", {}).get("memory") == "512Mi")

    await until(written, "the template is not written")
    assert (await story.get(STATEFUL_SET, SET))["spec"]["podManagementPolicy"] == "OrderedReady"


async def test_what_a_deleted_service_leaves_is_adopted_by_the_next_of_its_name(story: Story) -> None:
    story.apply(managed())
    volume, before = await uid_of(story, CLAIM, VOLUME), await password(story)
    await story.appears(STATEFUL_SET, SET)

    await gone(story)
    left = await password(story), await uid_of(story, CLAIM, VOLUME)
    story.apply(managed(storage="2Gi"))

    await story.appears(STATEFUL_SET, SET)
    assert left == (before, volume)
    assert (await password(story), await uid_of(story, CLAIM, VOLUME)) == left
    await story.event("Adopted", f"volume {VOLUME} (1Gi, made 20")


async def test_a_volume_that_was_made_by_hand_is_adopted_too(story: Story) -> None:
    """From a snapshot, for instance: it has none of the operator's labels."""
    story.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": VOLUME},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "3Gi"}}},
        }
    )
    volume = await uid_of(story, CLAIM, VOLUME)

    story.apply(managed())

    await story.event("Adopted", f"volume {VOLUME} (3Gi")
    await story.appears(STATEFUL_SET, SET)
    assert await uid_of(story, CLAIM, VOLUME) == volume
    await story.has_condition("Reconciled", "True", "Done")


async def test_with_the_policy_delete_volume_and_password_go_with_the_service(story: Story) -> None:
    story.apply(managed(deletionPolicy="Delete"))
    await story.appears(STATEFUL_SET, SET)
    await story.appears(CLAIM, VOLUME)

    await gone(story)

    await story.vanishes(SECRET, SET)
    await story.vanishes(CLAIM, VOLUME)


@pytest.mark.parametrize(
    ("first", "then", "stays"), [("Retain", "Delete", False), ("Delete", "Retain", True)]
)
async def test_the_policy_can_be_changed_later(story: Story, first: str, then: str, stays: bool) -> None:
    story.apply(managed(deletionPolicy=first))
    await story.appears(STATEFUL_SET, SET)

    story.apply(managed(deletionPolicy=then))

    async def changed() -> bool:
        found = [await story.get(SECRET, SET), await story.get(CLAIM, VOLUME)]
        return all(bool(each["metadata"].get("ownerReferences")) is not stays for each in found)

    await until(changed, "the owner is not changed")
    await gone(story)
    if stays:
        assert await story.get(CLAIM, VOLUME)
        assert await story.get(SECRET, SET)
    else:
        await story.vanishes(CLAIM, VOLUME)
        await story.vanishes(SECRET, SET)


async def test_what_is_to_be_kept_outlives_a_service_that_is_paused(story: Story) -> None:
    """Nothing is changed while it is paused, and it may be deleted meanwhile."""
    story.apply(managed(deletionPolicy="Delete"))
    await policy_becomes(story, "Delete")
    paused = managed(deletionPolicy="Retain")
    paused["spec"]["paused"] = True

    story.apply(paused)

    await owned_by_nobody(story)
    await story.has_condition("Reconciled", "False", "Paused")
    delete(story, "lgs", "support")
    await story.vanishes(STATEFUL_SET, SET)
    assert await story.get(CLAIM, VOLUME)
    assert await story.get(SECRET, SET)


async def test_what_is_to_be_kept_outlives_a_service_that_is_held_while_it_is_deleted(story: Story) -> None:
    """By somebody's finalizer, for as long as they like: it can still be told to keep its data."""
    held = managed(deletionPolicy="Delete")
    held["metadata"]["finalizers"] = ["example.com/held"]
    story.apply(held)
    await policy_becomes(story, "Delete")

    delete(story, "lgs", "support")

    said = await story.has_condition("Reconciled", "False", "Deleting")
    assert "metadata.finalizers has example.com/held" in said["message"]
    await story.has_condition("Ready", "False", "Deleting")
    assert await story.get(STATEFUL_SET, SET), "it goes with the service"

    patch = {"spec": {"persistence": {"postgres": {"managed": {"deletionPolicy": "Retain"}}}}}
    story.plane.run("patch", "lgs", "support", "-n", story.namespace, "--type=merge", "-p", json.dumps(patch))
    await owned_by_nobody(story)
    free = json.dumps([{"op": "remove", "path": "/metadata/finalizers"}])
    story.plane.run("patch", "lgs", "support", "-n", story.namespace, "--type=json", "-p", free)
    await story.vanishes(STATEFUL_SET, SET)
    assert await story.get(CLAIM, VOLUME)
    assert await story.get(SECRET, SET)


async def test_the_status_has_the_policy_by_which_the_volume_stays_or_goes_now(story: Story) -> None:
    story.apply(managed())
    await policy_becomes(story, "Retain")

    story.apply(managed(deletionPolicy="Delete"))
    await policy_becomes(story, "Delete")

    story.apply(managed(deletionPolicy="Retain"))
    await policy_becomes(story, "Retain")
    await gone(story)
    assert await story.get(CLAIM, VOLUME)


async def owned_by_nobody(story: Story) -> None:
    """The volume and the password are let go of."""

    async def kept() -> bool:
        found = [await story.get(SECRET, SET), await story.get(CLAIM, VOLUME)]
        return not any(each["metadata"].get("ownerReferences") for each in found)

    await until(kept, "the owner stays")


async def policy_becomes(story: Story, policy: str) -> None:
    async def becomes() -> bool:
        status = (await story.get(SERVICE_OF_OURS)).get("status", {})
        return bool(status.get("database", {}).get("deletionPolicy") == policy)

    await until(becomes, f"the policy does not become {policy}")


def storage_class(story: Story, name: str, *, grows: bool) -> str:
    manifest = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "example.com/disks",
        "allowVolumeExpansion": grows,
    }
    story.plane.run("apply", "-f", "-", stdin=json.dumps(manifest))
    return name


async def bind(story: Story) -> None:
    """As the cluster's provisioner does it."""
    await story.appears(CLAIM, VOLUME)
    patch = {"spec": {"volumeName": f"pv-{story.namespace}"}}
    story.plane.run("patch", "pvc", VOLUME, "-n", story.namespace, "-p", json.dumps(patch))
    status = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
    story.plane.run(
        *("patch", "pvc", VOLUME, "-n", story.namespace, "--subresource=status", "-p", json.dumps(status))
    )


async def size(story: Story) -> str:
    return str((await story.get(CLAIM, VOLUME))["spec"]["resources"]["requests"]["storage"])


async def test_a_larger_volume_is_had_where_the_storage_class_allows_it(story: Story) -> None:
    """The database need not be up for it: one whose volume is full is not."""
    grows = storage_class(story, "grows", grows=True)
    story.apply(managed(storageClassName=grows))
    await bind(story)

    story.apply(managed(storageClassName=grows, storage="2Gi"))

    async def grown() -> bool:
        return await size(story) == "2Gi"

    await until(grown, "the volume does not grow")
    await story.has_condition("Reconciled", "True", "Done")
    with pytest.raises(
        AssertionError, match=r"storage: 1Gi: a volume can't shrink: .* its size, which is 2Gi"
    ):
        story.apply(managed(storageClassName=grows, storage="1Gi"))
    assert "managed.storage" not in story.plane.run("get", "events", "-n", story.namespace)


async def test_a_larger_volume_that_can_not_be_had_is_told_and_taken_back(story: Story) -> None:
    fixed = storage_class(story, "fixed", grows=False)
    story.apply(managed(storageClassName=fixed))
    await bind(story)

    story.apply(managed(storageClassName=fixed, storage="2Gi"))

    said = await story.has_condition("Reconciled", "False", "VolumeNotExpandable")
    assert f"PersistentVolumeClaim {VOLUME} has 1Gi and can't get 2Gi" in said["message"]
    async with FakeKubelet(story.cluster, story.namespace):
        await story.has_condition("Ready", "True", "Serving")
    story.apply(managed(storageClassName=fixed, storage="1Gi"))
    await story.has_condition("Reconciled", "True", "Done")


async def test_a_volume_that_was_told_to_go_is_told_while_it_is_still_there(story: Story) -> None:
    story.apply(managed())
    await story.appears(CLAIM, VOLUME)
    patch = json.dumps({"metadata": {"finalizers": ["example.com/pod"]}})
    story.plane.run("patch", "pvc", VOLUME, "-n", story.namespace, "-p", patch)

    delete(story, "pvc", VOLUME)

    said = await story.has_condition("Reconciled", "False", "VolumeGoing")
    assert "save them while it runs" in said["message"]
    free = json.dumps([{"op": "remove", "path": "/metadata/finalizers"}])
    story.plane.run("patch", "pvc", VOLUME, "-n", story.namespace, "--type=json", "-p", free)


async def test_a_service_remembers_its_database_and_forgets_it_when_it_is_told_to(story: Story) -> None:
    story.apply(managed())
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.database_id = known = "0d9f8a5e-0000-4000-8000-000000000000"

        secret = await story.appears(SECRET, "support-database-id")

        template = await story.template()
        assert b64decode(secret["data"]["id"]).decode() == known
        variables = {each["name"]: each for each in template["spec"]["containers"][0]["env"]}
        wanted = {"name": "support-database-id", "key": "id", "optional": True}
        assert variables["LGS_DATABASE_ID"]["valueFrom"] == {"secretKeyRef": wanted}
        await story.has_condition("Ready", "True", "Serving")
        await until(partial(knows_database, story, known), "the status does not tell its id")
        deployment = await story.get(DEPLOYMENT)
        assert deployment["metadata"]["generation"] == 1, "to know it costs no rollout"
        whole = (await story.get(SECRET, SET))["data"]["password"]
        for words, told in (("//4=", "Refused"), (whole, "Done")):
            patch = json.dumps({"data": {"password": words}})
            story.plane.run("patch", "secret", SET, "-n", story.namespace, "-p", patch)
            await story.has_condition("Reconciled", "True" if told == "Done" else "False", told)
            assert story.status["database"]["id"] == known, "what stops a look makes it forget nothing"

        kubelet.database_id = None
        forget = f"lgs.dev/forget-database={known}"
        story.plane.run("annotate", "lgs", "support", "-n", story.namespace, forget)

        await story.vanishes(SECRET, "support-database-id")

        async def rolled() -> bool:
            return await story.template() != template

        await until(rolled, "replicas that know the old database are not made anew")
        kubelet.database_id = "1d9f8a5e-0000-4000-8000-000000000000"
        again = await story.appears(SECRET, "support-database-id")
        assert b64decode(again["data"]["id"]).decode() == kubelet.database_id


async def knows_database(story: Story, known: str) -> bool:
    status = (await story.get(SERVICE_OF_OURS))["status"]
    return bool(status["database"].get("id") == known)


async def knows_no_database(story: Story) -> bool:
    status = (await story.get(SERVICE_OF_OURS))["status"]
    return "id" not in status["database"]


async def test_an_id_that_is_to_be_forgotten_while_replicas_tell_it_is_forgotten_once(story: Story) -> None:
    """It was learned and forgotten again hundreds of times a second."""
    story.apply(managed())
    known, other = (f"{first}d9f8a5e-0000-4000-8000-000000000000" for first in "01")
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.database_id = known
        await story.appears(SECRET, "support-database-id")
        await story.has_condition("Ready", "True", "Serving")

        forget = f"lgs.dev/forget-database={known}"
        story.plane.run("annotate", "lgs", "support", "-n", story.namespace, forget)
        await story.vanishes(SECRET, "support-database-id")
        await until(partial(knows_no_database, story), "one that is told again is not the service's to know")
        await story.has_condition("Ready", "True", "Serving")
        kubelet.database_id = other
        await story.appears(SECRET, "support-database-id")
        kubelet.database_id = known
        story.plane.run("annotate", "lgs", "support", "-n", story.namespace, "lgs.dev/forget-database-")
        secret = await story.appears(SECRET, "support-database-id")
        assert b64decode(secret["data"]["id"]).decode() == other


async def test_a_service_that_is_made_again_takes_the_database_that_it_finds(story: Story) -> None:
    story.apply(managed())
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.database_id = "0d9f8a5e-0000-4000-8000-000000000000"
        await story.appears(SECRET, "support-database-id")

        await gone(story)

        await story.vanishes(SECRET, "support-database-id")
