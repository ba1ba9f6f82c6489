"""Statements on the records of threads. `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.postgres.statements.conditions import within

CHANGED_THREADS: Final = """
SELECT seen.thread_id FROM unnest($1::text[], $2::timestamptz[]) AS seen(thread_id, updated_at)
LEFT JOIN lgs_thread AS thread ON thread.thread_id = seen.thread_id
WHERE thread.thread_id IS NULL OR thread.status = 'busy'
    OR thread.updated_at IS DISTINCT FROM seen.updated_at
"""

CREATE_THREAD: Final = """
INSERT INTO lgs_thread (thread_id, metadata, ttl_seconds, ttl_strategy, created_by)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING *
"""

THREAD: Final = f"""
SELECT * FROM lgs_thread WHERE thread_id = $1 AND {within(2)}
"""

UPDATE_THREAD: Final = """
WITH changed AS (
    UPDATE lgs_thread
    SET metadata = metadata || $2::jsonb, ttl_seconds = coalesce($3::float8, ttl_seconds),
        ttl_strategy = CASE WHEN $3 IS NULL THEN ttl_strategy ELSE $7 END, updated_at = now()
    WHERE thread_id = $1
      AND ($4::jsonb[] IS NULL OR (metadata @> ANY($4) AND (metadata || $2::jsonb) @> ANY($4)))
    RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $5, 'thread.updated', jsonb_build_object('metadata', $6::text[]) FROM changed
)
SELECT * FROM changed
"""

SET_THREAD_STATE: Final = """
WITH changed AS (
    UPDATE lgs_thread
    SET values = $2, interrupts = $3, rest = $4, error = NULL, updated_at = now(), state_updated_at = now(),
        pin = CASE WHEN rest = 'interrupted' AND $4 = 'interrupted' THEN pin END
    WHERE thread_id = $1 RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $5, 'state.updated', jsonb_build_object('status', rest) FROM changed
)
SELECT * FROM changed
"""

LOCK_THREAD: Final = f"""
SELECT thread_id FROM lgs_thread WHERE thread_id = $1 AND {within(2)} FOR UPDATE
"""

DELETE_RUNS_OF_THREAD: Final = "DELETE FROM lgs_run WHERE thread_id = $1 RETURNING run_id, status"

DELETE_THREAD: Final = """
WITH versions AS (
    DELETE FROM lgs_version WHERE thread_id = $1
), crowd AS (
    DELETE FROM lgs_crowded_thread WHERE thread_id = $1
), crons AS (
    DELETE FROM lgs_cron WHERE thread_id = $1 AND NOT $2::boolean
)
DELETE FROM lgs_thread WHERE thread_id = $1
"""

COPY_THREAD: Final = f"""
WITH versions AS (
    INSERT INTO lgs_version (thread_id, version, checkpoint_id, run_id, description, metadata, interrupts,
                             created_at, created_by)
    SELECT $2, version, checkpoint_id, run_id, description, metadata, interrupts, created_at, created_by
    FROM lgs_version WHERE thread_id = $1
      AND EXISTS (SELECT FROM lgs_thread WHERE thread_id = $1 AND {within(5)})
), made AS (
    INSERT INTO lgs_thread (thread_id, metadata, config, values, interrupts, rest, versions, created_by,
                            ttl_seconds, ttl_strategy)
    SELECT $2, coalesce($4::jsonb, metadata), config, values, '{{}}', 'idle', versions, $3, $6, $7
    FROM lgs_thread
    WHERE thread_id = $1 AND {within(5)}
    RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $3, 'thread.copied', jsonb_build_object('from', $1::text) FROM made
)
SELECT * FROM made
"""

_THREADS: Final = f"""
FROM lgs_thread
WHERE ($1::text[] IS NULL OR thread_id = ANY($1))
  AND ($2::jsonb IS NULL OR metadata @> $2)
  AND ($3::jsonb IS NULL OR values @> $3)
  AND ($4::text IS NULL OR status = $4)
  AND {within(5)}
"""

THREADS: Final = f"SELECT * {_THREADS} ORDER BY {{order}}, thread_id LIMIT $6 OFFSET $7"

COUNT_THREADS: Final = f"SELECT count(*) {_THREADS}"

_OVER: Final = """
ttl_seconds IS NOT NULL AND unfinished = 0
AND greatest(updated_at, ttl_from) + make_interval(secs => ttl_seconds) < now()
"""

EXPIRED_THREADS: Final = f"""
SELECT thread_id FROM lgs_thread WHERE {_OVER} AND ttl_strategy IS DISTINCT FROM 'keep_latest' LIMIT $1
"""

STALE_THREADS: Final = f"""
SELECT * FROM lgs_thread
WHERE {_OVER} AND ttl_strategy = 'keep_latest' AND thinned_at IS DISTINCT FROM updated_at LIMIT $1
"""

NOTE_PRUNED: Final = """
UPDATE lgs_thread SET thinned_at = updated_at WHERE thread_id = $1 AND updated_at = $2
"""

EXPIRE_THREAD: Final = f"""
WITH gone AS (
    DELETE FROM lgs_thread
    WHERE thread_id = $1 AND {_OVER} AND ttl_strategy IS DISTINCT FROM 'keep_latest'
    RETURNING thread_id, created_at, created_by
), audit AS (
    INSERT INTO lgs_audit (thread_id, at, who, what, details)
    SELECT thread_id, created_at, created_by, 'thread.created', '{{}}'::jsonb FROM gone
    UNION ALL SELECT thread_id, now(), NULL, 'thread.deleted', '{{"reason": "ttl"}}' FROM gone
), runs AS (
    DELETE FROM lgs_run r USING gone WHERE r.thread_id = gone.thread_id
), versions AS (
    DELETE FROM lgs_version v USING gone WHERE v.thread_id = gone.thread_id
), crowd AS (
    DELETE FROM lgs_crowded_thread c USING gone WHERE c.thread_id = gone.thread_id
), crons AS (
    DELETE FROM lgs_cron c USING gone WHERE c.thread_id = gone.thread_id
)
SELECT thread_id FROM gone
"""
