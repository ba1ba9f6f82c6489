"""Backups and restores against a real API server, whose Jobs make real pods; what the pods would report at
their end is written into their status."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.held_up import is_held_up
from controlplane.manifests import condition, service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import CLAIM, CRON_JOB, DEPLOYMENT, JOB, POD, SERVICE_OF_OURS, STATEFUL_SET
from support.waiting import until

pytestmark = pytest.mark.controlplane
NAME = "20261128T030002Z-1a2b3c"
TOLD = {"name": NAME, "began": "2026-11-28T03:00:02Z", "bytes": 1024, "threads": 3}
S3 = {"bucket": "sessions", "credentialsSecret": {"name": "keys"}}
MANAGED = "spec.persistence.postgres.managed"


def managed(name: str = "support", **fields: Any) -> dict[str, Any]:
    return service(name, persistence={"postgres": {"managed": {"storage": "1Gi"} | fields}})


def backups(**fields: Any) -> dict[str, Any]:
    return {"schedule": "0 3 * * *", "volume": {"size": "2Gi"}} | fields


async def pods_of(story: Story, component: str) -> list[dict[str, Any]]:
    pods, _ = await story.cluster.list(
        POD, story.namespace, labels=f"app.kubernetes.io/component={component}"
    )
    return pods


async def ends(story: Story, component: str, code: int, message: str) -> str:
    """The newest pod of a component ends so. Gives its name."""

    async def alive() -> dict[str, Any] | None:
        pods = await pods_of(story, component)
        return next((pod for pod in pods if pod["status"]["phase"] == "Pending"), None)

    pod = await until(alive, f"there is no pod of a {component}")
    container = pod["spec"]["containers"][0]
    ended = {"exitCode": code, "message": message, "reason": "Completed" if code == 0 else "Error"}
    status = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": ended},
            }
        ],
    }
    name = str(pod["metadata"]["name"])
    patch = ["patch", "pod", name, "-n", story.namespace, "--subresource=status", "--type=merge"]
    story.plane.run(*patch, "-p", json.dumps({"status": status}))
    return name


async def database_is_up(story: Story, name: str = "support") -> None:
    """The managed server's pod takes connections."""
    await story.appears(POD, f"{name}-postgres-0")
    ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
    patch = ["patch", "pod", f"{name}-postgres-0", "-n", story.namespace, "--subresource=status"]
    status = {"status": {"phase": "Running", "conditions": ready}}
    story.plane.run(*patch, "--type=merge", "-p", json.dumps(status))


async def status_of(story: Story, name: str = "support") -> dict[str, Any]:
    status: dict[str, Any] = (await story.get(SERVICE_OF_OURS, name)).get("status", {})
    return status


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backup": backups(schedule="0 3 * *")}, f"{MANAGED}.backup.schedule"),
        ({"backup": backups(schedule="61 3 * * *")}, f"{MANAGED}.backup.schedule"),
        ({"backup": backups(schedule="every night")}, f"{MANAGED}.backup.schedule"),
        ({"backup": backups(keep=0)}, f"{MANAGED}.backup.keep"),
        ({"backup": backups(s3=S3)}, f"{MANAGED}.backup: volume s3: must have exactly one of volume, s3"),
        ({"backup": {"schedule": "@daily"}}, f"{MANAGED}.backup: none of them: must have exactly one of"),
        (
            {"backup": backups(volume={"claimName": "nas", "size": "1Gi"})},
            f"{MANAGED}.backup.volume.size: must be absent with claimName",
        ),
        (
            {"backup": {"schedule": "@daily", "s3": S3 | {"endpoint": "minio:9000"}}},
            f"{MANAGED}.backup.s3.endpoint",
        ),
        (
            {"backup": {"schedule": "@daily", "s3": {"bucket": "sessions"}}},
            f"{MANAGED}.backup.s3.credentialsSecret",
        ),
        *(
            (
                {"backup": {"schedule": "@daily", "s3": S3 | {"prefix": prefix}}},
                f"{MANAGED}.backup.s3.prefix",
            )
            for prefix in ("../others", "a/../b", "a//b", ".", "a/.")
        ),
        ({"restoreFrom": {"name": "latest"}}, f"{MANAGED}.restoreFrom.service"),
        ({"restoreFrom": {"service": "old", "name": "yesterday"}}, f"{MANAGED}.restoreFrom.name"),
        (
            {"restoreFrom": {"service": "old", "volume": {"claimName": "nas"}, "s3": S3}},
            f"{MANAGED}.restoreFrom: volume s3: must have at most one of volume, s3",
        ),
    ],
)
def test_what_can_t_be_a_backup_is_refused_when_it_is_applied(
    plane: ControlPlane, namespace: str, fields: dict[str, Any], words: str
) -> None:
    said = plane.run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(managed(**fields)), check=False)

    assert words in said


async def test_backups_go_with_the_service_and_their_volume_stays_for_one_of_its_name(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(managed(backup=backups()))
    await story.appears(CRON_JOB, "support-backup")
    first = await story.appears(CLAIM, "support-backup")

    story.plane.run("delete", "lgs", "support", "-n", story.namespace)
    await story.vanishes(CRON_JOB, "support-backup")
    story.apply(managed(backup=backups()))
    await story.appears(CRON_JOB, "support-backup")
    await story.has_condition("Reconciled", "True", "Done")

    assert (await story.get(CLAIM, "support-backup"))["metadata"]["uid"] == first["metadata"]["uid"]


async def test_a_service_that_is_made_again_knows_the_last_backup_of_its_volume(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(managed(backup=backups()))
    await story.appears(CRON_JOB, "support-backup")
    story.plane.run("create", "job", "now", "--from=cronjob/support-backup", "-n", story.namespace)
    await ends(story, "backup", 0, json.dumps(TOLD))

    async def known() -> dict[str, Any] | None:
        return (await status_of(story)).get("backup")

    async def noted() -> bool:
        claim = await story.get(CLAIM, "data-support-postgres-0")
        return NAME in claim["metadata"]["annotations"].get("lgs.dev/last-backup", "")

    before = await until(known, "the backup is not known")
    await until(noted, "the backup is not noted")
    story.plane.run("delete", "lgs", "support", "-n", story.namespace)
    await story.vanishes(CRON_JOB, "support-backup")
    story.apply(managed(backup=backups()))

    assert await until(known, "the backup is forgotten") == before
    await story.has_condition("BackupReady", "True", "BackedUp")


async def test_a_volume_of_somebody_else_with_the_name_of_the_backups_is_left_alone(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    theirs = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "support-backup"}}
    story.apply(theirs | {"spec": spec})

    story.apply(managed(backup=backups()))

    said = await story.has_condition("Reconciled", "False", "Refused")
    assert "PersistentVolumeClaim support-backup exists" in said["message"]
    await story.appears(DEPLOYMENT)
    assert not await story.get(CRON_JOB, "support-backup"), "its pods would write there"
    assert "labels" not in (await story.get(CLAIM, "support-backup"))["metadata"]


async def test_a_size_that_the_backups_claim_can_not_have_yet_is_told_by_its_field_and_the_rule(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(managed(backup=backups(volume={"size": "1Gi"})))
    await story.appears(CLAIM, "support-backup")

    story.apply(managed(backup=backups(volume={"size": "2Gi"})))

    said = await story.has_condition("Reconciled", "False", "Refused")
    field = f"{MANAGED}.backup.volume.size: 2Gi: a claim grows only when it has a volume"
    assert f"PersistentVolumeClaim support-backup has 1Gi; {field}; set it to 1Gi again" in said["message"]
    assert "immutable" not in said["message"]
    story.apply(managed(backup=backups(volume={"size": "1Gi"})))
    await story.has_condition("Reconciled", "True", "Done")


async def test_a_backup_by_hand_is_told_like_one_by_the_schedule(story: Story, operators: Operators) -> None:
    operator = await operators.start()
    story.apply(managed(backup=backups()))
    await story.appears(CRON_JOB, "support-backup")
    await story.has_condition("BackupReady", "Unknown", "BackupPending")

    story.plane.run(
        "create", "job", "--from=cronjob/support-backup", "before-the-change", "-n", story.namespace
    )
    # By a node's clock that is right: another is not believed.
    began = datetime.now(UTC).replace(microsecond=0)
    when = f"{began:%Y-%m-%dT%H:%M:%SZ}"
    await ends(story, "backup", 0, json.dumps(TOLD | {"began": when}))

    told = await story.has_condition("BackupReady", "True", "BackedUp")
    assert NAME in told["message"]
    backup = (await status_of(story))["backup"]
    assert backup == {"name": NAME, "time": when, "bytes": 1024, "threads": 3}
    await operator.shows("lgs_operator_backup_last_success_timestamp_seconds", int(began.timestamp()))
    await operator.shows("lgs_operator_backup_ready", 1)


async def test_a_backup_that_fails_is_told_with_its_pods_words(story: Story, operators: Operators) -> None:
    operator = await operators.start()
    story.apply(managed(backup=backups()))
    await story.appears(CRON_JOB, "support-backup")
    story.plane.run("create", "job", "--from=cronjob/support-backup", "try", "-n", story.namespace)

    await ends(story, "backup", 1, "s3://sessions/team/support: AccessDenied")

    told = await story.has_condition("BackupReady", "False", "BackupFailed")
    assert "AccessDenied" in told["message"]
    assert "there is no backup yet" in told["message"]
    await story.event("BackupFailed")
    await operator.shows("lgs_operator_backup_ready", 0)


async def test_what_keeps_the_node_of_a_backup_or_of_a_restore_is_told_by_its_events(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(managed(backup=backups()))
    await story.appears(CRON_JOB, "support-backup")
    story.plane.run("create", "job", "--from=cronjob/support-backup", "try", "-n", story.namespace)
    (backup,) = await until(lambda: pods_of(story, "backup"), "there is no pod of the backup")

    is_held_up(story, backup, "FailedMount", "no such share")

    said = await story.has_condition("BackupReady", "False", "BackupFailed")
    assert f"pod {backup['metadata']['name']} is held up at its node: no such share" in said["message"]

    story.apply(managed("copy", restoreFrom={"service": "support"}))
    await database_is_up(story, "copy")
    (restore,) = await until(lambda: pods_of(story, "restore"), "there is no pod of the restore")

    is_held_up(story, restore, "FailedMount", "no such share")

    async def told() -> bool:
        found = condition(await status_of(story, "copy"), "PersistenceReady")
        return found.get("reason") == "FailedMount" and "no such share" in found["message"]

    await until(told, "what keeps the node of the restore is not told")


async def test_a_backup_that_can_not_start_makes_room_when_the_manifest_is_mended(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(managed(backup={"schedule": "@daily", "s3": S3}))
    await story.appears(CRON_JOB, "support-backup")
    where = ("-n", story.namespace)
    for name in ("by-schedule", "by-hand"):
        story.plane.run("create", "job", name, "--from=cronjob/support-backup", *where)
    story.plane.run("annotate", "job", "by-schedule", "cronjob.kubernetes.io/instantiate-", *where)

    async def both() -> bool:
        return len(await pods_of(story, "backup")) == 2

    await until(both, "the Jobs have no pods")
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'}
    for pod in await pods_of(story, "backup"):
        told = {"name": "dump", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
        status = {"initContainerStatuses": [told | {"state": {"waiting": waiting}}]}
        patch = ["patch", "pod", pod["metadata"]["name"], *where, "--subresource=status", "--type=merge"]
        story.plane.run(*patch, "-p", json.dumps({"status": status}))
    await story.has_condition("BackupReady", "False", "BackupFailed")

    story.apply(managed(backup={"schedule": "@daily", "s3": S3 | {"credentialsSecret": {"name": "right"}}}))

    await story.vanishes(JOB, "by-schedule")
    assert await story.get(JOB, "by-hand"), "it is somebody's own, and holds nothing up"


async def test_a_new_service_is_restored_before_its_first_replica_starts(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(managed(restoreFrom={"service": "old"}))
    await story.appears(STATEFUL_SET, "support-postgres")

    async def has_job() -> list[dict[str, Any]]:
        return await pods_of(story, "restore")

    await until(has_job, "no pod restores")
    assert not await story.get(DEPLOYMENT)

    await ends(story, "restore", 0, json.dumps(TOLD | {"result": "Restored"}))
    await story.appears(DEPLOYMENT)

    async def known() -> dict[str, Any] | None:
        return (await status_of(story)).get("restore")

    assert await until(known) == {
        "result": "Restored",
        "name": NAME,
        "time": "2026-11-28T03:00:02Z",
        "threads": 3,
    }
    await story.event("Restored")


async def test_a_restore_that_fails_keeps_the_service_from_starting_and_says_what_to_do(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(managed(restoreFrom={"service": "old"}))
    await story.appears(STATEFUL_SET, "support-postgres")
    await database_is_up(story)

    await ends(story, "restore", 2, "backup 'latest' not found; old at file:///backups has none")

    told = await story.has_condition("Ready", "False", "RestoreFailed")
    await story.has_condition("PersistenceReady", "False", "RestoreFailed")
    assert "has none" in told["message"]
    assert "take it away to begin empty" in told["message"]
    assert not await story.get(DEPLOYMENT)

    story.plane.run(
        *("patch", "lgs", "support", "-n", story.namespace, "--type=json", "-p"),
        json.dumps([{"op": "remove", "path": "/spec/persistence/postgres/managed/restoreFrom"}]),
    )
    await story.appears(DEPLOYMENT)

    async def jobs_are_gone() -> bool:
        return not (await story.cluster.list(JOB, story.namespace))[0]

    await until(jobs_are_gone, "the Job of the restore stays")


async def test_a_service_that_is_up_restores_nothing_and_says_so(story: Story, operators: Operators) -> None:
    await operators.start()
    story.apply(managed())
    await story.appears(DEPLOYMENT)

    story.apply(managed(restoreFrom={"service": "old"}))

    async def known() -> dict[str, Any] | None:
        return (await status_of(story)).get("restore")

    assert await until(known) == {"result": "Skipped"}
    assert not (await story.cluster.list(JOB, story.namespace))[0]
    await story.event("RestoreSkipped")
