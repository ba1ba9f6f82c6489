"""Data outlives mistakes: what becomes of a managed database's volume and password when something is deleted,
lost or changed (docs/data.md)."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from controlplane.controlplane_server import ControlPlane
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from controlplane.waiting import until
from lgs_operator.kube.kinds import CLAIM, DEPLOYMENT, SECRET, SERVICE_OF_OURS, STATEFUL_SET

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("operator")]
SET, VOLUME = "support-postgres", "data-support-postgres-0"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """One for all stories here, whatever namespace they are in."""
    operators = Operators(plane, "default", tmp_path_factory.mktemp("data"))
    await operators.start(env={"LGS_OPERATOR_NAMESPACES": ""})
    yield
    await operators.stop_all()


def managed(**postgres: Any) -> dict[str, Any]:
    return service(persistence={"postgres": {"managed": {"storage": "1Gi"} | postgres}})


async def uid_of(story: Story, kind: Any, name: str) -> str:
    return str((await story.appears(kind, name))["metadata"]["uid"])


async def made_again(story: Story, kind: Any, name: str, old: str) -> dict[str, Any]:
    async def new() -> dict[str, Any] | None:
        found = await story.get(kind, name)
        return found if found and found["metadata"]["uid"] != old else None

    return await until(new, f"{kind.name} {name} is not made again")


async def password(story: Story) -> str:
    return str((await story.appears(SECRET, SET))["data"]["password"])


async def event(story: Story, reason: str) -> str:
    """The message of the newest Event of this reason, when there is one."""

    async def told() -> str | None:
        listed = story.plane.run(
            *("get", "events", "-n", story.namespace, "--field-selector", f"reason={reason}"),
            *("-o", "jsonpath={.items[*].message}"),
        )
        return listed.strip() or None

    return await until(told, f"no Event {reason}")


def delete(story: Story, *what: str) -> None:
    story.plane.run("delete", *what, "-n", story.namespace, "--wait=false")


async def gone(story: Story) -> None:
    """The service and its StatefulSet."""
    delete(story, "lgs", "support")
    await story.vanishes(SERVICE_OF_OURS)
    await story.vanishes(STATEFUL_SET, SET)
    await story.vanishes(DEPLOYMENT)


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
    said = await event(story, "Adopted")
    assert f"volume {VOLUME} (1Gi, made 20" in said


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

    assert f"volume {VOLUME} (3Gi" in await event(story, "Adopted")
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


async def test_a_secret_of_somebody_else_is_no_password(story: Story) -> None:
    story.plane.run(
        *("create", "secret", "generic", SET, "-n", story.namespace, "--from-literal=password=theirs")
    )

    story.apply(managed())

    said = await story.has_condition("Reconciled", "False", "Refused")
    assert f"Secret {SET} exists in namespace" in said["message"]
    assert b64decode(await password(story)) == b"theirs"


async def test_a_lost_secret_is_made_again_and_replicas_follow_with_its_password(story: Story) -> None:
    story.apply(managed())
    await story.appears(DEPLOYMENT)
    before, template = await password(story), await story.template()
    server = (await story.appears(STATEFUL_SET, SET))["spec"]["template"]

    delete(story, "secret", SET)

    async def new() -> bool:
        secret = await story.get(SECRET, SET)
        return bool(secret) and secret["data"]["password"] != before

    await until(new, "no Secret is made")
    assert "new password" in await event(story, "PasswordChanged")
    # the server itself is not restarted: its pod takes the password over while it runs
    assert (await story.get(STATEFUL_SET, SET))["spec"]["template"] == server

    async def rolled() -> bool:
        return (await story.template())["metadata"] != template["metadata"]

    await until(rolled, "replicas keep the lost password")


async def test_a_password_that_is_written_into_the_secret_by_hand_is_the_password(story: Story) -> None:
    story.apply(managed())
    await story.appears(DEPLOYMENT)
    template = await story.template()

    patch = json.dumps({"stringData": {"password": "theirs/and@more"}})
    story.plane.run("patch", "secret", SET, "-n", story.namespace, "-p", patch)

    async def follows() -> bool:
        data = (await story.get(SECRET, SET))["data"]
        return (
            ":theirs%2Fand%40more@" in b64decode(data["uri"]).decode() and await story.template() != template
        )

    await until(follows, "address and replicas keep the old one")


async def test_a_lost_secret_of_the_managed_redis_restarts_it_with_the_new_password(story: Story) -> None:
    story.apply(service(cache={"redis": {"managed": {}}}))
    await story.appears(DEPLOYMENT)
    redis = (await story.appears(DEPLOYMENT, "support-redis"))["spec"]["template"]
    runtime = await story.template()

    delete(story, "secret", "support-redis")

    async def rolled() -> bool:
        now = (await story.get(DEPLOYMENT, "support-redis"))["spec"]["template"]
        return now != redis and await story.template() != runtime

    await until(rolled, "server and replicas keep different passwords")


async def test_a_rotation_keeps_the_old_password_until_the_last_replica_has_the_new_one(story: Story) -> None:
    story.apply(managed())
    async with FakeKubelet(story.cluster, story.namespace):
        await story.has_condition("Ready", "True", "Serving")
        before = (await story.get(SECRET, SET))["data"]

        story.plane.run("annotate", "lgs", "support", "-n", story.namespace, "lgs.dev/rotate-password=monday")

        async def both() -> dict[str, str] | None:
            data: dict[str, str] = (await story.get(SECRET, SET))["data"]
            return data if "previous-password" in data else None

        during = await until(both, "no second password")
        assert during["previous-password"] == before["password"] != during["password"]
        assert during["username"] != before.get("username")
        assert "valid until then" in await event(story, "PasswordChanged")
        await event(story, "PasswordRotated")

        after = (await story.get(SECRET, SET))["data"]
        assert after == {name: value for name, value in during.items() if not name.startswith("previous-")}

    async def told() -> bool:
        status = (await story.get(SERVICE_OF_OURS))["status"]["database"]
        return status.get("passwordChangedAt", "") >= "2026"

    await until(told, "the status does not say when")


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
        assert story.status["database"]["id"] == known
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


async def test_a_service_that_is_made_again_takes_the_database_that_it_finds(story: Story) -> None:
    story.apply(managed())
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.database_id = "0d9f8a5e-0000-4000-8000-000000000000"
        await story.appears(SECRET, "support-database-id")

        await gone(story)

        await story.vanishes(SECRET, "support-database-id")
