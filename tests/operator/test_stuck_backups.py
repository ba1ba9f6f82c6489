"""A backup whose pod can't start makes room when the manifest is mended, and no other one does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lgs_operator.desired.everything import everything
from lgs_operator.kube.kinds import Manifest, key_of
from lgs_operator.stuck_backups import stuck_backups
from support.desired import inputs_of

NOW = datetime(2026, 11, 30, 3, 30, tzinfo=UTC)
HOLD = {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'}}}
BACKUP = {"schedule": "0 3 * * *", "s3": {"bucket": "sessions", "credentialsSecret": {"name": "keys"}}}


def wanted(**backup: Any) -> list[Manifest]:
    return everything(inputs_of(backup=BACKUP | backup))


def cron_job_of(manifests: list[Manifest]) -> Manifest:
    (found,) = [each for each in manifests if each["kind"] == "CronJob"]
    return found


def owned_by(owner: str, /, **metadata: Any) -> dict[str, Any]:
    return {"ownerReferences": [{"uid": owner, "controller": True, "kind": "any", "name": "any"}]} | metadata


def job(
    of: list[Manifest], *, uid: str = "j", owner: str = "c", minutes: int = 5, **changed: Any
) -> Manifest:
    """One that the schedule made of this CronJob, as Kubernetes does."""
    template = cron_job_of(of)["spec"]["jobTemplate"]["metadata"]
    made = NOW.replace(minute=30 - minutes).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = {"name": f"support-backup-{uid}", "namespace": "team", "uid": uid, "creationTimestamp": made}
    metadata = owned_by(owner, **(head | template | changed.pop("metadata", {})))
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": {"active": 1}} | changed


def pod(phase: str = "Pending", *, job: str = "j", **container: Any) -> Manifest:
    status = {"phase": phase, "initContainerStatuses": [{"name": "dump"} | (container or HOLD)]}
    return {"metadata": owned_by(job, name="p", creationTimestamp="2026-11-30T03:25:00Z"), "status": status}


def found(now: list[Manifest], jobs: list[Manifest], pods: list[Manifest]) -> list[str]:
    there = cron_job_of(now)
    there = there | {"metadata": there["metadata"] | {"uid": "c"}}
    live = {key_of(each): each for each in (there, *jobs)}
    return [each["metadata"]["uid"] for each in stuck_backups(now, live, pods, NOW)]


OLD, MENDED = wanted(), wanted(s3=BACKUP["s3"] | {"credentialsSecret": {"name": "right"}})  # type: ignore[operator]


def test_a_job_whose_pod_can_not_start_goes_when_the_manifest_is_mended() -> None:
    assert found(MENDED, [job(OLD)], [pod()]) == ["j"]
    assert found(MENDED, [job(OLD, metadata={"annotations": None})], [pod()]) == ["j"], "of an older operator"


def test_it_stays_while_the_manifest_is_what_it_was() -> None:
    assert found(OLD, [job(OLD)], [pod()]) == []
    assert found(wanted(schedule="0 4 * * *"), [job(OLD)], [pod()]) == [], "its pods would be the same"


@pytest.mark.parametrize(
    "other",
    [
        pod("Running", state={"running": {}}),
        pod(state={"waiting": {"reason": "PodInitializing"}}),
        pod("Failed", state={"terminated": {"exitCode": 1}}),
        pod("Succeeded", state={"terminated": {"exitCode": 0}}),
    ],
)
def test_a_job_that_works_stays(other: Manifest) -> None:
    assert found(MENDED, [job(OLD)], [other]) == []


def test_a_second_try_that_can_not_start_is_no_better_than_a_first() -> None:
    failed = pod("Failed", state={"terminated": {"exitCode": 1}})

    assert found(MENDED, [job(OLD)], [failed, pod()]) == ["j"]


@pytest.mark.parametrize(
    "theirs",
    [
        job(OLD, owner="somebody"),
        job(OLD, metadata={"annotations": {"cronjob.kubernetes.io/instantiate": "manual"}}),
        job(OLD, metadata={"deletionTimestamp": "2026-11-30T03:29:00Z"}),
        job(OLD, status={"conditions": [{"type": "Failed", "status": "True"}]}),
    ],
)
def test_what_holds_nothing_up_is_left_alone(theirs: Manifest) -> None:
    assert found(MENDED, [theirs], [pod()]) == []


@pytest.mark.parametrize(("minutes", "goes"), [(0, []), (5, ["j"])])
def test_a_job_that_gets_no_pod_is_stuck_too(minutes: int, goes: list[str]) -> None:
    assert found(MENDED, [job(OLD, minutes=minutes)], [pod(job="another")]) == goes


def test_nothing_goes_before_the_cron_job_is_there() -> None:
    old = job(OLD)

    assert stuck_backups(MENDED, {key_of(old): old}, [pod()], NOW) == []
    assert stuck_backups(everything(inputs_of()), {key_of(old): old}, [pod()], NOW) == []
