"""Statements on the audit trails of threads."""

from __future__ import annotations

from typing import Final

PRESENT: Final = """
at > coalesce((SELECT max(d.at) FROM lgs_audit d
               WHERE d.thread_id = :thread_id AND d.what = 'thread.deleted'), 0)
AND (at >= (SELECT t.created_at FROM lgs_thread t WHERE t.thread_id = :thread_id)
     OR NOT EXISTS (SELECT 1 FROM lgs_audit d WHERE d.thread_id = :thread_id AND d.what = 'thread.deleted'))
"""
"""True for an entry that does not belong to an earlier thread with the same id."""

# Entries of the same moment stand in the order in which they must have happened.
AUDIT: Final = f"""
SELECT at, who, what, details FROM (
    SELECT at, seq, who, what, details FROM lgs_audit
    WHERE thread_id = :thread_id AND (NOT :present_only OR {PRESENT})
    UNION ALL
    SELECT created_at, -3, created_by, 'thread.created', '{{}}'
    FROM lgs_thread WHERE thread_id = :thread_id
    UNION ALL
    SELECT created_at, -2, created_by, 'run.created',
           json_object('run_id', run_id, 'assistant_id', assistant_id)
    FROM lgs_run WHERE thread_id = :thread_id AND NOT delete_thread_after
    UNION ALL
    SELECT ended_at, -1, NULL, 'run.ended',
           json_object('run_id', run_id, 'status', status, 'version', version, 'error', error)
    FROM lgs_run WHERE thread_id = :thread_id AND NOT delete_thread_after AND ended_at IS NOT NULL
)
ORDER BY at DESC, seq DESC LIMIT :limit OFFSET :offset
"""

NOTE: Final = """
INSERT INTO lgs_audit (thread_id, at, who, what, details) VALUES (:thread_id, :now, :who, :what, :details)
"""

NOTE_CREATED: Final = """
INSERT INTO lgs_audit (thread_id, at, who, what, details)
SELECT thread_id, created_at, created_by, 'thread.created', '{}' FROM lgs_thread WHERE thread_id = :thread_id
"""

EXPIRE_AUDIT: Final = """
DELETE FROM lgs_audit
WHERE thread_id IN (SELECT thread_id FROM lgs_audit WHERE what = 'thread.deleted' AND at < :before)
  AND NOT EXISTS (SELECT 1 FROM lgs_thread t WHERE t.thread_id = lgs_audit.thread_id)
  AND NOT EXISTS (SELECT 1 FROM lgs_audit later
                  WHERE later.thread_id = lgs_audit.thread_id AND later.at >= :before)
"""
