"""Whose an object is that has the name of one of the service's: the claim of a managed database is found by
its name, what was left behind by its labels (docs/data.md)."""

from __future__ import annotations

import json

import pytest

from controlplane.databases import SET, VOLUME, managed, uid_of
from controlplane.story import Story
from lgs_operator.kube.kinds import CLAIM, DEPLOYMENT, SERVICE, SERVICE_OF_OURS, STATEFUL_SET
from lgs_operator.naming import MANAGED_BY_LABEL, SERVICE_LABEL
from support.waiting import until

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("operator_everywhere")]


async def test_a_volume_of_somebody_elses_database_of_the_same_name_is_left_alone(story: Story) -> None:
    """With the policy Delete it would have gone with the service that never had it."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    marks = {"app": "theirs"}
    theirs = {"metadata": {"labels": marks}, "spec": {"containers": [{"name": "server", "image": "theirs"}]}}
    spec = {"serviceName": "theirs", "selector": {"matchLabels": marks}, "template": theirs} | {
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]
    }
    story.apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": SET}, "spec": spec})
    await story.appears(CLAIM, VOLUME)

    story.apply(managed(deletionPolicy="Delete"))

    said = await story.has_condition("Reconciled", "False", "Refused")
    assert said["message"].count(f"StatefulSet {SET} exists") == 1
    left = (await story.get(CLAIM, VOLUME))["metadata"]
    assert "ownerReferences" not in left
    assert SERVICE_LABEL not in left["labels"]


async def test_what_a_service_left_that_was_deleted_without_its_objects_is_the_next_ones(
    story: Story,
) -> None:
    """It was reported to belong to something else, with the advice to delete it."""
    spec = managed() | {"spec": managed()["spec"] | {"cache": {"redis": {"managed": {}}}}}
    story.apply(spec)
    parts = [
        (DEPLOYMENT, "support"),
        (SERVICE, "support"),
        (STATEFUL_SET, SET),
        (DEPLOYMENT, "support-redis"),
        (CLAIM, VOLUME),
    ]
    before = [await uid_of(story, *part) for part in parts]
    template = await story.template()
    story.plane.run("delete", "lgs", "support", "-n", story.namespace, "--cascade=orphan")
    await story.vanishes(SERVICE_OF_OURS)
    assert "ownerReferences" not in (await story.get(DEPLOYMENT))["metadata"]

    story.apply(spec)

    await story.has_condition("Reconciled", "True", "Done")
    owner = await uid_of(story, SERVICE_OF_OURS, "support")
    assert [await uid_of(story, *part) for part in parts] == before, "they are the same objects"
    for kind, name in parts[:-1]:
        references = (await story.get(kind, name))["metadata"]["ownerReferences"]
        assert [each["uid"] for each in references] == [owner]
    assert await story.template() == template, "no replica starts again"


async def test_a_volume_that_an_older_operators_stateful_set_owns_is_the_services(story: Story) -> None:
    """It was reported to belong to something else, with the advice to delete it, at each upgrade."""
    story.apply(managed())
    await story.appears(STATEFUL_SET, SET)
    volume = await uid_of(story, CLAIM, VOLUME)
    story.apply(managed() | {"spec": managed()["spec"] | {"paused": True}})
    await story.has_condition("Reconciled", "False", "Paused")
    older = json.dumps({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}})
    story.plane.run("patch", "sts", SET, "-n", story.namespace, "-p", older)
    story.plane.run("label", "pvc", VOLUME, "-n", story.namespace, f"{MANAGED_BY_LABEL}-")

    async def owners() -> list[str]:
        return [
            each["kind"] for each in (await story.get(CLAIM, VOLUME))["metadata"].get("ownerReferences", [])
        ]

    async def is_the_sets() -> bool:
        return await owners() == ["StatefulSet"]

    async def is_free() -> bool:
        return await owners() == []

    await until(is_the_sets, "the StatefulSet does not own its claim")

    story.apply(managed())

    await until(is_free, "the StatefulSet keeps its claim")
    await story.has_condition("Reconciled", "True", "Done")
    assert await uid_of(story, CLAIM, VOLUME) == volume
    assert "delete it" not in story.plane.run("get", "events", "-n", story.namespace)
