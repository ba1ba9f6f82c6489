"""Statements on runs as records, on webhooks, and on threads whose checkpoints are left over."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.postgres.statements.conditions import run_within

CLAIM_WEBHOOKS: Final = """
WITH picked AS (
    SELECT run_id FROM lgs_webhook WHERE due_at <= now() ORDER BY due_at LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE lgs_webhook w
SET attempts = attempts + 1,
    due_at = now() + make_interval(secs => ($2::float8[])[least(attempts + 1, cardinality($2::float8[]))])
FROM picked JOIN lgs_run r USING (run_id)
WHERE w.run_id = picked.run_id
RETURNING r.*, w.url AS webhook_url, w.values AS webhook_values, w.attempts AS webhook_attempts
"""

RELEASE_WEBHOOK: Final = """
UPDATE lgs_webhook SET attempts = greatest(attempts - 1, 0), due_at = now() + make_interval(secs => $2)
WHERE run_id = $1
"""

DROP_WEBHOOK: Final = "DELETE FROM lgs_webhook WHERE run_id = $1"

ORPHANED_THREADS: Final = """
SELECT thread_id FROM lgs_spent_thread WHERE spent_at <= now() - make_interval(secs => $1::float8)
ORDER BY spent_at LIMIT 1000
"""

FORGET_ORPHANED: Final = "DELETE FROM lgs_spent_thread WHERE thread_id = ANY($1::text[])"

UNFINISHED_RUNS: Final = f"""
SELECT run_id FROM lgs_run r
WHERE status IN ('pending', 'running') AND status = ANY($1::text[])
  AND cancel_requested IS DISTINCT FROM $2 AND cancel_requested IS DISTINCT FROM 'rollback'
  AND created_at <= $3 AND {run_within("$4")} AND ($5::text IS NULL OR assistant_id = $5)
LIMIT 500
"""

RUN: Final = f"""
SELECT * FROM lgs_run r WHERE run_id = $1 AND ($2::text IS NULL OR thread_id = $2) AND {run_within("$3")}
"""

_MATCHES: Final = f"""
($2::text IS NULL OR status = $2) AND ($3::jsonb IS NULL OR metadata @> $3) AND {run_within("$4")}
"""

RUNS: Final = f"""
SELECT * FROM lgs_run r
WHERE thread_id = $1 AND {_MATCHES}
ORDER BY seq DESC LIMIT $5 OFFSET $6
"""

RUNS_OF: Final = f"""
SELECT * FROM lgs_run r
WHERE created_by = $1 AND {_MATCHES}
ORDER BY created_at DESC, run_id DESC LIMIT $5 OFFSET $6
"""

DELETE_RUN: Final = f"""
WITH gone AS (
    DELETE FROM lgs_run r
    WHERE run_id = $1 AND thread_id = $2 AND status NOT IN ('pending', 'running') AND {run_within("$3")}
    RETURNING run_id, delete_thread_after
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT $2, $4, 'run.deleted', jsonb_build_object('run_id', run_id) FROM gone
    WHERE NOT delete_thread_after
)
SELECT run_id FROM gone
"""

EXPIRE_RUNS: Final = """
WITH gone AS (
    DELETE FROM lgs_run WHERE ended_at < now() - make_interval(secs => $1::float8 * 3600) RETURNING 1
)
SELECT count(*) FROM gone
"""

FINISHED_RUNS: Final = """
SELECT asked.run_id FROM unnest($1::text[]) AS asked(run_id)
LEFT JOIN lgs_run AS run ON run.run_id = asked.run_id
WHERE run.run_id IS NULL OR run.status NOT IN ('pending', 'running')
"""

EXPECT_ORPHANED: Final = """
INSERT INTO lgs_spent_thread (thread_id, spent_at) VALUES ($1, now() + make_interval(secs => $2::float8))
ON CONFLICT DO NOTHING
"""
