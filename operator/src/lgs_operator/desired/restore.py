"""The Job that fills a new service's database from a backup, before the first replica starts.

The runtime's `dump fetch` waits for the database, decides whether there is anything to restore, and checks
the backup; pg_restore then restores all of it in one transaction. A Job's name has a hash of what it
restores, so a changed manifest makes another."""

from __future__ import annotations

import hashlib
import json

from lgs_crds.model.backup import RestoreFrom
from lgs_operator.desired.dumps import (
    BACKUPS,
    REPORT,
    SCRATCH,
    dump_pod,
    place,
    runtime_program,
    scratch,
    server_programs,
)
from lgs_operator.desired.inputs import Inputs, PostgresInputs, Wanted
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import JOB, Manifest
from lgs_operator.naming import object_name

# ANALYZE, as without statistics the planner makes the queue slow until the first autovacuum.
_RESTORE = f"""\
if [ -s {SCRATCH}/path ]; then
  pg_restore --single-transaction --exit-on-error --no-owner --no-privileges \
    --dbname="$PGDATABASE" "$(cat {SCRATCH}/path)"
  psql --quiet --command=ANALYZE
fi
tee {REPORT} < {SCRATCH}/told
"""
_MOST_SECONDS = 24 * 3600
RETRY_SECONDS = 60
"""Seconds after which a failed Job is deleted and created again."""


def restore_job(inputs: Inputs) -> Wanted:
    """The restore's Job. Wanted while a new service is filled from a backup."""
    postgres = inputs.postgres
    if postgres is None or postgres.spec.restore_from is None or not inputs.restores:
        return None
    template = _pod(inputs, postgres, postgres.spec.restore_from)
    manifest = owned(inputs, JOB, "restore")
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
    manifest["metadata"]["name"] = f"{object_name(inputs.name, 'restore')}-{digest}"
    manifest["spec"] = {
        "backoffLimit": 2,
        "activeDeadlineSeconds": _MOST_SECONDS,
        "ttlSecondsAfterFinished": RETRY_SECONDS,
        "template": template,
    }
    return manifest


def _pod(inputs: Inputs, postgres: PostgresInputs, source: RestoreFrom) -> Manifest:
    mounts: list[Manifest] = [{"name": "scratch", "mountPath": SCRATCH}]
    volumes = [scratch(postgres, "scratch")]
    if source.s3 is None:
        claim = source.volume.claim_name if source.volume else object_name(source.service, "backup")
        mounts.append({"name": "backups", "mountPath": BACKUPS, "readOnly": True})
        volumes.append({"name": "backups", "persistentVolumeClaim": {"claimName": claim}})
    command = ["fetch", "--at", place(inputs, source.s3), "--service", source.service]
    command += ["--name", source.name, "--to", SCRATCH, "--tell", f"{SCRATCH}/told"]
    containers = [
        runtime_program(inputs, "fetch", command, source.s3, mounts),
        server_programs(inputs, postgres, "restore", _RESTORE, mounts),
    ]
    return dump_pod(inputs, "restore", containers, volumes)
