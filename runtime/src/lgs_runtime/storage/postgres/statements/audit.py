"""Statements on the audit trails of threads."""

from __future__ import annotations

from typing import Final

PRESENT: Final = """
at > coalesce((SELECT max(d.at) FROM lgs_audit d WHERE d.thread_id = $1 AND d.what = 'thread.deleted'),
              '-infinity')
AND (at >= (SELECT t.created_at FROM lgs_thread t WHERE t.thread_id = $1)
     OR NOT EXISTS (SELECT FROM lgs_audit d WHERE d.thread_id = $1 AND d.what = 'thread.deleted'))
"""
"""True for an entry that does not belong to an earlier thread with the same id."""

# Entries of the same moment stand in the order in which they must have happened.
AUDIT: Final = f"""
SELECT at, who, what, jsonb_strip_nulls(details) AS details FROM (
    SELECT at, seq, who, what, details FROM lgs_audit WHERE thread_id = $1 AND (NOT $4 OR {PRESENT})
    UNION ALL
    SELECT created_at, -3, created_by, 'thread.created', '{{}}' FROM lgs_thread WHERE thread_id = $1
    UNION ALL
    SELECT created_at, -2, created_by, 'run.created',
           jsonb_build_object('run_id', run_id, 'assistant_id', assistant_id)
    FROM lgs_run WHERE thread_id = $1 AND NOT delete_thread_after
    UNION ALL
    SELECT ended_at, -1, NULL, 'run.ended',
           jsonb_build_object('run_id', run_id, 'status', status, 'version', version, 'error', error)
    FROM lgs_run WHERE thread_id = $1 AND NOT delete_thread_after AND ended_at IS NOT NULL
) entry
ORDER BY at DESC, seq DESC LIMIT $2 OFFSET $3
"""

NOTE: Final = "INSERT INTO lgs_audit (thread_id, who, what, details) VALUES ($1, $2, $3, $4)"

NOTE_CANCELLED: Final = """
INSERT INTO lgs_audit (thread_id, who, what, details)
SELECT thread_id, $2, 'run.cancelled', jsonb_build_object('run_id', run_id, 'action', $3::text)
FROM lgs_run WHERE run_id = ANY($1::text[]) AND NOT delete_thread_after
"""

NOTE_CREATED: Final = """
INSERT INTO lgs_audit (thread_id, at, who, what)
SELECT thread_id, created_at, created_by, 'thread.created' FROM lgs_thread WHERE thread_id = $1
"""
"""Notes what the thread's record says of its creation: before the record is deleted, and before those of its
runs are."""

EXPIRE_AUDIT: Final = """
WITH gone AS (
    DELETE FROM lgs_audit a
    WHERE thread_id IN (
        SELECT thread_id FROM lgs_audit
        WHERE what = 'thread.deleted' AND at < now() - make_interval(secs => $1::float8 * 86400))
      AND NOT EXISTS (SELECT FROM lgs_thread t WHERE t.thread_id = a.thread_id)
      AND NOT EXISTS (SELECT FROM lgs_audit later
                      WHERE later.thread_id = a.thread_id
                        AND later.at >= now() - make_interval(secs => $1::float8 * 86400))
    RETURNING 1
)
SELECT count(*) FROM gone
"""
