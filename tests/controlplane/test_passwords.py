"""The passwords of managed servers: lost, written by hand, rotated (docs/data.md)."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from controlplane.databases import SET, delete, managed, password
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, SECRET, SERVICE_OF_OURS, STATEFUL_SET
from support.waiting import until

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("operator_everywhere")]


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
    await story.event("PasswordChanged", "new password")
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
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        # the replica with the old one: that which has the new one does not get ready until it has been seen
        kubelet.lets_start("1", 1)
        await story.has_condition("Ready", "True", "Serving")
        before = (await story.get(SECRET, SET))["data"]

        story.plane.run("annotate", "lgs", "support", "-n", story.namespace, "lgs.dev/rotate-password=monday")

        async def both() -> dict[str, str] | None:
            data: dict[str, str] = (await story.get(SECRET, SET))["data"]
            return data if "previous-password" in data else None

        during = await until(both, "no second password")
        assert during["previous-password"] == before["password"] != during["password"]
        assert during["username"] != before.get("username")
        await story.event("PasswordChanged", "valid until then")
        kubelet.lets_start("1", 100)
        await story.event("PasswordRotated")

        after = (await story.get(SECRET, SET))["data"]
        assert after == {name: value for name, value in during.items() if not name.startswith("previous-")}

    noted = (await story.get(SECRET, SET))["metadata"]["annotations"]
    assert noted["lgs.dev/rotated-for"] == "monday"

    async def told() -> bool:
        status = (await story.get(SERVICE_OF_OURS))["status"]["database"]
        return bool(status["passwordChangedAt"] == noted["lgs.dev/password-changed-at"])

    await until(told, "the status does not say when")
