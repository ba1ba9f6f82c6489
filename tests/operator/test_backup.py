"""Backups and restores as the operator makes and reports them, as stories on a simulated clock."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lgs_crds.model.backup import Backup, RestoreFrom
from lgs_crds.schedules import next_time
from lgs_operator.desired.everything import everything
from lgs_operator.status.backup import BackupView, backup_ready, last_backup, noted_of
from lgs_operator.status.reporter import restore_event
from lgs_operator.status.restore import RestoreView, restore_of, restoring
from support.desired import inputs_of

NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
DAILY = Backup.model_validate({"schedule": "0 3 * * *", "volume": {}})
SOURCE = RestoreFrom.model_validate({"service": "support"})
KEYS = {"name": "keys"}


def wanted(restores: bool = False, **managed: Any) -> dict[tuple[str, str], Any]:
    known = inputs_of(restores=restores, **managed)
    return {(each["kind"], each["metadata"]["name"]): each for each in everything(known)}


def pod(
    minutes_ago: float, told: dict[str, Any] | None = None, words: str = "", **state: Any
) -> dict[str, Any]:
    """A pod that reported something at its end, or failed with these words, or is in this state."""
    made = (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"terminated": {"exitCode": 0 if told else 1, "message": json.dumps(told) if told else words}}
    container = {"name": "keep", "ready": False, "state": state or ended}
    status = {"phase": "Pending" if state else "Failed", "containerStatuses": [container]}
    return {"metadata": {"name": f"pod-{minutes_ago:g}", "creationTimestamp": made}, "status": status}


def told(day: int, threads: int = 3) -> dict[str, Any]:
    """What the pod of a backup of this day in November reports."""
    began = f"2026-11-{day:02d}T03:00:02Z"
    return {"name": f"202611{day:02d}T030002Z-1a2b3c", "began": began, "bytes": 1024, "threads": threads}


def job(minutes_ago: float, condition: str | None = None, message: str = "") -> dict[str, Any]:
    made = (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [{"type": condition, "status": "True", "message": message}] if condition else []
    metadata = {"name": f"job-{minutes_ago:g}", "creationTimestamp": made}
    return {"metadata": metadata, "status": {"conditions": conditions, "completionTime": made}}


def said(view: BackupView, before: dict[str, Any] | None = None) -> tuple[str, str, str]:
    condition = backup_ready(view, last_backup(view, before or {}, NOW), NOW)
    return condition.status, condition.reason, condition.message


def test_without_backups_there_is_no_cron_job_and_no_claim() -> None:
    assert {kind for kind, name in wanted() if "postgres" not in name} == {
        "Deployment",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }


def test_the_claim_of_the_backups_outlives_the_service() -> None:
    objects = wanted(backup={"schedule": "@daily", "volume": {"size": "5Gi", "storageClassName": "slow"}})
    claim = objects["PersistentVolumeClaim", "support-backup"]

    assert "ownerReferences" not in claim["metadata"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert claim["spec"]["storageClassName"] == "slow"
    assert objects["CronJob", "support-backup"]["metadata"]["ownerReferences"][0]["uid"] == "u1"


def test_a_claim_of_the_users_own_is_used_and_none_is_made() -> None:
    objects = wanted(backup={"schedule": "@daily", "volume": {"claimName": "nas"}})
    template = objects["CronJob", "support-backup"]["spec"]["jobTemplate"]["spec"]["template"]

    assert ("PersistentVolumeClaim", "support-backup") not in objects
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": "nas"}} in template["spec"]["volumes"]


def test_one_backup_at_a_time_is_made_and_none_holds_up_those_that_follow() -> None:
    spec = wanted(backup={"schedule": "@daily", "volume": {}})["CronJob", "support-backup"]["spec"]

    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
    assert spec["startingDeadlineSeconds"] > 0
    assert spec["timeZone"] == "Etc/UTC"


@pytest.mark.parametrize(
    "destination", [{"volume": {}}, {"s3": {"bucket": "sessions", "credentialsSecret": KEYS}}]
)
def test_the_pods_of_backups_are_restricted_and_bounded(destination: dict[str, Any]) -> None:
    objects = wanted(backup={"schedule": "@daily"} | destination)
    spec = objects["CronJob", "support-backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"] == "512Mi"
        assert "password" not in json.dumps(container["command"])
    assert all("sizeLimit" in each["emptyDir"] for each in spec["volumes"] if "emptyDir" in each)


def test_the_database_lets_the_pods_of_backups_and_restores_in_only_while_there_are_any() -> None:
    def components(**more: Any) -> set[str]:
        peers = wanted(**more)["NetworkPolicy", "support-postgres"]["spec"]["ingress"][0]["from"]
        return {each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in peers}

    replicas = {"runtime", "api"}
    assert components() == replicas
    assert components(backup={"schedule": "@daily", "volume": {}}) == replicas | {"backup"}
    assert components(restores=True, restoreFrom={"service": "old"}) == replicas | {"restore"}


def test_a_restore_has_a_job_of_its_own_for_each_source() -> None:
    def job_name(**source: Any) -> str:
        objects = wanted(restores=True, restoreFrom={"service": "old"} | source)
        return next(name for kind, name in objects if kind == "Job")

    assert job_name() == job_name(name="latest")
    assert job_name() != job_name(name="20261128T030002Z-1a2b3c")
    assert not [key for key in wanted(restores=False, restoreFrom={"service": "old"}) if key[0] == "Job"]


def test_a_restore_reads_the_claim_of_the_service_that_was_and_writes_nothing_there() -> None:
    objects = wanted(restores=True, restoreFrom={"service": "old"})
    spec = next(each for key, each in objects.items() if key[0] == "Job")["spec"]["template"]["spec"]
    mounts = [each for each in spec["initContainers"][0]["volumeMounts"] if each["name"] == "backups"]

    assert {"name": "backups", "persistentVolumeClaim": {"claimName": "old-backup"}} in spec["volumes"]
    assert mounts == [{"name": "backups", "mountPath": "/backups", "readOnly": True}]


def test_a_new_service_is_told_when_its_first_backup_is_due() -> None:
    assert said(BackupView(DAILY, job(1))) == (
        "Unknown",
        "BackupPending",
        "no backup yet; the next is due at 2026-11-29T03:00:00Z",
    )


def test_a_backup_that_was_kept_is_told_with_its_size() -> None:
    status, reason, words = said(BackupView(DAILY, job(9999), pods=(pod(570, told(28)),)))

    assert (status, reason) == ("True", "BackedUp")
    assert words.startswith("20261128T030002Z-1a2b3c: 3 threads, 1024 bytes")


def test_the_last_backup_is_remembered_when_its_pod_is_gone() -> None:
    view = BackupView(DAILY, job(9999), pods=(pod(570, told(28)),))
    known = last_backup(view, {}, NOW)
    assert known is not None

    before = {"backup": known.model_dump(by_alias=True)}

    assert last_backup(BackupView(DAILY, job(9999)), before, NOW) == known


def test_the_last_backup_is_remembered_when_its_service_is_gone() -> None:
    """The claim of the volume has it; the schedule of the one that is made again has just begun."""
    known = last_backup(BackupView(DAILY, job(9999), pods=(pod(570, told(23)),)), {}, NOW)
    again = BackupView(DAILY, job(1), noted=noted_of(known))

    assert last_backup(again, {}, NOW) == known
    assert said(again)[:2] == ("True", "BackedUp")
    assert noted_of(None) is None
    for broken in ("", "{", "[]", '{"name": 5}', "[" * 100_000):
        assert last_backup(replace(again, noted=broken), {}, NOW) is None


@pytest.mark.parametrize(
    "nonsense",
    [
        {"name": "x" * 3000},
        {"name": 5},
        {"name": ["n"]},
        told(28) | {"began": "yesterday", "bytes": "many", "threads": -1},
        told(28) | {"began": None, "bytes": 1e300, "threads": True},
        told(28) | {"began": "0001-01-01T00:00:00+23:00", "bytes": None, "threads": None},
        told(28) | {"began": "0987-01-01T00:00:00Z", "bytes": None, "threads": None},
    ],
)
def test_what_a_pod_tells_that_can_t_be_a_backup_is_not_believed(nonsense: dict[str, Any]) -> None:
    view = BackupView(DAILY, job(1), pods=(pod(1, nonsense),))
    last = last_backup(view, {}, NOW)

    assert backup_ready(view, last, NOW).reason in {"BackupPending", "BackedUp"}
    assert last is None or (last.time, last.bytes, last.threads) == (None, None, None)
    assert restored(pod(1, {"result": "Restored"} | nonsense)).result is not None


def test_a_backup_that_failed_is_told_with_its_last_words_until_one_is_kept() -> None:
    older, failed, newer = pod(2000, told(27)), pod(570, words="pg_dump: error: disk full"), pod(5, told(28))

    status, reason, words = said(BackupView(DAILY, job(9999), pods=(older, failed)))
    after = said(BackupView(DAILY, job(9999), pods=(older, failed, newer)))

    assert (status, reason) == ("False", "BackupFailed")
    assert "disk full" in words
    assert "the last backup is 20261127T030002Z-1a2b3c" in words
    assert after[:2] == ("True", "BackedUp")


def test_a_backup_that_took_too_long_and_lost_its_pods_is_told_by_its_job() -> None:
    view = BackupView(DAILY, job(9999), jobs=(job(570, "Failed", "Job was active longer than deadline"),))

    assert said(view)[:2] == ("False", "BackupFailed")
    assert "active longer than deadline" in said(view)[2]


def test_a_backup_whose_pod_can_t_start_is_told_at_once() -> None:
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "keys" not found'}}

    status, reason, words = said(BackupView(DAILY, job(9999), pods=(pod(1, **waiting),)))

    assert (status, reason) == ("False", "BackupFailed")
    assert 'secret "keys" not found' in words


def test_no_backup_within_two_periods_is_overdue() -> None:
    def with_last(day: int) -> str:
        return said(
            BackupView(DAILY, job(99999)), {"backup": {"name": "n", "time": f"2026-11-{day}T03:00:02Z"}}
        )[1]

    assert with_last(27) == "BackedUp"
    assert with_last(26) == "BackupOverdue"
    assert said(BackupView(DAILY, job(60 * 24 * 3)))[1] == "BackupOverdue"


def test_a_backup_of_a_time_that_is_to_come_hides_no_failure_and_no_delay() -> None:
    """The clock of its node was ahead; what it says would be the newest for years."""
    before = {"backup": {"name": "20990101T030002Z-1a2b3c", "time": "2099-01-01T03:00:02Z"}}
    slightly = {"backup": {"name": "n", "time": (NOW + timedelta(minutes=9)).strftime("%Y-%m-%dT%H:%M:%SZ")}}

    failed = said(BackupView(DAILY, job(99999), pods=(pod(5, words="pg_dump: error: disk full"),)), before)
    status, reason, words = said(BackupView(DAILY, job(99999)), before)

    assert failed[:2] == ("False", "BackupFailed")
    assert (status, reason) == ("False", "BackupOverdue")
    assert "20990101T030002Z-1a2b3c says that it was made at 2099-01-01T03:00:02Z, which is to come" in words
    assert said(BackupView(DAILY, job(99999)), slightly)[1] == "BackedUp"


def test_a_name_of_a_year_to_come_outlives_no_later_backup() -> None:
    """At another destination, or in an emptied one, names begin by the clock again: they sort before it."""
    ahead = {"name": "20990101T030002Z-1a2b3c", "began": "2099-01-01T03:00:02Z", "bytes": 1, "threads": 1}
    following = ahead | {"name": "20990101T030003Z-1a2b3c", "began": "2026-11-27T03:00:02Z"}
    remembered = {"backup": {"name": ahead["name"], "time": ahead["began"]}}
    right = {"backup": {"name": following["name"], "time": following["began"]}}

    for before, pods in (
        (remembered, (pod(570, told(28)),)),
        (right, (pod(570, told(28)),)),
        ({}, (pod(2010, following), pod(570, told(28)))),
        (remembered, (pod(570, told(28)), pod(2010, ahead))),
    ):
        last = last_backup(BackupView(DAILY, job(9999), pods=pods), before, NOW)
        assert last is not None
        assert last.name == told(28)["name"]
    assert said(BackupView(DAILY, job(9999), pods=(pod(570, told(28)),)), remembered)[:2] == (
        "True",
        "BackedUp",
    )


def test_a_backup_by_a_clock_that_is_behind_is_of_the_time_at_which_its_pod_was_made() -> None:
    """It was told as overdue, or as one before the failure of another, though it is the newest."""
    kept = pod(10, told(28) | {"began": "1970-01-01T00:03:00Z"})
    view = BackupView(
        DAILY, job(60 * 24 * 9), (job(60 * 24, "Failed", "BackoffLimitExceeded"),), pods=(kept,)
    )

    last = last_backup(view, {}, NOW)

    assert last is not None and last.time == "2026-11-28T12:20:00Z"
    assert said(view)[1] == "BackedUp"


def test_a_report_of_many_levels_is_none() -> None:
    ended = pod(10, told(28))
    ended["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = "[" * 4096

    assert last_backup(BackupView(DAILY, pods=(ended,)), {}, NOW) is None


def test_a_schedule_whose_day_never_comes_is_told_and_not_waited_for() -> None:
    never = Backup.model_validate({"schedule": "0 0 31 2 *", "volume": {}})

    status, reason, message = said(BackupView(never))

    assert (status, reason) == ("False", "BackupOverdue")
    assert (
        "spec.persistence.postgres.managed.backup.schedule: 0 0 31 2 *: no day that it names comes" in message
    )


@pytest.mark.parametrize("schedule", ["0 0 29 2 *", "@hourly", "*/5 0-4,22 1 JAN MON"])
def test_any_schedule_that_the_manifest_takes_has_a_condition(schedule: str) -> None:
    backup = Backup.model_validate({"schedule": schedule, "volume": {}})

    assert said(BackupView(backup, job(1)))[0] == "Unknown"
    assert schedule != "@hourly" or next_time(schedule, NOW) == NOW.replace(hour=13, minute=0)


def restored(*pods: dict[str, Any], before: dict[str, Any] | None = None, **more: Any) -> RestoreView:
    facts: dict[str, Any] = {"has_replicas": False, "jobs": (), "generation": 2, "now": NOW} | more
    return restore_of(SOURCE, before or {}, pods=pods, **facts)


def test_the_first_replica_waits_until_the_backup_is_there() -> None:
    waits = restored()
    over = restored(
        pod(
            1, {"result": "Restored", "name": told(27)["name"], "began": "2026-11-27T03:00:02Z", "threads": 3}
        )
    )

    assert waits.waits
    assert not over.waits
    assert over.result is not None
    assert (over.result.result, over.result.name, over.result.threads) == ("Restored", told(27)["name"], 3)
    ready = restoring(waits, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "Restoring")


def test_a_service_that_is_up_restores_nothing() -> None:
    view = restored(has_replicas=True)

    assert not view.waits
    assert view.result is not None
    assert view.result.result == "Skipped"
    assert restore_event(None, view.result.model_dump()) == (
        "Normal",
        "RestoreSkipped",
        "nothing was restored: the service has sessions or replicas already",
    )


def test_what_was_restored_once_is_never_restored_again() -> None:
    view = restored(before={"restore": {"result": "Restored", "name": "n"}})

    assert not view.waits


def test_a_restore_that_failed_says_why_and_what_to_do_also_between_two_tries() -> None:
    failing = restored(pod(1, words="backup 'latest' not found; support at file:///backups has none"))
    ready = restoring(failing, "Ready")
    assert ready is not None

    before = {"conditions": [ready.model_dump(by_alias=True) | {"observedGeneration": 2}]}
    between = restoring(restored(before=before), "Ready")
    after_an_edit = restoring(restored(before=before, generation=3), "Ready")

    assert (ready.status, ready.reason) == ("False", "RestoreFailed")
    assert "has none" in ready.message
    assert "mend spec.persistence.postgres.managed.restoreFrom" in ready.message
    assert between is not None and between.message == ready.message
    assert after_an_edit is not None and after_an_edit.reason == "Restoring"


def test_a_restore_whose_pod_was_not_seen_to_end_counts_when_its_job_is_complete() -> None:
    just_now = restored(jobs=(job(0.1, "Complete"),))
    a_while_ago = restored(jobs=(job(1, "Complete"),))

    assert just_now.waits
    assert not a_while_ago.waits
