"""The backups of a managed database: a CronJob, and the claim that stores them if no bucket does.

A backup is made in two steps, one container each: pg_dump writes a file that pg_restore then reads
to its end, and the runtime's `dump keep` describes and stores it. The claim has no owner, so it
outlives the service.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from lgs_crds.model.backup import Backup
from lgs_operator.desired.dumps import (
    BACKUPS,
    REPORT,
    dump_pod,
    place,
    runtime_program,
    scratch,
    server_programs,
)
from lgs_operator.desired.inputs import Inputs, PostgresInputs, Wanted
from lgs_operator.desired.objects import name_of, owned, retained
from lgs_operator.kube.kinds import CLAIM, CRON_JOB, Manifest
from lgs_operator.naming import labels

TEMPLATE_ANNOTATION: Final = "lgs.dev/template"
"""The annotation of a Job with the hash of its pod template."""
_SIZE = "10Gi"
_MOST_SECONDS = 6 * 3600
"""Seconds that a backup may take: one that does not end would hold up all that follow."""
_PARTS = f"{BACKUPS}/.parts"
# A failed try deletes what it wrote, or tries would fill the volume. What a killed pod left is deleted once
# it is older than any running backup can be. The pod's name keeps two that run at once apart.
_DUMP = f"""\
part={_PARTS}/$POD_NAME
trap '[ $? = 0 ] || rm -rf "$part"' EXIT
mkdir -p "$part"
find {_PARTS} -mindepth 1 -maxdepth 1 -mmin +{_MOST_SECONDS // 60 + 30} -exec rm -rf {{}} +
date -u +%Y-%m-%dT%H:%M:%SZ > "$part/began"
pg_dump --format=custom --no-owner --no-privileges --lock-wait-timeout=60000 --file="$part/dump"
pg_restore --file=/dev/null "$part/dump"
"""


def backup_of(inputs: Inputs) -> Backup | None:
    """The manifest's settings for backups; None without any."""
    return inputs.postgres.spec.backup if inputs.postgres is not None else None


def claim_name(inputs: Inputs, backup: Backup) -> str | None:
    """The name of the claim that stores the backups; None for a bucket."""
    if backup.volume is None:
        return None
    return backup.volume.claim_name or name_of(inputs, "backup")


def backup_claim(inputs: Inputs) -> Wanted:
    """The claim for backups, wanted unless a bucket or a claim of the manifest stores them. The operator
    never deletes it."""
    backup = backup_of(inputs)
    if backup is None or backup.volume is None or backup.volume.claim_name is not None:
        return None
    manifest = retained(inputs, CLAIM, "backup")
    manifest["spec"] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": backup.volume.size or _SIZE}},
    }
    if backup.volume.storage_class_name:
        manifest["spec"]["storageClassName"] = backup.volume.storage_class_name
    return manifest


def backup_cron_job(inputs: Inputs) -> Wanted:
    """The CronJob, wanted with backups."""
    backup = backup_of(inputs)
    if inputs.postgres is None or backup is None:
        return None
    manifest, template = owned(inputs, CRON_JOB, "backup"), _pod(inputs, inputs.postgres, backup)
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]
    manifest["spec"] = {
        "schedule": backup.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        # without it, a CronJob that missed a hundred times would never start again
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {
                "labels": labels(inputs.name, "backup"),
                "annotations": {TEMPLATE_ANNOTATION: digest},
            },
            "spec": {
                "backoffLimit": 2,
                "activeDeadlineSeconds": _MOST_SECONDS,
                "template": template,
            },
        },
    }
    return manifest


def _pod(inputs: Inputs, postgres: PostgresInputs, backup: Backup) -> Manifest:
    mounts = [{"name": "backups", "mountPath": BACKUPS}]
    claim = claim_name(inputs, backup)
    volume: Manifest = scratch(postgres, "backups")
    if claim is not None:
        volume = {"name": "backups", "persistentVolumeClaim": {"claimName": claim}}
    command = ["keep", f"{_PARTS}/$(POD_NAME)", "--at", place(inputs, backup.s3), "--service", inputs.name]
    command += ["--keep", str(backup.keep), "--tell", REPORT]
    containers = [
        server_programs(inputs, postgres, "dump", _DUMP, mounts),
        runtime_program(inputs, "keep", command, backup.s3, mounts),
    ]
    return dump_pod(inputs, "backup", containers, [volume])
