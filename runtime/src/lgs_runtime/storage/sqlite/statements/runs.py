"""Statements on runs as records, on webhooks, and on threads whose checkpoints are left over."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.sqlite.statements.conditions import RUN_WITHIN

DELETE_RUN: Final = "DELETE FROM lgs_run WHERE run_id = :run_id"

EXPECT_ORPHANED: Final = (
    "INSERT OR IGNORE INTO lgs_spent_thread (thread_id, spent_at) VALUES (:thread_id, :now)"
)

ANY_WEBHOOK: Final = "SELECT 1 FROM lgs_webhook WHERE due_at <= :now LIMIT 1"

DUE_WEBHOOKS: Final = """
SELECT r.*, w.url AS webhook_url, w."values" AS webhook_values, w.attempts + 1 AS webhook_attempts
FROM lgs_webhook w JOIN lgs_run r USING (run_id) WHERE w.due_at <= :now ORDER BY w.due_at LIMIT :limit
"""

CHARGE_WEBHOOK: Final = """
UPDATE lgs_webhook SET attempts = attempts + 1, due_at = :now + :pause WHERE run_id = :run_id
"""

RELEASE_WEBHOOK: Final = """
UPDATE lgs_webhook SET attempts = max(attempts - 1, 0), due_at = :due_at WHERE run_id = :run_id
"""

DROP_WEBHOOK: Final = "DELETE FROM lgs_webhook WHERE run_id = :run_id"

ORPHANED_THREADS: Final = """
SELECT thread_id FROM lgs_spent_thread WHERE spent_at <= :before ORDER BY spent_at LIMIT 1000
"""

FORGET_ORPHANED: Final = """
DELETE FROM lgs_spent_thread WHERE thread_id IN (SELECT value FROM json_each(:thread_ids))
"""

UNFINISHED_RUNS: Final = f"""
SELECT run_id FROM lgs_run r
WHERE status IN ('pending', 'running') AND status IN (SELECT value FROM json_each(:statuses))
  AND cancel_requested IS NOT :not_asked AND cancel_requested IS NOT 'rollback'
  AND created_at <= :before AND {RUN_WITHIN} AND (:assistant_id IS NULL OR assistant_id = :assistant_id)
LIMIT 500
"""

RUN: Final = f"""
SELECT * FROM lgs_run r
WHERE run_id = :run_id AND (:thread_id IS NULL OR thread_id = :thread_id) AND {RUN_WITHIN}
"""

_MATCHES: Final = f"""
(:status IS NULL OR status = :status) AND (:metadata IS NULL OR lgs_contains(metadata, :metadata))
AND {RUN_WITHIN}
"""

RUNS: Final = f"""
SELECT * FROM lgs_run r
WHERE thread_id = :thread_id AND {_MATCHES}
ORDER BY seq DESC LIMIT :limit OFFSET :offset
"""

RUNS_OF: Final = f"""
SELECT * FROM lgs_run r
WHERE created_by = :user AND {_MATCHES}
ORDER BY created_at DESC, run_id DESC LIMIT :limit OFFSET :offset
"""

EXPIRE_RUNS: Final = "DELETE FROM lgs_run WHERE ended_at < :before"

FINISHED_RUNS: Final = """
SELECT asked.value FROM json_each(:run_ids) AS asked
LEFT JOIN lgs_run AS run ON run.run_id = asked.value
WHERE run.run_id IS NULL OR run.status NOT IN ('pending', 'running')
"""
